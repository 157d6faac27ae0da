package wire

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"teraslot/mailbox"
)

// drawKey makes a search key and its text.
func drawKey(t *rapid.T, depth int) (SearchKey, string) {
	kind := rapid.IntRange(0, 12).Draw(t, "kind")
	if depth == 0 {
		kind = rapid.IntRange(0, 8).Draw(t, "leaf")
	}
	switch kind {
	case 0:
		name := rapid.SampledFrom([]string{"ALL", "SEEN", "UNSEEN", "NEW", "OLD", "draft", "SAVEDATESUPPORTED"}).Draw(t, "name")
		return plainKeys[strings.ToUpper(name)], name
	case 1:
		name := rapid.SampledFrom([]string{"TEXT", "BODY", "SUBJECT", "FROM", "TO", "CC", "BCC"}).Draw(t, "name")
		value := drawString(t)
		return Text{Field: textKeys[name], Value: value}, name + " " + string(appendAString(nil, value, false))
	case 2:
		name, value := drawString(t), drawString(t)
		return Text{Field: TextHeader, Name: name, Value: value},
			"HEADER " + string(appendAString(nil, name, false)) + " " + string(appendAString(nil, value, false))
	case 3:
		name := rapid.SampledFrom([]string{"BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE", "SAVEDBEFORE", "SAVEDON", "SAVEDSINCE"}).Draw(t, "name")
		day := dayKeys[name]
		day.Date = rapid.Int32Range(-200000, 200000).Draw(t, "day")
		return day, name + " " + time.Unix(int64(day.Date)*86400, 0).UTC().Format("2-Jan-2006")
	case 4:
		n := rapid.Int64Min(0).Draw(t, "size")
		return Larger{n}, fmt.Sprint("LARGER ", n)
	case 5:
		s, text := drawSet(t)
		return Numbers{s}, text
	case 6:
		s, text := drawSet(t)
		return UIDs{s}, "UID " + text
	case 7:
		n := rapid.Uint32Min(1).Draw(t, "seconds")
		return Younger{n}, fmt.Sprint("YOUNGER ", n)
	case 8:
		n := rapid.Uint64Max(1<<63-1).Draw(t, "modseq")
		return ModSeq{Value: mailbox.ModSeq(n)}, fmt.Sprint("MODSEQ ", n)
	case 9:
		key, text := drawKey(t, depth-1)
		return Not{key}, "NOT " + text
	case 10:
		a, aText := drawKey(t, depth-1)
		b, bText := drawKey(t, depth-1)
		return Or{a, b}, "OR " + aText + " " + bText
	case 11:
		key, text := drawKey(t, depth-1)
		return Fuzzy{key}, "fuzzy (" + text + ")"
	}
	keys, text := drawKeys(t, depth-1, 2)
	return keys, "(" + text + ")"
}

func drawKeys(t *rapid.T, depth, least int) (And, string) {
	var keys And
	var texts []string
	for range rapid.IntRange(least, 4).Draw(t, "keys") {
		key, text := drawKey(t, depth)
		keys, texts = append(keys, key), append(texts, text)
	}
	return keys, strings.Join(texts, " ")
}

// drawString makes octets without NUL.
func drawString(t *rapid.T) string {
	return string(rapid.SliceOfN(rapid.ByteMin(1), 0, 12).Draw(t, "octets"))
}

func drawSet(t *rapid.T) (Set, string) {
	if rapid.IntRange(0, 9).Draw(t, "saved") == 0 {
		return Set{Saved: true}, "$"
	}
	number := func() (uint32, string) {
		n := rapid.OneOf(rapid.Uint32Max(9), rapid.Uint32()).Draw(t, "number")
		if n == Star {
			return n, "*"
		}
		return n, fmt.Sprint(n)
	}
	var s Set
	var texts []string
	for range rapid.IntRange(1, 4).Draw(t, "ranges") {
		from, text := number()
		to := from
		if rapid.Bool().Draw(t, "range") {
			var end string
			to, end = number()
			text += ":" + end
		}
		s.Ranges, texts = append(s.Ranges, SetRange{from, to}), append(texts, text)
	}
	return s, strings.Join(texts, ",")
}

func TestAnySearchIsReadAsItWasMeant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys, text := drawKeys(t, 4, 1)
		c, err := parse("UID SEARCH "+text, false)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := c.(*Search).Key; !reflect.DeepEqual(got, keys) {
			t.Fatalf("%q:\ngot  %#v\nwant %#v", text, got, keys)
		}
	})
}

// The oracle asks of each number whether one of the ranges holds it.
func TestSetsAgainstEveryNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const top = 12
		number := rapid.Uint32Max(top)
		var s Set
		for range rapid.IntRange(0, 5).Draw(t, "ranges") {
			s.Ranges = append(s.Ranges, SetRange{number.Draw(t, "from"), number.Draw(t, "to")})
		}
		last := number.Draw(t, "last")
		var uids []mailbox.UID
		var numbers []uint32
		allThere := true
		for n := uint32(1); n <= top; n++ {
			if !holds(s, n, last) {
				continue
			}
			uids = append(uids, mailbox.UID(n))
			if n <= last {
				numbers = append(numbers, n)
			} else {
				allThere = false
			}
		}
		if got := s.UIDs(mailbox.UID(last)); !got.Equal(mailbox.UIDs(uids...)) {
			t.Fatalf("%v of %d: UIDs %s, want %v", s, last, got, uids)
		}
		ranges, ok := s.Numbers(last)
		var got []uint32
		for i, r := range ranges {
			if i > 0 && r.From <= ranges[i-1].To+1 {
				t.Fatalf("%v of %d: %v touch or overlap", s, last, ranges)
			}
			for n := r.From; n <= r.To; n++ {
				got = append(got, n)
			}
		}
		if !slices.Equal(got, numbers) || ok != (allThere && (last > 0 || !s.HasStar())) {
			t.Fatalf("%v of %d: numbers %v, %v, want %v, %v", s, last, got, ok, numbers, allThere)
		}
	})
}

// holds says whether n is in s, where last is what "*" stands for.
func holds(s Set, n, last uint32) bool {
	for _, r := range s.Ranges {
		from, to := r.From, r.To
		if from == Star {
			from = last
		}
		if to == Star {
			to = last
		}
		if from == 0 { // "*" stands for nothing: only the other end is left
			from = to
		}
		if to == 0 {
			to = from
		}
		if from != 0 && n >= min(from, to) && n <= max(from, to) {
			return true
		}
	}
	return false
}
