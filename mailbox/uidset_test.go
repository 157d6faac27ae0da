package mailbox

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const maxUID = UID(math.MaxUint32)

func TestUIDSetString(t *testing.T) {
	for _, c := range []struct {
		set  UIDSet
		want string
	}{
		{UIDSet{}, ""},
		{UIDs(7), "7"},
		{UIDs(3, 1, 2, 2), "1:3"},
		{UIDs(0), ""},
		{UIDs(0, 1, 0), "1"},
		{UIDRange(9, 4), "4:9"},
		{UIDRange(0, 2), "1:2"},
		{UIDRange(0, 0), ""},
		{UIDRange(1, maxUID), "1:4294967295"},
		{UIDs(maxUID, 1, maxUID-1), "1,4294967294:4294967295"},
		{UIDs(5, 1, 3), "1,3,5"},
	} {
		if got := c.set.String(); got != c.want {
			t.Errorf("%v is written %q, want %q", c.set.ranges, got, c.want)
		}
		if got := string(c.set.Append([]byte("UID "))); got != "UID "+c.want {
			t.Errorf("appended %q", got)
		}
	}
}

func TestAddRangeMerges(t *testing.T) {
	for _, c := range []struct{ have, add, want string }{
		{"5", "6", "5:6"}, {"5", "4", "4:5"}, {"5", "7", "5,7"}, {"5", "3", "3,5"}, {"5,7", "6", "5:7"},
		{"1:3,10:12,20", "4:9", "1:12,20"}, {"1:3,10:12,20", "2:25", "1:25"}, {"1:3,10:12,20", "5", "1:3,5,10:12,20"},
		{"10:20", "12:15", "10:20"}, {"10:20", "1:30", "1:30"}, {"10:20", "20:30", "10:30"}, {"10:20", "1:10", "1:20"},
		{"4294967295", "4294967294", "4294967294:4294967295"}, {"1", "4294967295", "1,4294967295"},
		{"2:4294967295", "1", "1:4294967295"}, {"1:4294967294", "4294967295", "1:4294967295"},
		{"5,4294967295", "6:4294967294", "5:4294967295"}, {"1:4294967295", "7", "1:4294967295"},
	} {
		s, err := ParseUIDSet(c.have)
		add, err2 := ParseUIDSet(c.add)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		s.AddSet(add)
		if got := s.String(); got != c.want {
			t.Errorf("%s and %s are %s, want %s", c.have, c.add, got, c.want)
		}
	}
}

func TestParseUIDSet(t *testing.T) {
	for text, want := range map[string]string{
		"1": "1", "4:2": "2:4", "1:3,2:9": "1:9", "9,1,5": "1,5,9", "4294967295:1": "1:4294967295", "3:3": "3",
	} {
		if s, err := ParseUIDSet(text); err != nil || s.String() != want {
			t.Errorf("%q is read as %s, %v; want %s", text, s, err, want)
		}
	}
	for _, text := range []string{
		"", ",", "1,", ",1", "1,,2", "0", "0:5", "5:0", "1:", ":1", "1:2:3", "*", "1:*", "-1", "+1", " 1", "1 ", "1, 2", "a", "0x1", "1_0",
		"4294967296", "99999999999999999999", "1\x00", "01", "1:02",
	} {
		if s, err := ParseUIDSet(text); !errors.Is(err, ErrUIDSet) || !s.IsEmpty() {
			t.Errorf("%q is read as %s, %v", text, s, err)
		}
	}
}

func FuzzParseUIDSet(f *testing.F) {
	for _, text := range []string{"1", "1:4294967295", "3,1:2", "4294967295,4294967294", "0", "1,"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseUIDSet(text)
		if err != nil {
			if !s.IsEmpty() {
				t.Errorf("%q: %v and an error", text, s)
			}
			return
		}
		checkRanges(t, s)
		again, err := ParseUIDSet(s.String())
		if err != nil || !again.Equal(s) {
			t.Errorf("%q is read as %s, that as %s, %v", text, s, again, err)
		}
	})
}

// checkRanges checks what UIDSet promises of its ranges.
func checkRanges(t interface{ Fatalf(string, ...any) }, s UIDSet) {
	last := uint64(0)
	for i, r := range s.Ranges() {
		if r.Lo == 0 || r.Lo > r.Hi || i > 0 && uint64(r.Lo) <= last+1 {
			t.Fatalf("ranges %v", s.Ranges())
		}
		last = uint64(r.Hi)
	}
}

// anyUID draws UIDs close together at both ends of what there is.
var anyUID = rapid.Custom(func(t *rapid.T) UID {
	n := rapid.Uint32Range(0, 40).Draw(t, "n")
	if rapid.IntRange(0, 4).Draw(t, "high") == 0 {
		return maxUID - UID(n)
	}
	return UID(n)
})

