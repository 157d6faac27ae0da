package synthetic

import (
	"bytes"
	"net/mail"
	"strings"
	"testing"
	"unicode"

	"teraslot/message"
)

func generate(o Options) (list []Message) {
	for m := range Messages(o) {
		list = append(list, m)
	}
	return list
}

// TestSameSeedSameOctets: message n is the same, whatever follows.
func TestSameSeedSameOctets(t *testing.T) {
	few, many, other := generate(Options{Seed: 3, Count: 50}), generate(Options{Seed: 3, Count: 200}), generate(Options{Seed: 4, Count: 50})
	if len(few) != 50 || len(many) != 200 {
		t.Fatalf("%d and %d messages", len(few), len(many))
	}
	for i, m := range few {
		if !bytes.Equal(m.Raw, many[i].Raw) {
			t.Fatalf("message %d differs", i)
		}
		if bytes.Equal(m.Raw, other[i].Raw) {
			t.Errorf("message %d is the same with another seed", i)
		}
	}
}

func TestStopsWhenNobodyListens(t *testing.T) {
	n := 0
	for range Messages(Options{Count: 1 << 40}) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d messages", n)
	}
}

// TestEveryMessageIsMail parses each with the standard library and finds what
// makes it one of a list: label, id, date, ids of those it answers, which came before.
func TestEveryMessageIsMail(t *testing.T) {
	ids := map[string]bool{}
	answers := 0
	for i, m := range generate(Options{Seed: 1, Count: 1500}) {
		parsed, err := mail.ReadMessage(bytes.NewReader(m.Raw))
		if err != nil {
			t.Fatalf("message %d: %v\n%s", i, err, m.Raw)
		}
		if !bytes.Contains(m.Raw, []byte("\r\n"+Label+"\r\n")) {
			t.Errorf("message %d does not say that it is synthetic", i)
		}
		if bare := bytes.ReplaceAll(m.Raw, []byte("\r\n"), nil); bytes.ContainsAny(bare, "\r\n") {
			t.Errorf("message %d has bare line ends", i)
		}
		id := parsed.Header.Get("Message-ID")
		if date, err := parsed.Header.Date(); err != nil || !date.Equal(m.Date) || id == "" || ids[id] {
			t.Errorf("message %d: date %v (%v), id %q", i, date, err, id)
		}
		ids[id] = true
		for _, ref := range strings.Fields(parsed.Header.Get("References")) {
			if !ids[ref] {
				t.Errorf("message %d answers %s, which was not before it", i, ref)
			}
		}
		if to := parsed.Header.Get("In-Reply-To"); to != "" {
			if answers++; !ids[to] {
				t.Errorf("message %d answers %s", i, to)
			}
		}
	}
	if answers < 600 {
		t.Errorf("%d answers of 1500", answers)
	}
}

// TestEveryKindLanguageAndScript: each occurs, patches are a third or so, and files
// are files.
func TestEveryKindLanguageAndScript(t *testing.T) {
	kinds, languages := map[Kind]int{}, map[string]int{}
	seen := map[string]bool{}
	tables := map[string]*unicode.RangeTable{"Latin": unicode.Latin, "Cyrillic": unicode.Cyrillic, "Greek": unicode.Greek, "Hebrew": unicode.Hebrew, "Arabic": unicode.Arabic,
		"Devanagari": unicode.Devanagari, "Hangul": unicode.Hangul, "Han": unicode.Han, "Hiragana": unicode.Hiragana, "Thai": unicode.Thai}
	for _, m := range generate(Options{Seed: 1, Count: 3000}) {
		kinds[m.Kind]++
		languages[m.Language]++
		s, err := message.Parse(bytes.NewReader(m.Raw), int64(len(m.Raw)))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(s.Root.Children), map[Kind]int{Alternative: 2, Attachment: 2}[m.Kind]; got != want {
			t.Errorf("%s: %d parts, want %d", m.Kind, got, want)
		}
		for name, table := range tables {
			seen[name] = seen[name] || strings.ContainsFunc(string(m.Raw), func(r rune) bool { return unicode.Is(table, r) })
		}
	}
	for _, k := range []Kind{Plain, Patch, Alternative, Attachment} {
		if kinds[k] < 30 {
			t.Errorf("%d of kind %s", kinds[k], k)
		}
	}
	for _, s := range scripts {
		if languages[s.language] == 0 {
			t.Errorf("no message in %s", s.language)
		}
	}
	for name := range tables {
		if !seen[name] {
			t.Errorf("no message in %s letters", name)
		}
	}
}

// TestFiles: so many messages carry a file as was asked for, and no others.
func TestFiles(t *testing.T) {
	carry, size := 0, 0
	for _, m := range generate(Options{Seed: 1, Count: 500, Files: 80}) {
		if size += len(m.Raw); m.Kind == Attachment {
			carry++
		}
	}
	if carry < 370 || carry > 430 {
		t.Errorf("%d of 500 messages carry a file, of 80 in 100", carry)
	}
	if size < 500*55_000 {
		t.Errorf("%d octets in 500 messages", size)
	}
}

// TestSpelling: a lexicon has few words that are spelled alike, and none is empty.
func TestSpelling(t *testing.T) {
	for _, l := range newGenerator(1).lexica {
		words := map[string]bool{}
		for i := range uint64(20_000) {
			w := l.spell(i)
			if w == "" {
				t.Fatalf("%s: word %d is empty", l.language, i)
			}
			words[w] = true
		}
		if len(words) < 19_000 {
			t.Errorf("%s: %d words of 20000", l.language, len(words))
		}
	}
}

func TestFolded(t *testing.T) {
	for in, want := range map[string]string{"": "\r\n", "abc": "abc\r\n", "abcd": "abcd\r\n", "abcde": "abcd\r\ne\r\n", "abcdefgh": "abcd\r\nefgh\r\n"} {
		if got := folded(in, 4); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
