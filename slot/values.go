package slot

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bytes is a number of bytes. In the file it is a whole number, or a string
// such as "64MB"; units are powers of 1024 in any case: B, kB, MB, GB, TB.
type Bytes int64

var byteUnits = []struct {
	suffix string
	shift  uint
}{{"kb", 10}, {"mb", 20}, {"gb", 30}, {"tb", 40}, {"b", 0}}

// UnmarshalTOML reads a number or a string.
func (b *Bytes) UnmarshalTOML(v any) error {
	switch v := v.(type) {
	case int64:
		if v < 0 {
			return fmt.Errorf("%d: a size cannot be negative", v)
		}
		*b = Bytes(v)
		return nil
	case string:
		n, err := ParseBytes(v)
		*b = n
		return err
	}
	return fmt.Errorf("%v: a size is a number or a string such as \"64MB\"", v)
}

// ParseBytes reads the string form of Bytes.
func ParseBytes(s string) (Bytes, error) {
	number, shift := strings.ToLower(strings.TrimSpace(s)), uint(0)
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, shift = strings.TrimSpace(rest), u.shift
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%q: a size is a whole number and a unit, such as \"64MB\"", s)
	}
	return Bytes(n << shift), nil
}

// String is the size in its largest unit that divides it.
func (b Bytes) String() string {
	for _, u := range []struct {
		name  string
		shift uint
	}{{"TB", 40}, {"GB", 30}, {"MB", 20}, {"kB", 10}} {
		if b != 0 && b&(1<<u.shift-1) == 0 {
			return strconv.FormatInt(int64(b>>u.shift), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// Duration is a time.Duration; in the file a string such as "2s", "1h30m" or "7d".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration reads, and whole days; negative ones
// are refused.
func (d *Duration) UnmarshalText(text []byte) error {
	if days, ok := strings.CutSuffix(string(text), "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			*d = Duration(time.Duration(n) * 24 * time.Hour)
			return nil
		}
	}
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q: a duration is a string such as \"2s\" or \"1h30m\"", text)
	}
	*d = Duration(v)
	return nil
}

// String is the duration as time.Duration writes it.
func (d Duration) String() string { return time.Duration(d).String() }
