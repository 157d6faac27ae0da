package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"teraslot/mailbox"
)

// found is SEARCH with these keys.
func found(keys ...SearchKey) *Search { return &Search{Criteria: Criteria{Key: keys}} }

func dayOf(year int, month time.Month, day int) int32 {
	return mailbox.DateOf(time.Date(year, month, day, 12, 0, 0, 0, time.UTC)).Day()
}

func TestParseSearchKeys(t *testing.T) {
	feb := dayOf(1994, time.February, 1)
	runParseTests(t, []parseTest{
		{text: "SEARCH ALL", want: found(All{})},
		{text: "SEARCH ANSWERED deleted DRAFT FLAGGED SEEN RECENT", want: found(HasFlag{`\Answered`}, HasFlag{`\Deleted`}, HasFlag{`\Draft`}, HasFlag{`\Flagged`}, HasFlag{`\Seen`}, HasFlag{`\Recent`})},
		{text: "SEARCH UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNSEEN OLD", want: found(Not{HasFlag{`\Answered`}}, Not{HasFlag{`\Deleted`}}, Not{HasFlag{`\Draft`}}, Not{HasFlag{`\Flagged`}}, Not{HasFlag{`\Seen`}}, Not{HasFlag{`\Recent`}})},
		{text: "SEARCH NEW", want: found(And{HasFlag{`\Recent`}, Not{HasFlag{`\Seen`}}})},
		{text: "SEARCH KEYWORD $x UNKEYWORD y]", want: found(HasFlag{"$x"}, Not{HasFlag{"y]"}})},
		{text: `SEARCH BCC a BODY "b c" CC {1+}` + "\r\nd FROM e SUBJECT f TEXT g TO h", want: found(
			Text{Field: TextBcc, Value: "a"}, Text{Field: TextBody, Value: "b c"}, Text{Field: TextCc, Value: "d"}, Text{Field: TextFrom, Value: "e"},
			Text{Field: TextSubject, Value: "f"}, Text{Field: TextAll, Value: "g"}, Text{Field: TextTo, Value: "h"})},
		{text: `SEARCH TEXT "" HEADER X-Y ""`, want: found(Text{}, Text{Field: TextHeader, Name: "X-Y"})},
		{text: `SEARCH HEADER Message-ID <a@b>`, want: found(Text{Field: TextHeader, Name: "Message-ID", Value: "<a@b>"})},
		{text: `SEARCH BEFORE 1-Feb-1994 ON "01-feb-1994" SINCE 1-FEB-1994`, want: found(Day{Date: feb, Rel: Before}, Day{Date: feb, Rel: On}, Day{Date: feb, Rel: Since})},
		{text: `SEARCH SENTBEFORE 1-Feb-1994 SENTON 1-Feb-1994 SENTSINCE 1-Feb-1994`, want: found(Day{SentDay, Before, feb}, Day{SentDay, On, feb}, Day{SentDay, Since, feb})},
		{text: `SEARCH SAVEDBEFORE 1-Feb-1994 SAVEDON 1-Feb-1994 SAVEDSINCE 1-Feb-1994 SAVEDATESUPPORTED`, want: found(Day{SavedDay, Before, feb}, Day{SavedDay, On, feb}, Day{SavedDay, Since, feb}, SaveDateSupported{})},
		{text: "SEARCH LARGER 0 SMALLER 9223372036854775807", want: found(Larger{0}, Smaller{1<<63 - 1})},
		{text: "SEARCH 2:4,7 UID 1:* $ UID $", want: found(Numbers{set(SetRange{2, 4}, SetRange{7, 7})}, UIDs{set(SetRange{1, Star})}, Numbers{Set{Saved: true}}, UIDs{Set{Saved: true}})},
		{text: "SEARCH *:4", want: found(Numbers{set(SetRange{Star, 4})})},
		{text: "SEARCH NOT SEEN", want: found(Not{HasFlag{`\Seen`}})},
		{text: "SEARCH OR SEEN NOT 1", want: found(Or{HasFlag{`\Seen`}, Not{Numbers{one(1)}}})},
		{text: "SEARCH (SEEN)", want: found(HasFlag{`\Seen`})},
		{text: "SEARCH ((SEEN DRAFT) (OR ALL (1 2)))", want: found(And{And{HasFlag{`\Seen`}, HasFlag{`\Draft`}}, Or{All{}, And{Numbers{one(1)}, Numbers{one(2)}}}})},
		{text: "SEARCH YOUNGER 1 OLDER 4294967295", want: found(Younger{1}, Older{4294967295})},
		{text: "SEARCH MODSEQ 0", want: found(ModSeq{})},
		{text: `SEARCH MODSEQ "/comment" all 5`, bad: "an entry such as"},
		{text: `SEARCH MODSEQ "/flags/" all 5`, bad: "an entry such as"},
		{text: `SEARCH MODSEQ "/flags/a b" all 5`, bad: "an entry such as"},
		{text: `SEARCH MODSEQ "/flags/\\draft" ALL 620162338`, want: found(ModSeq{`/flags/\draft`, "all", 620162338})},
		{text: "SEARCH EMAILID M6d99ac3275bb4e THREADID T64b478a75b7ea9", want: found(EmailID{"M6d99ac3275bb4e"}, ThreadID{"T64b478a75b7ea9"})},
		{text: "SEARCH FUZZY (SUBJECT x FROM y)", want: found(Fuzzy{And{Text{Field: TextSubject, Value: "x"}, Text{Field: TextFrom, Value: "y"}}})},
		{text: "SEARCH FILTER on-the-road", want: found(NamedFilter{"on-the-road"})},
		{text: "SEARCH TEXT j\xf6rg", want: found(Text{Value: "j\xf6rg"})},
	})
}

