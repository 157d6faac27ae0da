package activefile

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Database is one database of a user: the nth that was ever made in a tier.
type Database struct {
	Tier       string // lower-case letters and digits, a letter first; at most 32
	Generation uint64 // below 2^63
}

// String is the database's name, such as "temp:264".
func (d Database) String() string {
	return d.Tier + ":" + strconv.FormatUint(d.Generation, 10)
}

// The errors of parsing.
var (
	// ErrDatabase is returned for text that does not name a database.
	ErrDatabase = errors.New("not the name of a database")
	// ErrDamaged is returned for an activefile that is not as it was written.
	ErrDamaged = errors.New("damaged activefile")
	// ErrVersion is returned for an activefile of a version that this program does
	// not know. It is whole, so Reset leaves it alone.
	ErrVersion = errors.New("activefile of an unknown version")
)

// maxGeneration bounds generations, so that counting on cannot overflow.
const maxGeneration = math.MaxInt64

// Parse reads the form that String writes, and no other.
func Parse(s string) (Database, error) {
	tier, number, _ := strings.Cut(s, ":")
	n, err := strconv.ParseUint(number, 10, 64)
	d := Database{tier, n}
	if err != nil || n >= maxGeneration || !ValidTier(tier) || d.String() != s {
		return Database{}, fmt.Errorf("%q: %w", s, ErrDatabase)
	}
	return d, nil
}

// ValidTier reports whether a tier may have that name.
func ValidTier(name string) bool {
	if name == "" || len(name) > 32 || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// Active is what an activefile says. The zero value is that of a user without
// an index.
type Active struct {
	// Databases are the live ones in search order; the first is the writable one.
	Databases []Database
	// Next is the generation that each tier's next database gets. A tier that is
	// not in it has had none since Floor was set.
	Next map[string]uint64
	// Floor is where the counter of a tier that is not in Next begins, if that is
	// above 1: the time, in seconds since 1970, at which a file was lost or damaged
	// and its counters with it. 0: never.
	Floor uint64
}

// String is the first line of the file, without its end: the databases' names,
// separated by spaces.
func (a Active) String() string {
	names := make([]string, len(a.Databases))
	for i, d := range a.Databases {
		names[i] = d.String()
	}
	return strings.Join(names, " ")
}

// Equal reports whether both say the same.
func (a Active) Equal(b Active) bool {
	return slices.Equal(a.Databases, b.Databases) && maps.Equal(a.Next, b.Next) && a.Floor == b.Floor
}

// Clone returns a copy that shares nothing with a.
func (a Active) Clone() Active {
	return Active{slices.Clone(a.Databases), maps.Clone(a.Next), a.Floor}
}

// Contains reports whether d is live.
func (a Active) Contains(d Database) bool { return slices.Contains(a.Databases, d) }

// check returns an error for what must not be written: a database twice, a name
// that cannot be read back, a generation that the counters have not given.
func (a Active) check() error {
	seen := map[Database]bool{}
	for _, d := range a.Databases {
		switch {
		case !ValidTier(d.Tier):
			return fmt.Errorf("%q: %w", d.String(), ErrDatabase)
		case seen[d]:
			return fmt.Errorf("%s is named twice", d)
		case d.Generation >= a.Next[d.Tier]:
			return fmt.Errorf("%s was never reserved: the next is %s", d, Database{d.Tier, a.Next[d.Tier]})
		}
		seen[d] = true
	}
	for tier, n := range a.Next {
		if !ValidTier(tier) || n >= maxGeneration {
			return fmt.Errorf("%q: %w", Database{tier, n}.String(), ErrDatabase)
		}
	}
	if a.Floor >= maxGeneration {
		return fmt.Errorf("floor %d: %w", a.Floor, ErrDatabase)
	}
	return nil
}

// The second line's first word carries the version of the format.
const magic = "#1"

// maxSize bounds an activefile: more than any use of it, few enough to read at
// once. A longer one is damaged.
const maxSize = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// append appends the whole file to b, as docs/formats.md draws it.
func (a Active) append(b []byte) []byte {
	start := len(b)
	b = append(b, a.String()...)
	b = append(b, '\n')
	b = append(b, magic...)
	b = append(b, ' ')
	b = strconv.AppendUint(b, a.Floor, 10)
	for _, tier := range slices.Sorted(maps.Keys(a.Next)) {
		b = append(b, ' ')
		b = append(b, Database{tier, a.Next[tier]}.String()...)
	}
	b = append(b, ' ')
	return fmt.Appendf(b, "%08x\n", crc32.Checksum(b[start:], castagnoli))
}

// encode is append, for what is to be written: it refuses what parse would.
func (a Active) encode() ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	b := a.append(nil)
	if len(b) > maxSize {
		return nil, fmt.Errorf("%d databases and %d tiers are too many for an activefile", len(a.Databases), len(a.Next))
	}
	return b, nil
}

// parse reads what append writes, and nothing else: every error is ErrDamaged or
// ErrVersion.
func parse(b []byte) (Active, error) {
	body, ok := checksummed(b)
	if !ok {
		return Active{}, fmt.Errorf("its checksum is wrong: %w", ErrDamaged)
	}
	first, second, _ := strings.Cut(body, "\n")
	words := strings.Split(second, " ")
	if words[0] != magic && strings.HasPrefix(words[0], magic[:1]) {
		return Active{}, fmt.Errorf("%q: %w", words[0], ErrVersion)
	}
	if words[0] != magic {
		return Active{}, fmt.Errorf("no version: %w", ErrDamaged)
	}
	a, err := parseLines(first, words[1:])
	if err == nil {
		err = a.check()
	}
	if err == nil && !bytes.Equal(a.append(nil), b) {
		err = errors.New("not in the form that is written")
	}
	if err != nil {
		return Active{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return a, nil
}

// parseLines reads the first line, and the words of the second between version
// and checksum.
func parseLines(first string, second []string) (Active, error) {
	if len(second) == 0 {
		return Active{}, errors.New("no floor")
	}
	floor, err := strconv.ParseUint(second[0], 10, 64)
	if err != nil {
		return Active{}, err
	}
	a := Active{Next: make(map[string]uint64, len(second)-1), Floor: floor}
	for _, word := range second[1:] {
		d, err := Parse(word)
		if err != nil {
			return Active{}, err
		}
		a.Next[d.Tier] = d.Generation
	}
	if first == "" {
		return a, nil
	}
	for word := range strings.SplitSeq(first, " ") {
		d, err := Parse(word)
		if err != nil {
			return Active{}, err
		}
		a.Databases = append(a.Databases, d)
	}
	return a, nil
}

// checksummed returns what stands before the checksum at the end of a file, if
// that is right.
func checksummed(b []byte) (string, bool) {
	const tail = 10 // a space, eight digits, a line end
	if len(b) < tail || b[len(b)-1] != '\n' || b[len(b)-tail] != ' ' {
		return "", false
	}
	want := fmt.Sprintf("%08x", crc32.Checksum(b[:len(b)-tail+1], castagnoli))
	return string(b[:len(b)-tail]), string(b[len(b)-tail+1:len(b)-1]) == want
}
