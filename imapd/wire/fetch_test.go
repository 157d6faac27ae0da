package wire

import (
	"fmt"
	"strings"
	"testing"
)

func peek(attrs ...FetchAttr) []FetchItem {
	var items []FetchItem
	for _, a := range attrs {
		items = append(items, FetchItem{Attr: a, Peek: true})
	}
	return items
}

// fetched is FETCH 1 of one item.
func fetched(item FetchItem) *Fetch { return &Fetch{Set: one(1), Items: []FetchItem{item}} }

// body is FETCH 1 BODY[…].
func body(s Section) *Fetch { return fetched(FetchItem{Attr: FetchSection, Section: s}) }

func TestParseFetch(t *testing.T) {
	from := func(text SectionText, part ...uint32) Section {
		return Section{Part: part, Text: text, Fields: []string{"FROM", "to"}}
	}
	runParseTests(t, []parseTest{
		{text: "FETCH 1 FAST", want: &Fetch{Set: one(1), Items: peek(FetchFlags, FetchInternalDate, FetchRFC822Size)}},
		{text: "FETCH 1 all", want: &Fetch{Set: one(1), Items: peek(FetchFlags, FetchInternalDate, FetchRFC822Size, FetchEnvelope)}},
		{text: "FETCH 1 FULL", want: &Fetch{Set: one(1), Items: peek(FetchFlags, FetchInternalDate, FetchRFC822Size, FetchEnvelope, FetchBody)}},
		{text: "UID FETCH 1 (UID FLAGS UID)", want: &Fetch{UID: true, Set: one(1), Items: peek(FetchUID, FetchFlags)}},
		{text: "FETCH 1 (ENVELOPE INTERNALDATE RFC822.SIZE BODY BODYSTRUCTURE MODSEQ EMAILID THREADID SAVEDATE RFC822.HEADER)", want: &Fetch{Set: one(1),
			Items: peek(FetchEnvelope, FetchInternalDate, FetchRFC822Size, FetchBody, FetchBodyStructure, FetchModSeq, FetchEmailID, FetchThreadID, FetchSaveDate, FetchRFC822Header)}},
		{text: "FETCH 1 RFC822", want: fetched(FetchItem{Attr: FetchRFC822})},
		{text: "FETCH 1 rfc822.text", want: fetched(FetchItem{Attr: FetchRFC822Text})},
		{text: "FETCH 1 BODY[]", want: body(Section{})},
		{text: "FETCH 1 BODY.PEEK[]", want: fetched(FetchItem{Attr: FetchSection, Peek: true})},
		{text: "FETCH 1 BODY[]<0.2048>", want: fetched(FetchItem{Attr: FetchSection, Span: &Span{0, 2048}})},
		{text: "FETCH 1 BODY[]<9223372036854775807.9223372036854775807>", want: fetched(FetchItem{Attr: FetchSection, Span: &Span{1<<63 - 1, 1<<63 - 1}})},
		{text: "FETCH 1 BODY[HEADER]", want: body(Section{Text: SectionHeader})},
		{text: "FETCH 1 BODY[text]", want: body(Section{Text: SectionBody})},
		{text: "FETCH 1 BODY[1]", want: body(Section{Part: []uint32{1}})},
		{text: "FETCH 1 BODY[1.20.3]", want: body(Section{Part: []uint32{1, 20, 3}})},
		{text: "FETCH 1 BODY[4.2.HEADER]", want: body(Section{Part: []uint32{4, 2}, Text: SectionHeader})},
		{text: "FETCH 1 BODY[4.TEXT]", want: body(Section{Part: []uint32{4}, Text: SectionBody})},
		{text: "FETCH 1 BODY[4.MIME]", want: body(Section{Part: []uint32{4}, Text: SectionMIME})},
		{text: "FETCH 1 BODY[HEADER.FIELDS (FROM to)]", want: body(from(SectionHeaderFields))},
		{text: "FETCH 1 BODY[HEADER.FIELDS.NOT (\"FROM\" {2+}\r\nto)]", want: body(from(SectionHeaderNot))},
		{text: "FETCH 1 BODY[3.HEADER.FIELDS (FROM to)]", want: body(from(SectionHeaderFields, 3))},
		{text: "FETCH 1 (BODY[HEADER.FIELDS (FROM to)]<1.2> UID)", want: &Fetch{Set: one(1), Items: append(
			[]FetchItem{{Attr: FetchSection, Section: from(SectionHeaderFields), Span: &Span{1, 2}}}, peek(FetchUID)...)}},
		{text: "FETCH 1 BINARY[1.2]<0.10>", want: fetched(FetchItem{Attr: FetchBinary, Section: Section{Part: []uint32{1, 2}}, Span: &Span{0, 10}})},
		{text: "FETCH 1 BINARY.PEEK[]", want: fetched(FetchItem{Attr: FetchBinary, Peek: true})},
		{text: "FETCH 1 BINARY.SIZE[1]", want: fetched(FetchItem{Attr: FetchBinarySize, Peek: true, Section: Section{Part: []uint32{1}}})},
		{text: "FETCH 1 PREVIEW", want: fetched(FetchItem{Attr: FetchPreview, Peek: true})},
		{text: "FETCH 1 (PREVIEW (lazy) UID)", want: &Fetch{Set: one(1), Items: append([]FetchItem{{Attr: FetchPreview, Peek: true, Lazy: true}}, peek(FetchUID)...)}},
		{text: "FETCH 1 PREVIEW (CHANGEDSINCE 3)", want: &Fetch{Set: one(1), Items: peek(FetchPreview), ChangedSince: 3}},
		{text: "FETCH 1 (FLAGS) (CHANGEDSINCE 12345)", want: &Fetch{Set: one(1), Items: peek(FetchFlags), ChangedSince: 12345}},
		{text: "UID FETCH 1 FLAGS (VANISHED CHANGEDSINCE 5 PARTIAL -1:-100)", want: &Fetch{UID: true, Set: one(1), Items: peek(FetchFlags),
			ChangedSince: 5, Vanished: true, Partial: &Partial{-1, -100}}},
		{text: "UID FETCH 1 FLAGS (PARTIAL 10:1)", want: &Fetch{UID: true, Set: one(1), Items: peek(FetchFlags), Partial: &Partial{1, 10}}},
	})
}