func TestParseSearchErrors(t *testing.T) {
	runParseTests(t, []parseTest{
		{text: "SEARCH", bad: "expected SP"},
		{text: "SEARCH ", bad: "a search key"},
		{text: "SEARCH FOO", bad: "octet 9: expected a known search key"},
		{text: "SEARCH ALL  SEEN", bad: "a search key"},
		{text: "SEARCH ()", bad: "a search key"},
		{text: "SEARCH (ALL", bad: "expected SP"},
		{text: "SEARCH ALL)", bad: "the end of the command"},
		{text: "SEARCH NOT", bad: "expected SP"},
		{text: "SEARCH OR ALL", bad: "expected SP"},
		{text: "SEARCH TEXT", bad: "expected SP"},
		{text: "SEARCH HEADER x", bad: "expected SP"},
		{text: `SEARCH KEYWORD \Seen`, bad: "a keyword"},
		{text: "SEARCH BEFORE 31-Feb-1994", bad: "octet 16: expected a day of the calendar"},
		{text: "SEARCH BEFORE 0-Feb-1994", bad: "a day of the calendar"},
		{text: "SEARCH BEFORE 1-Foo-1994", bad: "a month"},
		{text: "SEARCH BEFORE 1-anf-1994", bad: "a month"},
		{text: "SEARCH BEFORE 1-Feb-94", bad: "a year of four digits"},
		{text: "SEARCH BEFORE 1994-02-01", bad: "expected -"},
		{text: `SEARCH BEFORE "1-Feb-1994`, bad: `expected "`},
		{text: "SEARCH BEFORE x", bad: "a date"},
		{text: "SEARCH LARGER -1", bad: "a number"},
		{text: "SEARCH SMALLER 9223372036854775808", bad: "a number"},
		{text: "SEARCH OLDER 0", bad: "a number from 1"},
		{text: "SEARCH 0", bad: "a number from 1"},
		{text: "SEARCH UID", bad: "expected SP"},
		{text: `SEARCH MODSEQ "/flags/x" some 1`, bad: "priv, shared or all"},
		{text: "SEARCH MODSEQ x", bad: "a mod-sequence"},
		{text: "SEARCH CHARSET UTF-8", bad: "expected SP"},
		{text: "SEARCH RETURN ALL", bad: "a list of return options"},
		{text: "SEARCH RETURN (MIN)", bad: "expected SP"},
		{text: "SEARCH RETURN (FOO) ALL", bad: "a known return option"},
		{text: "SEARCH RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL", bad: "PARTIAL once"},
	})
}

