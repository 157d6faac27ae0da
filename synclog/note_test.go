package synclog

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"teraslot/mailbox"
)

const (
	alice = mailbox.User("0123456789abcdef0123456789abcdef")
	bob   = mailbox.User("ffffffffffffffffffffffffffffffff")
	inbox = mailbox.ID("0123456789abcdef01234567")
	trash = mailbox.ID("89abcdef0123456789abcdef")
)

func TestLine(t *testing.T) {
	n := Note{alice, inbox}
	want := "1 0123456789abcdef0123456789abcdef 0123456789abcdef01234567 8397afe9\n"
	if got := string(n.appendLine(nil)); got != want || len(got) != maxLine+1 {
		t.Errorf("line %q, want %q", got, want)
	}
	if got := string(Note{User: alice}.appendLine(nil)); !strings.HasPrefix(got, "1 "+string(alice)+" - ") {
		t.Errorf("line %q", got)
	}
}

func TestParseLine(t *testing.T) {
	good := strings.TrimSuffix(string(Note{alice, inbox}.appendLine(nil)), "\n")
	bad := []string{"", "1", good[:len(good)-1], good + " ", " " + good, strings.ToUpper(good), strings.Replace(good, "1 ", "2 ", 1)}
	for i := range good {
		b := []byte(good)
		b[i] ^= 1
		bad = append(bad, string(b))
	}
	for _, line := range bad {
		if n, ok := parseLine(line); ok {
			t.Errorf("%q is read as %v", line, n)
		}
	}
	for _, n := range []Note{{alice, inbox}, {User: bob}} {
		line := strings.TrimSuffix(string(n.appendLine(nil)), "\n")
		if got, ok := parseLine(line); !ok || got != n {
			t.Errorf("%q is read as %v, %v", line, got, ok)
		}
	}
}

func lines(notes ...Note) string {
	var b []byte
	for _, n := range notes {
		b = n.appendLine(b)
	}
	return string(b)
}

func TestParse(t *testing.T) {
	a, b, c := Note{alice, inbox}, Note{alice, trash}, Note{User: bob}
	whole := lines(a, b, c)
	for name, test := range map[string]struct {
		content string
		want    []Note
		damaged int
	}{
		"empty":                      {"", nil, 0},
		"whole":                      {whole, []Note{a, b, c}, 0},
		"coalesced":                  {lines(a, b, a, a, c, b), []Note{a, b, c}, 0},
		"torn tail":                  {whole[:len(whole)-5], []Note{a, b}, 1},
		"tail without its line end":  {whole[:len(whole)-1], []Note{a, b, c}, 0},
		"appended after a torn tail": {whole[:len(whole)-5] + "\n" + lines(a), []Note{a, b}, 1},
		"after a whole tail":         {whole + "\n" + lines(a), []Note{a, b, c}, 0},
		"zeros in between":           {lines(a) + strings.Repeat("\x00", 60) + "\n" + lines(c), []Note{a, c}, 1},
		"zeros only":                 {strings.Repeat("\x00", 60), nil, 1},
		"a damaged line":             {lines(a) + "x" + lines(b) + lines(c), []Note{a, c}, 1},
	} {
		got, damaged := parse(test.content)
		if !slices.Equal(got, test.want) || damaged != test.damaged {
			t.Errorf("%s: %v, %d damaged; want %v, %d", name, got, damaged, test.want, test.damaged)
		}
	}
}

// FuzzParse: every note that is read stands there as a line.
func FuzzParse(f *testing.F) {
	f.Add(lines(Note{alice, inbox}, Note{User: bob}))
	f.Add("1 x\n\n\x00")
	f.Fuzz(func(t *testing.T, content string) {
		notes, _ := parse(content)
		for _, n := range notes {
			if !strings.Contains(content+"\n", lines(n)) || !n.valid() {
				t.Errorf("%q is read as %v", content, n)
			}
		}
	})
}

var anyNote = rapid.Custom(func(t *rapid.T) Note {
	return Note{rapid.SampledFrom([]mailbox.User{alice, bob}).Draw(t, "user"),
		rapid.SampledFrom([]mailbox.ID{"", inbox, trash}).Draw(t, "mailbox")}
})

func TestParseFindsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		notes := rapid.SliceOf(anyNote).Draw(t, "notes")
		want := map[Note]bool{}
		for _, n := range notes {
			want[n] = true
		}
		got, damaged := parse(lines(notes...))
		if len(got) != len(want) || damaged != 0 {
			t.Fatalf("%d of %d notes, %d damaged", len(got), len(want), damaged)
		}
		for _, n := range got {
			if !want[n] {
				t.Fatalf("%v was never noted", n)
			}
		}
	})
}