func TestParseFetchErrors(t *testing.T) {
	runParseTests(t, []parseTest{
		{text: "FETCH 1", bad: "expected SP"},
		{text: "FETCH 1 ", bad: "a fetch item"},
		{text: "FETCH x FLAGS", bad: "a set of numbers"},
		{text: "FETCH 1 ()", bad: "a fetch item"},
		{text: "FETCH 1 (FAST)", bad: "a known fetch item"},
		{text: "FETCH 1 (FLAGS", bad: "expected SP"},
		{text: "FETCH 1 (FLAGS )", bad: "a fetch item"},
		{text: "FETCH 1 (FLAGS  UID)", bad: "a fetch item"},
		{text: "FETCH 1 FLAGS UID", bad: "a list of modifiers"},
		{text: "FETCH 1 FOO", bad: "a known fetch item"},
		{text: "FETCH 1 BODYSTRUCTURE[]", bad: "the end of the command"},
		{text: "FETCH 1 BODY.PEEK", bad: "expected ["},
		{text: "FETCH 1 BODY[", bad: "HEADER.FIELDS"},
		{text: "FETCH 1 BODY[1.]", bad: "HEADER.FIELDS"},
		{text: "FETCH 1 BODY[.1]", bad: "HEADER.FIELDS"},
		{text: "FETCH 1 BODY[0]", bad: "a number from 1"},
		{text: "FETCH 1 BODY[1TEXT]", bad: "]"},
		{text: "FETCH 1 BODY[MIME]", bad: "a part before MIME"},
		{text: "FETCH 1 BODY[FOO]", bad: "HEADER.FIELDS"},
		{text: "FETCH 1 BODY[HEADER", bad: "expected ]"},
		{text: "FETCH 1 BODY[HEADER.FIELDS]", bad: "expected SP"},
		{text: "FETCH 1 BODY[HEADER.FIELDS ()]", bad: "an atom or a string"},
		{text: "FETCH 1 BODY[HEADER.FIELDS FROM]", bad: "a list of header fields"},
		{text: "FETCH 1 BODY[]<0>", bad: "expected ."},
		{text: "FETCH 1 BODY[]<0.0>", bad: "above 0"},
		{text: "FETCH 1 BODY[]<0.1", bad: "expected >"},
		{text: "FETCH 1 BODY[]<-1.1>", bad: "a number"},
		{text: "FETCH 1 BODY[]<9223372036854775808.1>", bad: "a number"},
		{text: "FETCH 1 BINARY[TEXT]", bad: "expected ]"},
		{text: "FETCH 1 BINARY[1.MIME]", bad: "expected ]"},
		{text: "FETCH 1 BINARY.SIZE[1]<0.1>", bad: "the end of the command"},
		{text: "FETCH 1 FLAGS (CHANGEDSINCE 0)", bad: "above 0"},
		{text: "FETCH 1 FLAGS (CHANGEDSINCE)", bad: "expected SP"},
		{text: "FETCH 1 FLAGS (VANISHED CHANGEDSINCE 1)", bad: "UID FETCH with CHANGEDSINCE"},
		{text: "UID FETCH 1 FLAGS (VANISHED)", bad: "UID FETCH with CHANGEDSINCE"},
		{text: "UID FETCH 1 FLAGS (PARTIAL 1:-1)", bad: "the same end"},
		{text: "UID FETCH 1 FLAGS (PARTIAL 0:1)", bad: "a number from 1"},
		{text: "UID FETCH 1 FLAGS (PARTIAL 1)", bad: "expected :"},
		{text: "FETCH 1 FLAGS (FOO 1)", bad: "CHANGEDSINCE, VANISHED or PARTIAL"},
		{text: "FETCH 1 FLAGS ()", bad: "a modifier"},
	})
}

// One command must not make the server read a message ten thousand times over.
func TestFetchItemsAreThereOnce(t *testing.T) {
	text := "FETCH 1 (" + strings.Repeat("BODY[] BODY[]<0.1> BODY[1] BODY.PEEK[] BODY[HEADER.FIELDS (A)] BODY[HEADER.FIELDS (B)] FLAGS ", 500) + "UID)"
	c, err := parse(text, false)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.(*Fetch).Items); n != 8 {
		t.Errorf("%d items, want 8", n)
	}
}

func TestSectionsAreWrittenAsTheyWereRead(t *testing.T) {
	for _, text := range []string{
		"", "1", "1.2.3", "HEADER", "TEXT", "1.HEADER", "2.1.TEXT", "1.MIME", "HEADER.FIELDS (FROM TO)",
		"3.HEADER.FIELDS.NOT (DATE X-Y)", `HEADER.FIELDS ("a b" "")`,
	} {
		c, err := parse(fmt.Sprintf("FETCH 1 BODY[%s]", text), false)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := string(c.(*Fetch).Items[0].Section.Append(nil, false)); got != text {
			t.Errorf("got %s, want %s", got, text)
		}
	}
}