func TestParseSearchFamily(t *testing.T) {
	seen := And{HasFlag{`\Seen`}}
	runParseTests(t, []parseTest{
		{text: "UID SEARCH CHARSET utf-8 SEEN", want: &Search{UID: true, Criteria: Criteria{"UTF-8", seen}}},
		{text: `SEARCH RETURN () CHARSET "us-ascii" SEEN`, want: &Search{Return: &Return{All: true}, Criteria: Criteria{"US-ASCII", seen}}},
		{text: "SEARCH return (MIN max ALL COUNT) SEEN", want: &Search{Return: &Return{Min: true, Max: true, All: true, Count: true}, Criteria: Criteria{"", seen}}},
		{text: "SEARCH RETURN (SAVE) SEEN", want: &Search{Return: &Return{Save: true}, Criteria: Criteria{"", seen}}},
		{text: "SEARCH RETURN (PARTIAL -1:-100 RELEVANCY CONTEXT UPDATE) SEEN", want: &Search{Criteria: Criteria{"", seen},
			Return: &Return{Partial: &Partial{-1, -100}, Relevancy: true, Context: true, Update: true}}},
		{text: "SORT (SUBJECT REVERSE date) UTF-8 SEEN", want: &Sort{By: []SortKey{{"SUBJECT", false}, {"DATE", true}}, Criteria: Criteria{"UTF-8", seen}}},
		{text: "UID SORT RETURN (COUNT) (ARRIVAL CC FROM SIZE TO DISPLAYFROM DISPLAYTO RELEVANCY) us-ascii SEEN", want: &Sort{UID: true, Return: &Return{Count: true},
			By:       []SortKey{{"ARRIVAL", false}, {"CC", false}, {"FROM", false}, {"SIZE", false}, {"TO", false}, {"DISPLAYFROM", false}, {"DISPLAYTO", false}, {"RELEVANCY", false}},
			Criteria: Criteria{"US-ASCII", seen}}},
		{text: "SORT () UTF-8 SEEN", bad: "a sort criterion"},
		{text: "SORT (FOO) UTF-8 SEEN", bad: "a known sort criterion"},
		{text: "SORT (REVERSE) UTF-8 SEEN", bad: "expected SP"},
		{text: "SORT (REVERSE REVERSE DATE) UTF-8 SEEN", bad: "a known sort criterion"},
		{text: "SORT (DATE) UTF-8", bad: "expected SP"},
		{text: "SORT DATE UTF-8 SEEN", bad: "a list of sort criteria"},
		{text: "UID THREAD references UTF-8 SEEN", want: &Thread{UID: true, Algorithm: imap.ThreadReferences, Criteria: Criteria{"UTF-8", seen}}},
		{text: "THREAD ORDEREDSUBJECT UTF-8", bad: "expected SP"},
		{text: "ESEARCH SEEN", want: &ESearch{Criteria: Criteria{"", seen}}},
		{text: `ESEARCH IN (mailboxes "folder1" subtree-one (folder2 x) personal) RETURN (COUNT) CHARSET UTF-8 SEEN`, want: &ESearch{
			Sources: []Filter{{FilterMailboxes, []string{"folder1"}}, {FilterSubtreeOne, []string{"folder2", "x"}}, {Kind: FilterPersonal}},
			Return:  &Return{Count: true}, Criteria: Criteria{"UTF-8", seen}}},
		{text: "ESEARCH IN () SEEN", bad: "a mailbox filter"},
		{text: "ESEARCH IN (selected) ", bad: "a search key"},
	})
}

// The tree is as deep as the limit allows, and no deeper; each form of nesting counts.
func TestSearchDepth(t *testing.T) {
	for _, form := range []struct{ open, close string }{{"(", ")"}, {"NOT ", ""}, {"OR ALL ", ""}, {"FUZZY ", ""}, {"(SEEN NOT ", ")"}} {
		text := func(n int) string {
			return "SEARCH " + strings.Repeat(form.open, n) + "ALL" + strings.Repeat(form.close, n)
		}
		if _, err := parse(text(50), false); err != nil {
			t.Errorf("%q 50 deep: %v", form.open, err)
		}
		if _, err := parse(text(101), false); !errors.Is(err, ErrTooDeep) {
			t.Errorf("%q 101 deep: %v, want ErrTooDeep", form.open, err)
		}
		if _, err := parse(text(3000), false); !errors.Is(err, ErrTooDeep) {
			t.Errorf("%q 3000 deep: %v, want ErrTooDeep", form.open, err)
		}
	}
}