// smallRange draws a range of which a map can hold each UID.
func smallRange(t *rapid.T) (UID, UID) {
	lo := anyUID.Draw(t, "lo")
	width := UID(rapid.Uint32Range(0, 6).Draw(t, "width"))
	if lo > maxUID-width {
		return lo, maxUID
	}
	return lo, lo + width
}

// model is a set of UIDs as simple as can be.
type model map[UID]bool

func (m model) addRange(lo, hi UID) {
	for u := uint64(lo); u <= uint64(hi); u++ {
		if u > 0 {
			m[UID(u)] = true
		}
	}
}

func (m model) sorted() []UID { return slices.Sorted(maps.Keys(m)) }

func TestUIDSetAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s UIDSet
		m := model{}
		t.Repeat(map[string]func(*rapid.T){
			"Add": func(t *rapid.T) {
				u := anyUID.Draw(t, "uid")
				s.Add(u)
				m.addRange(u, u)
			},
			"AddRange": func(t *rapid.T) {
				lo, hi := smallRange(t)
				m.addRange(lo, hi)
				if rapid.Bool().Draw(t, "swap") {
					lo, hi = hi, lo
				}
				s.AddRange(lo, hi)
			},
			"AddSet": func(t *rapid.T) {
				uids := rapid.SliceOf(anyUID).Draw(t, "uids")
				before := slices.Clone(uids)
				other := UIDs(uids...)
				if !slices.Equal(uids, before) {
					t.Fatal("UIDs changed its argument")
				}
				s.AddSet(other)
				for _, u := range uids {
					m.addRange(u, u)
				}
			},
			"Clone": func(t *rapid.T) {
				c := s.Clone()
				c.AddRange(1, maxUID)
				s = s.Clone()
			},
			"": func(t *rapid.T) { same(t, s, m) },
		})
	})
}

// same compares all that can be asked of a set with the model's answer.
func same(t *rapid.T, s UIDSet, m model) {
	checkRanges(t, s)
	want := m.sorted()
	if got := slices.Collect(s.All()); !slices.Equal(got, want) {
		t.Fatalf("All: %v, want %v", got, want)
	}
	if s.Len() != uint64(len(m)) || s.IsEmpty() != (len(m) == 0) {
		t.Fatalf("Len %d, IsEmpty %v, want %d", s.Len(), s.IsEmpty(), len(m))
	}
	if again := UIDs(want...); !again.Equal(s) || again.String() != s.String() {
		t.Fatalf("%v is not equal to %v", s, again)
	}
	if !s.IsEmpty() {
		if again, err := ParseUIDSet(s.String()); err != nil || !again.Equal(s) {
			t.Fatalf("%s is read as %s, %v", s, again, err)
		}
	}
	u := anyUID.Draw(t, "asked")
	if s.Contains(u) != m[u] {
		t.Fatalf("Contains(%d) of %s is %v", u, s, s.Contains(u))
	}
	mailbox := slices.Compact(slices.Sorted(slices.Values(rapid.SliceOf(anyUID).Draw(t, "mailbox"))))
	var at []int
	for i, u := range mailbox {
		if m[u] {
			at = append(at, i)
		}
	}
	if got := slices.Collect(s.Of(mailbox)); !slices.Equal(got, at) {
		t.Fatalf("Of(%v) of %s is %v, want %v", mailbox, s, got, at)
	}
}

// TestIterationStops: a loop may be left.
func TestIterationStops(t *testing.T) {
	s := UIDRange(1, maxUID)
	n := 0
	for u := range s.All() {
		if n++; u != UID(n) || n == 3 {
			break
		}
	}
	for i := range s.Of([]UID{1, 2, 3}) {
		n += 10
		if i == 1 {
			break
		}
	}
	if n != 23 {
		t.Errorf("counted %d", n)
	}
}

// TestWideSetsAreCheap: what a client may send costs its text, not its width.
func TestWideSetsAreCheap(t *testing.T) {
	s, err := ParseUIDSet("1:4294967295")
	if err != nil || s.Len() != math.MaxUint32 || len(s.Ranges()) != 1 {
		t.Fatalf("%v, %v", s, err)
	}
	if got := slices.Collect(s.Of([]UID{1, 5, maxUID})); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("Of: %v", got)
	}
	end := UIDRange(maxUID-1, maxUID)
	if got := slices.Collect(end.All()); !slices.Equal(got, []UID{maxUID - 1, maxUID}) {
		t.Errorf("All at the end: %v", got)
	}
	// A million UIDs in falling order, none beside another.
	var b strings.Builder
	for i := 2_000_000; i > 1; i -= 2 {
		b.WriteString(UIDs(UID(i)).String())
		b.WriteByte(',')
	}
	b.WriteString("1")
	if s, err = ParseUIDSet(b.String()); err != nil || s.Len() != 1_000_001 {
		t.Errorf("%d, %v", s.Len(), err)
	}
}
