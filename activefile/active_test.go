package activefile

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want Database
		ok   bool
	}{
		{"temp:264", Database{"temp", 264}, true},
		{"data:0", Database{"data", 0}, true},
		{"t2:9223372036854775806", Database{"t2", 9223372036854775806}, true},
		{text: ""}, {text: ":"}, {text: "temp"}, {text: "temp:"}, {text: ":1"}, {text: "temp:x"}, {text: "temp:-1"},
		{text: "temp:01"}, {text: "temp:+1"}, {text: "temp:1 "}, {text: " temp:1"}, {text: "Temp:1"}, {text: "te-mp:1"},
		{text: "2t:1"}, {text: "temp:1:2"}, {text: "../x:1"}, {text: "temp:9223372036854775807"},
		{text: "temp:18446744073709551616"}, {text: strings.Repeat("a", 33) + ":1"},
	} {
		got, err := Parse(c.text)
		if got != c.want || (err == nil) != c.ok || err != nil && !errors.Is(err, ErrDatabase) {
			t.Errorf("Parse(%q) = %v, %v", c.text, got, err)
		}
		if c.ok && got.String() != c.text {
			t.Errorf("%q: String %q", c.text, got.String())
		}
	}
}

// summed appends a right checksum to the text.
func summed(text string) string {
	return fmt.Sprintf("%s%08x\n", text, crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)))
}

func TestFormat(t *testing.T) {
	a := Active{
		Databases: []Database{{"temp", 264}, {"archive", 2}, {"data", 37}},
		Next:      map[string]uint64{"temp": 265, "data": 38, "archive": 4, "meta": 9},
		Floor:     1700000000,
	}
	want := "temp:264 archive:2 data:37\n#1 1700000000 archive:4 data:38 meta:9 temp:265 0ffac89c\n"
	got := string(a.append(nil))
	if got != want {
		t.Errorf("written %q, want %q", got, want)
	}
	if s := string(Active{}.append(nil)); s != summed("\n#1 0 ") {
		t.Errorf("the zero Active is written %q", s)
	}
}

func TestParseDamaged(t *testing.T) {
	good := string(Active{Databases: []Database{{"temp", 1}}, Next: map[string]uint64{"temp": 2}}.append(nil))
	bad := map[string]string{
		"empty":                    "",
		"no second line":           "temp:1\n",
		"as the reference has it":  "temp:1 data:2",
		"cut short":                good[:len(good)-1],
		"longer":                   good + "\n",
		"version":                  summed("\n1 0 "),
		"no version":               summed("\n"),
		"no floor":                 summed("\n#1 "),
		"floor":                    summed("\n#1 x "),
		"floor out of range":       summed("\n#1 9223372036854775807 "),
		"written otherwise":        summed("\n#1 00 "),
		"database":                 summed("temp\n#1 0 temp:2 "),
		"database twice":           summed("temp:1 temp:1\n#1 0 temp:2 "),
		"generation not given":     summed("temp:2\n#1 0 temp:2 "),
		"tier without counter":     summed("temp:1\n#1 0 data:2 "),
		"counter":                  summed("\n#1 0 temp:x "),
		"counters out of order":    summed("\n#1 0 temp:1 data:1 "),
		"counter twice":            summed("\n#1 0 temp:1 temp:2 "),
		"two spaces":               summed("temp:1  temp:2\n#1 0 temp:3 "),
		"a third line":             summed("\n#1 0\n "),
		"zeros, as after a crash":  strings.Repeat("\x00", len(good)),
		"checksum in capitals":     good[:len(good)-9] + strings.ToUpper(good[len(good)-9:]),
		"end of the line differs":  good[:len(good)-1] + "\r",
		"a line end of DOS":        summed("\r\n#1 0 "),
		"a space after the tiers":  summed("temp:1 \n#1 0 temp:2 "),
		"a name that is no name":   summed("a/b:1\n#1 0 a/b:2 "),
		"a counter without limits": summed("\n#1 0 temp:9223372036854775807 "),
	}
	for i := range good { // each bit of it
		for bit := range 8 {
			b := []byte(good)
			b[i] ^= 1 << bit
			bad[fmt.Sprintf("byte %d, bit %d", i, bit)] = string(b)
		}
	}
	for name, text := range bad {
		if name == "checksum in capitals" && text == good {
			continue // it has no letters
		}
		if a, err := parse([]byte(text)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %q is read as %v, %v", name, text, a, err)
		}
	}
	if _, err := parse([]byte(good)); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestVersion(t *testing.T) {
	for _, text := range []string{"\n#2 0 ", "temp:1\n#10 0 temp:2 ", "what will be\n# "} {
		if a, err := parse([]byte(summed(text))); !errors.Is(err, ErrVersion) || errors.Is(err, ErrDamaged) {
			t.Errorf("%q is read as %v, %v", text, a, err)
		}
	}
}

// FuzzParse: whatever is read is written the same; nothing panics.
func FuzzParse(f *testing.F) {
	f.Add([]byte(summed("temp:1 data:2\n#1 7 data:3 temp:2 ")))
	f.Add([]byte(summed("\n#1 0 ")))
	f.Add([]byte("temp:1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, text := range []string{string(b), summed(string(b))} {
			a, err := parse([]byte(text))
			if err != nil {
				if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
					t.Errorf("%q: %v", text, err)
				}
				continue
			}
			if got := string(a.append(nil)); got != text {
				t.Errorf("%q is written %q", text, got)
			}
		}
	})
}

var tierNames = rapid.SampledFrom([]string{"temp", "meta", "data", "archive", "t2"})

// anyActive draws what may be published.
var anyActive = rapid.Custom(func(t *rapid.T) Active {
	a := Active{Next: rapid.MapOf(tierNames, rapid.Uint64Range(0, maxGeneration-1)).Draw(t, "next"),
		Floor: rapid.Uint64Range(0, maxGeneration-1).Draw(t, "floor")}
	for _, tier := range rapid.SliceOfN(tierNames, 0, 6).Draw(t, "tiers") {
		if a.Next[tier] == 0 {
			continue
		}
		d := Database{tier, rapid.Uint64Range(0, a.Next[tier]-1).Draw(t, "generation")}
		if !a.Contains(d) {
			a.Databases = append(a.Databases, d)
		}
	}
	return a
})

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anyActive.Draw(t, "active")
		b, err := parse(a.append(nil))
		if err != nil || !b.Equal(a) {
			t.Fatalf("%v is read as %v, %v", a, b, err)
		}
	})
}