func TestDatesOfTheCalendar(t *testing.T) {
	for d := dayOf(1896, time.January, 1); d < dayOf(2104, time.January, 1); d += 3 {
		text := time.Unix(int64(d)*86400, 0).UTC().Format("2-Jan-2006")
		c, err := parse("SEARCH ON "+text, false)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if want := (Day{Rel: On, Date: d}); !reflect.DeepEqual(c.(*Search).Key[0], want) {
			t.Fatalf("%s: got %v, want %v", text, c.(*Search).Key[0], want)
		}
	}
}

func TestSetOfUIDs(t *testing.T) {
	tests := []struct {
		set  string
		last mailbox.UID
		want string
	}{
		{"1:*", 5, "1:5"},
		{"*:1", 5, "1:5"},
		{"3291:*", 5, "5:3291"},
		{"*", 5, "5"},
		{"*", 0, ""},
		{"*:*", 0, ""},
		{"7:*", 0, "7"},
		{"4,2:1,9", 5, "1:2,4,9"},
		{"1:4294967295", 5, "1:4294967295"},
		{"$", 5, ""},
	}
	for _, tt := range tests {
		c, err := parse("UID EXPUNGE "+tt.set, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.(*Expunge).UIDs.UIDs(tt.last).String(); got != tt.want {
			t.Errorf("%s of UIDs up to %d: got %s, want %s", tt.set, tt.last, got, tt.want)
		}
	}
}

func TestSetOfNumbers(t *testing.T) {
	tests := []struct {
		set    string
		exists uint32
		want   []SetRange
		ok     bool
	}{
		{"1:*", 5, []SetRange{{1, 5}}, true},
		{"*:4,5:7", 10, []SetRange{{4, 10}}, true},
		{"2,4:7,9,12:*", 15, []SetRange{{2, 2}, {4, 7}, {9, 9}, {12, 15}}, true},
		{"5,1:2,3,2:3", 5, []SetRange{{1, 3}, {5, 5}}, true},
		{"6", 5, nil, false},
		{"4:6", 5, []SetRange{{4, 5}}, false},
		{"7:*", 5, []SetRange{{5, 5}}, false},
		{"*", 0, nil, false},
		{"1:*", 0, nil, false},
		{"1", 0, nil, false},
		{"4294967295:*", 4294967295, []SetRange{{4294967295, 4294967295}}, true},
		{"1:4294967295", 3, []SetRange{{1, 3}}, false},
	}
	for _, tt := range tests {
		c, err := parse("COPY "+tt.set+" x", false)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := c.(*Copy).Set.Numbers(tt.exists)
		if !reflect.DeepEqual(got, tt.want) || ok != tt.ok {
			t.Errorf("%s of %d: got %v, %v, want %v, %v", tt.set, tt.exists, got, ok, tt.want, tt.ok)
		}
	}
}

// A set in falling order is the worst for a list that is kept sorted.
func TestHugeSetsCostLittle(t *testing.T) {
	var b strings.Builder
	n := 0
	for ; b.Len() < 63<<10; n++ {
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteString(string(appendOrdered(nil, []uint32{uint32(90000 - 2*n)})))
	}
	start := time.Now()
	c, err := parse("UID EXPUNGE "+b.String(), false)
	if err != nil {
		t.Fatal(err)
	}
	uids := c.(*Expunge).UIDs.UIDs(1)
	if uids.Len() != uint64(n) {
		t.Errorf("%d UIDs, want %d", uids.Len(), n)
	}
	if numbers, _ := c.(*Expunge).UIDs.Numbers(1 << 20); len(numbers) != n {
		t.Errorf("%d ranges, want %d", len(numbers), n)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("%d numbers took %v", n, took)
	}
}
