package wire

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
	"testing/iotest"
	"time"

	"github.com/emersion/go-imap/v2"

	"teraslot/mailbox"
)

// written is what write sends to a client.
func written(t *testing.T, utf8 bool, write func(w *Writer)) string {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out)
	w.SetUTF8(utf8)
	write(w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWriteStrings(t *testing.T) {
	tests := []struct{ s, astring, text, utf8 string }{
		{"", `""`, `""`, `""`},
		{"abc", "abc", `"abc"`, `"abc"`},
		{"a b", `"a b"`, `"a b"`, `"a b"`},
		{"nil", `"nil"`, `"nil"`, `"nil"`},
		{"NILS", "NILS", `"NILS"`, `"NILS"`},
		{`a"\`, `"a\"\\"`, `"a\"\\"`, `"a\"\\"`},
		{"a]b", `"a]b"`, `"a]b"`, `"a]b"`},
		{"a\tb", "\"a\tb\"", "\"a\tb\"", "\"a\tb\""},
		{"a\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb"},
		{"ä", "{2}\r\nä", "{2}\r\nä", `"ä"`},
		{`"\` + "\xff", "{3}\r\n\"\\\xff", "{3}\r\n\"\\\xff", "{3}\r\n\"\\\xff"},
		{"a\x00b", `"ab"`, `"ab"`, `"ab"`},
		{"\n\x00", "{1}\r\n\n", "{1}\r\n\n", "{1}\r\n\n"},
	}
	for _, tt := range tests {
		if got := written(t, false, func(w *Writer) { w.AString(tt.s) }); got != tt.astring {
			t.Errorf("AString(%q) = %q, want %q", tt.s, got, tt.astring)
		}
		if got := written(t, false, func(w *Writer) { w.String(tt.s) }); got != tt.text {
			t.Errorf("String(%q) = %q, want %q", tt.s, got, tt.text)
		}
		if got := written(t, true, func(w *Writer) { w.String(tt.s) }); got != tt.utf8 {
			t.Errorf("with UTF-8, String(%q) = %q, want %q", tt.s, got, tt.utf8)
		}
	}
	if got := written(t, false, func(w *Writer) { w.NString(nil) }); got != "NIL" {
		t.Errorf("NString(nil) = %q", got)
	}
}

func TestWriteMailboxNames(t *testing.T) {
	tests := []struct{ name, utf7, utf8 string }{
		{"INBOX", "INBOX", "INBOX"},
		{"a b", `"a b"`, `"a b"`},
		{"Entwürfe", "Entw&APw-rfe", `"Entwürfe"`},
		{"R&D", "R&-D", "R&D"},
		{"日本/x", "&ZeVnLA-/x", `"日本/x"`},
		{"a\tb", "a&AAk-b", "\"a\tb\""},
		{"*", `"*"`, `"*"`},
	}
	for _, tt := range tests {
		if got := written(t, false, func(w *Writer) { w.Mailbox(tt.name) }); got != tt.utf7 {
			t.Errorf("%q = %q, want %q", tt.name, got, tt.utf7)
		}
		if got := written(t, true, func(w *Writer) { w.Mailbox(tt.name) }); got != tt.utf8 {
			t.Errorf("with UTF-8, %q = %q, want %q", tt.name, got, tt.utf8)
		}
	}
}

func TestWriteReplies(t *testing.T) {
	ok, no := imap.StatusResponseTypeOK, imap.StatusResponseTypeNo
	tests := []struct {
		tag  string
		r    Reply
		want string
	}{
		{"a", Reply{Type: ok, Text: "NOOP completed"}, "a OK NOOP completed"},
		{"", Reply{Type: imap.StatusResponseTypeBye}, "* BYE Done"},
		{"a", Reply{no, Code(imap.ResponseCodeTryCreate), "No such mailbox"}, "a NO [TRYCREATE] No such mailbox"},
		{"a", Reply{Type: ok, Text: "[ALERT] this is no code"}, "a OK (ALERT] this is no code"},
		{"a", Reply{Type: ok, Text: "a\r\nb\x00 ä"}, "a OK a  b  ?"},
		{"a", Reply{ok, "X ]\r\n* BYE", "b"}, "a OK [X ???* BYE] b"},
		{"", Reply{ok, CapabilityCode([]imap.Cap{imap.CapIMAP4rev1, imap.CapIdle}), ""}, "* OK [CAPABILITY IMAP4rev1 IDLE] Done"},
		{"", Reply{ok, PermanentFlagsCode([]string{`\Seen`, `\*`}), "x"}, `* OK [PERMANENTFLAGS (\Seen \*)] x`},
		{"", Reply{ok, PermanentFlagsCode(nil), "x"}, `* OK [PERMANENTFLAGS ()] x`},
		{"", Reply{ok, UIDNextCode(4294967295), "x"}, "* OK [UIDNEXT 4294967295] x"},
		{"", Reply{ok, UIDValidityCode(7), "x"}, "* OK [UIDVALIDITY 7] x"},
		{"", Reply{ok, UnseenCode(3), "x"}, "* OK [UNSEEN 3] x"},
		{"", Reply{ok, HighestModSeqCode(1<<63 - 1), "x"}, "* OK [HIGHESTMODSEQ 9223372036854775807] x"},
		{"", Reply{ok, MailboxIDCode("ab12"), "x"}, "* OK [MAILBOXID (ab12)] x"},
		{"a", Reply{ok, ModifiedCode(mailbox.UIDs(7, 9)), "x"}, "a OK [MODIFIED 7,9] x"},
		{"a", Reply{ok, AppendUIDCode(38505, 3955), "x"}, "a OK [APPENDUID 38505 3955] x"},
		{"a", Reply{ok, AppendUIDCode(1, 5, 6, 7, 9), "x"}, "a OK [APPENDUID 1 5:7,9] x"},
		{"a", Reply{ok, CopyUIDCode(1, []mailbox.UID{304, 319, 320}, []mailbox.UID{3956, 3957, 3958}), "x"}, "a OK [COPYUID 1 304,319:320 3956:3958] x"},
		{"a", Reply{ok, CopyUIDCode(1, []mailbox.UID{9, 3, 4}, []mailbox.UID{1, 2, 3}), "x"}, "a OK [COPYUID 1 9,3:4 1:3] x"},
		{"a", Reply{no, BadCharsetCode("UTF-8", "US-ASCII"), "x"}, "a NO [BADCHARSET (UTF-8 US-ASCII)] x"},
		{"a", Reply{no, BadCharsetCode(), "x"}, "a NO [BADCHARSET] x"},
		{"a", Reply{no, BadEventCode("MessageNew"), "x"}, "a NO [BADEVENT (MessageNew)] x"},
		{"a", Reply{no, MetadataCode("LONGENTRIES", 2199), "x"}, "a NO [METADATA LONGENTRIES 2199] x"},
		{"a", Reply{no, MetadataCode("TOOMANY", 0), "x"}, "a NO [METADATA TOOMANY] x"},
	}
	for _, tt := range tests {
		if got := written(t, false, func(w *Writer) { w.Tagged(tt.tag, tt.r) }); got != tt.want+"\r\n" {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if got := written(t, true, func(w *Writer) { w.Untagged(Reply{Type: ok, Text: "schön"}) }); got != "* OK schön\r\n" {
		t.Errorf("with UTF-8: %q", got)
	}
	if got := written(t, false, func(w *Writer) { w.Continue("Ready"); w.Challenge([]byte("abcd")); w.Challenge(nil) }); got != "+ Ready\r\n+ YWJjZA==\r\n+ \r\n" {
		t.Errorf("continuations: %q", got)
	}
}

func TestWriteResponses(t *testing.T) {
	set := mailbox.UIDRange(3, 5)
	set.Add(9)
	tests := []struct {
		want  string
		write func(w *Writer)
	}{
		{"* CAPABILITY IMAP4rev1 AUTH=PLAIN", func(w *Writer) { w.Capability([]imap.Cap{"IMAP4rev1", "AUTH=PLAIN"}) }},
		{"* ENABLED", func(w *Writer) { w.Enabled(nil) }},
		{"* ENABLED QRESYNC", func(w *Writer) { w.Enabled([]imap.Cap{imap.CapQResync}) }},
		{"* 0 EXISTS", func(w *Writer) { w.Exists(0) }},
		{"* 4294967295 RECENT", func(w *Writer) { w.Recent(4294967295) }},
		{"* 3 EXPUNGE", func(w *Writer) { w.Expunge(3) }},
		{"* VANISHED (EARLIER) 3:5,9", func(w *Writer) { w.Vanished(true, set) }},
		{"* VANISHED 3:5,9", func(w *Writer) { w.Vanished(false, set) }},
		{`* FLAGS (\Seen $x)`, func(w *Writer) { w.Flags([]string{`\Seen`, "$x"}) }},
		{`* FLAGS (\Seen a_b)`, func(w *Writer) { w.Flags([]string{`\Seen`, `a\b`}) }},
		{`* FLAGS ()`, func(w *Writer) { w.Flags(nil) }},
		{`* ID NIL`, func(w *Writer) { w.ID(nil) }},
		{`* ID ("name" "Tera\"slot" "os" NIL)`, func(w *Writer) { w.ID([]Param{{"name", ptr(`Tera"slot`)}, {"os", nil}}) }},
		{"* SEARCH", func(w *Writer) { w.Numbers("SEARCH", slices.Values([]uint32{}), 5) }},
		{"* SEARCH 2 84", func(w *Writer) { w.Numbers("SEARCH", slices.Values([]uint32{2, 84}), 0) }},
		{"* SORT 84 2 (MODSEQ 917162500)", func(w *Writer) { w.Numbers("SORT", slices.Values([]uint32{84, 2}), 917162500) }},
		{"* ESEARCH", func(w *Writer) { w.ESearch(&ESearchResult{}) }},
		{`* ESEARCH (TAG "A]1") UID MIN 3 MAX 9 COUNT 4 ALL 3:5,9 MODSEQ 7`, func(w *Writer) {
			w.ESearch(&ESearchResult{Tag: "A]1", UID: true, Min: 3, Max: 9, Count: ptr(uint32(4)), All: set, ModSeq: 7})
		}},
		{`* ESEARCH (TAG "a") COUNT 0`, func(w *Writer) { w.ESearch(&ESearchResult{Tag: "a", Count: ptr(uint32(0))}) }},
		{`* ESEARCH (TAG "a" MAILBOX Entw&APw-rfe UIDVALIDITY 5) UID ALL 9,3:5`, func(w *Writer) {
			w.ESearch(&ESearchResult{Tag: "a", Mailbox: "Entwürfe", UIDValidity: 5, UID: true, Sorted: []uint32{9, 3, 4, 5}})
		}},
		{`* ESEARCH (TAG "a") PARTIAL (-1:-100 3:5,9) RELEVANCY (100 4)`, func(w *Writer) {
			w.ESearch(&ESearchResult{Tag: "a", Partial: &PartialResult{Range: Partial{-1, -100}, Found: set}, Relevancy: []uint8{100, 4}})
		}},
		{`* ESEARCH (TAG "a") PARTIAL (1:2 9,3)`, func(w *Writer) {
			w.ESearch(&ESearchResult{Tag: "a", Partial: &PartialResult{Range: Partial{1, 2}, Sorted: []uint32{9, 3}}})
		}},
		{`* ESEARCH (TAG "a") PARTIAL (1:2 NIL)`, func(w *Writer) { w.ESearch(&ESearchResult{Tag: "a", Partial: &PartialResult{Range: Partial{1, 2}}}) }},
		{`* THREAD`, func(w *Writer) { w.Threads(slices.Values[[]ThreadNode](nil)) }},
		{`* THREAD (2)(3 6 (4 23)(44 7 96))`, func(w *Writer) { w.Threads(threads()) }},
		{`* THREAD ((3)(5))`, func(w *Writer) { w.Threads(slices.Values([]ThreadNode{{0, 2}, {3, 0}, {5, 0}})) }},
		{`* THREAD (3 (4)(5))`, func(w *Writer) { w.Threads(slices.Values([]ThreadNode{{3, 2}, {4, 0}, {5, 0}})) }},
		{`* THREAD ((1 2)(3 (4)(5 (6)(7 8))))(9)`, func(w *Writer) {
			w.Threads(slices.Values([]ThreadNode{{0, 2}, {1, 1}, {2, 0}, {3, 2}, {4, 0}, {5, 2}, {6, 0}, {7, 1}, {8, 0}, {9, 0}}))
		}},
		{`* LIST (\HasNoChildren \Sent) "/" Sent`, func(w *Writer) {
			w.List(&ListEntry{Attrs: []imap.MailboxAttr{imap.MailboxAttrHasNoChildren, imap.MailboxAttrSent}, Delimiter: '/', Mailbox: "Sent"})
		}},
		{`* LSUB () NIL "a b"`, func(w *Writer) { w.Lsub(&ListEntry{Mailbox: "a b"}) }},
		{`* LIST () "\\" "" ("CHILDINFO" ("SUBSCRIBED" "X") "OLDNAME" (old))`, func(w *Writer) {
			w.List(&ListEntry{Delimiter: '\\', ChildInfo: []string{"SUBSCRIBED", "X"}, OldName: "old"})
		}},
		{`* LIST () "/" a ("OLDNAME" (b))`, func(w *Writer) { w.List(&ListEntry{Delimiter: '/', Mailbox: "a", OldName: "b"}) }},
		{`* STATUS INBOX ()`, func(w *Writer) { w.Status("INBOX", nil) }},
		{`* STATUS blurdybloop (MESSAGES 231 MAILBOXID (F2212) APPENDLIMIT NIL)`, func(w *Writer) {
			w.Status("blurdybloop", []StatusValue{{Item: StatusMessages, Number: 231}, {Item: StatusMailboxID, ID: "F2212"}, {Item: StatusAppendLimit, Nil: true}})
		}},
		{`* NAMESPACE (("" "/")("#mh/" NIL)) NIL (("ö/" "/"))`, func(w *Writer) {
			w.SetUTF8(true)
			w.Namespace([]NamespaceEntry{{"", '/'}, {"#mh/", 0}}, nil, []NamespaceEntry{{"ö/", '/'}})
		}},
		{`* NAMESPACE (("&APY-/" "/")) NIL NIL`, func(w *Writer) { w.Namespace([]NamespaceEntry{{"ö/", '/'}}, nil, nil) }},
		{`* QUOTAROOT INBOX ""`, func(w *Writer) { w.QuotaRoot("INBOX", []string{""}) }},
		{`* QUOTA "" (STORAGE 10 512 MESSAGE 1 2)`, func(w *Writer) {
			w.Quota("", []QuotaUse{{imap.QuotaResourceStorage, 10, 512}, {imap.QuotaResourceMessage, 1, 2}})
		}},
		{`* ACL INBOX fred lrs -x ""`, func(w *Writer) { w.ACL("INBOX", []ACLEntry{{"fred", "lrs"}, {"-x", ""}}) }},
		{`* LISTRIGHTS x fred "" l r`, func(w *Writer) { w.ListRights("x", "fred", "", []string{"l", "r"}) }},
		{`* MYRIGHTS INBOX lrs`, func(w *Writer) { w.MyRights("INBOX", "lrs") }},
		{"* METADATA \"\" (/shared/a \"x\" /shared/b NIL /shared/c ~{1}\r\n\x00)", func(w *Writer) {
			w.Metadata("", []MetadataEntry{{"/shared/a", []byte("x")}, {"/shared/b", nil}, {"/shared/c", []byte{0}}})
		}},
		{`* METADATA INBOX /shared/a /b`, func(w *Writer) { w.MetadataNames("INBOX", []string{"/shared/a", "/b"}) }},
	}
	for _, tt := range tests {
		if got := written(t, false, tt.write); got != tt.want+"\r\n" {
			t.Errorf("got  %q\nwant %q", got, tt.want)
		}
	}
	if got := written(t, false, func(w *Writer) { w.Vanished(false, mailbox.UIDSet{}) }); got != "" {
		t.Errorf("nothing vanished: %q", got)
	}
}

// threads is the example of RFC 5256 §4.
func threads() iter.Seq[ThreadNode] {
	return slices.Values([]ThreadNode{{2, 0}, {3, 1}, {6, 2}, {4, 1}, {23, 0}, {44, 1}, {7, 1}, {96, 0}})
}

// Threads of 600,000 messages, each a reply to the one before, without and with a
// second reply to each, cost no stack of that depth.
func TestLongThread(t *testing.T) {
	const n = 600_000
	chain, comb := make([]ThreadNode, 0, n+1), make([]ThreadNode, 0, 2*n+1)
	for range n {
		chain = append(chain, ThreadNode{1, 1})
		comb = append(comb, ThreadNode{1, 2}, ThreadNode{2, 0})
	}
	got := written(t, false, func(w *Writer) { w.Threads(slices.Values(append(chain, ThreadNode{1, 0}))) })
	if want := "* THREAD (1" + strings.Repeat(" 1", n) + ")\r\n"; got != want {
		t.Errorf("%d octets, want %d", len(got), len(want))
	}
	got = written(t, false, func(w *Writer) { w.Threads(slices.Values(append(comb, ThreadNode{3, 0}))) })
	if want := "* THREAD " + strings.Repeat("(1 (2)", n) + "(3)" + strings.Repeat(")", n) + "\r\n"; got != want {
		t.Errorf("%d octets, want %d", len(got), len(want))
	}
}

func TestWriteFetch(t *testing.T) {
	section := func(text string) *FetchItem {
		c, err := parse("FETCH 1 "+text, false)
		if err != nil {
			t.Fatal(err)
		}
		return &c.(*Fetch).Items[0]
	}
	tests := []struct {
		want  string
		write func(f *FetchWriter)
	}{
		{"UID 7 RFC822.SIZE 44827 MODSEQ (12)", func(f *FetchWriter) { f.UID(7); f.Size(44827); f.ModSeq(12) }},
		{"FLAGS ()", func(f *FetchWriter) { f.Flags(mailbox.Flags{}, false) }},
		{`FLAGS (\Seen \Answered \Flagged \Deleted \Draft \Recent $a b)`, func(f *FetchWriter) {
			f.Flags(mailbox.MakeFlags("b", `\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`, "$a"), true)
		}},
		{`FLAGS (\Recent) UID 1`, func(f *FetchWriter) { f.Flags(mailbox.Flags{}, true); f.UID(1) }},
		{`FLAGS (_ a_b_)`, func(f *FetchWriter) { f.Flags(mailbox.MakeFlags("a)b\xff", `"`), false) }},
		{`FLAGS (k)`, func(f *FetchWriter) { f.Flags(mailbox.MakeFlags("k"), false) }},
		{`INTERNALDATE "17-Jul-1996 02:44:25 -0700"`, func(f *FetchWriter) { f.InternalDate(mailbox.Date{Unix: 837596665, Zone: -420}) }},
		{`INTERNALDATE " 1-Jan-1970 05:30:00 +0530"`, func(f *FetchWriter) { f.InternalDate(mailbox.Date{Zone: 330}) }},
		{`SAVEDATE NIL`, func(f *FetchWriter) { f.SaveDate(nil) }},
		{`SAVEDATE "31-Dec-1969 23:59:59 +0000"`, func(f *FetchWriter) { f.SaveDate(&mailbox.Date{Unix: -1}) }},
		{`EMAILID (M1) THREADID (T2)`, func(f *FetchWriter) { f.EmailID("M1"); f.ThreadID("T2") }},
		{`THREADID NIL PREVIEW NIL`, func(f *FetchWriter) { f.ThreadID(""); f.Preview(nil) }},
		{"PREVIEW {5}\r\nä€", func(f *FetchWriter) { f.Preview(ptr("ä€")) }},
		{"BODY[] {3}\r\nabc", func(f *FetchWriter) { f.SectionBytes(section("BODY.PEEK[]"), []byte("abc")) }},
		{"BODY[1.2.TEXT]<5> {3}\r\nabc UID 1", func(f *FetchWriter) {
			f.SectionBytes(section("BODY[1.2.TEXT]<5.3>"), []byte("abc"))
			f.UID(1)
		}},
		{"BODY[HEADER.FIELDS (From TO)] {0}\r\n", func(f *FetchWriter) { f.SectionBytes(section("BODY[HEADER.FIELDS (From TO)]"), nil) }},
		{"RFC822 {1}\r\nx RFC822.HEADER {1}\r\ny RFC822.TEXT {1}\r\nz", func(f *FetchWriter) {
			f.SectionBytes(section("RFC822"), []byte("x"))
			f.SectionBytes(section("RFC822.HEADER"), []byte("y"))
			f.SectionBytes(section("RFC822.TEXT"), []byte("z"))
		}},
		{"BINARY[1] ~{2}\r\n\x00x", func(f *FetchWriter) { f.SectionBytes(section("BINARY[1]"), []byte("\x00x")) }},
		{"BINARY.SIZE[1.1] 5", func(f *FetchWriter) { f.BinarySize(section("BINARY.SIZE[1.1]"), 5) }},
		{"BODY[9]<0> NIL", func(f *FetchWriter) { f.NoSection(section("BODY[9]<0.1>")) }},
	}
	for _, tt := range tests {
		got := written(t, false, func(w *Writer) { f := w.Fetch(12); tt.write(&f); f.End() })
		if want := "* 12 FETCH (" + tt.want + ")\r\n"; got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestDateTimeRoundTrip(t *testing.T) {
	for unix := int64(-62135596800); unix < 253402300800; unix += 86400*911 + 3607*7 {
		for _, zone := range []int16{0, -420, 330, 1439, -1439} {
			d := mailbox.Date{Unix: unix + 3*86400, Zone: zone}
			if y := d.Time().Year(); y < 1 || y > 9999 {
				continue
			}
			text := string(appendDateTime(nil, d))
			c, err := parse("APPEND x "+text+" {0}", false)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if got := *c.(*Append).Message.Date; got != d {
				t.Fatalf("%s: got %v, want %v", text, got, d)
			}
			if want := `"` + d.Time().Format("_2-Jan-2006 15:04:05 -0700") + `"`; text != want {
				t.Fatalf("got %s, want %s", text, want)
			}
		}
	}
	if got := string(appendDateTime(nil, mailbox.Date{Unix: 1 << 40})); len(got) != len(`"17-Jul-1996 02:44:25 -0700"`) {
		t.Errorf("a year of five digits: %s", got)
	}
}

func TestWriterGathersAndSpills(t *testing.T) {
	var writes []int
	out := writerFunc(func(b []byte) (int, error) { writes = append(writes, len(b)); return len(b), nil })
	w := NewWriter(out)
	for i := range 6046 {
		f := w.Fetch(uint32(i + 1))
		f.UID(mailbox.UID(i + 1))
		f.Flags(mailbox.Flags{System: mailbox.Seen}, false)
		f.End()
	}
	if w.Buffered() == 0 || len(writes) == 0 {
		t.Fatalf("%d buffered after %d writes", w.Buffered(), len(writes))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if len(writes) > 10 || slices.Max(writes) > writerSize+8<<10 {
		t.Errorf("writes of %v octets", writes)
	}
	if w.Buffered() != 0 || w.buf != nil {
		t.Error("a flushed writer holds a buffer")
	}
	if err := w.Flush(); err != nil || len(writes) > 10 {
		t.Errorf("Flush of nothing: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestWriterKeepsTheFirstError(t *testing.T) {
	first := errors.New("first")
	n := 0
	w := NewWriter(writerFunc(func(b []byte) (int, error) { n++; return 0, first }))
	w.Exists(1)
	if err := w.Flush(); !errors.Is(err, first) || w.Err() != err {
		t.Errorf("Flush: %v, Err: %v", err, w.Err())
	}
	for range 10000 {
		w.Exists(1)
	}
	if err := w.Flush(); !errors.Is(err, first) || n != 1 {
		t.Errorf("then: %v after %d writes, want the first after 1", err, n)
	}
}

func TestLiteralStreams(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<16)
	for _, size := range []int{0, 1, 100, writerSize - 1, writerSize, writerSize + 1, len(big)} {
		for name, src := range map[string]io.Reader{
			"whole": strings.NewReader(big), "half": iotest.HalfReader(strings.NewReader(big)), "data, err": iotest.DataErrReader(strings.NewReader(big[:size])),
		} {
			got := written(t, false, func(w *Writer) { w.Raw("x "); w.Literal(int64(size), src); w.CRLF() })
			want := "x {" + string(appendOrdered(nil, []uint32{uint32(size)})) + "}\r\n" + big[:size] + "\r\n"
			if got != want {
				t.Errorf("%d octets, %s: got %d octets, want %d", size, name, len(got), len(want))
			}
		}
	}
}

// A literal has no NUL (RFC 9051 §9, CHAR8), whatever the mail has: a client that
// takes it for the end of a string must not lose what follows. A literal8 has it.
func TestNULInLiterals(t *testing.T) {
	octets := "\x00a\x00\x00b\x00" + strings.Repeat("c\x00", writerSize)
	for name, tt := range map[string]struct {
		write func(*Writer, int64, io.Reader)
		want  string
	}{
		"literal":  {(*Writer).Literal, strings.ReplaceAll(octets, "\x00", "\x80")},
		"literal8": {(*Writer).Literal8, octets},
	} {
		var out bytes.Buffer
		w := NewWriter(&out)
		tt.write(w, int64(len(octets)), iotest.HalfReader(strings.NewReader(octets)))
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, got, _ := strings.Cut(out.String(), "\r\n"); got != tt.want {
			t.Errorf("%s: %d octets are not as they should be: %.40q", name, len(got), got)
		}
	}
}

func TestLiteralThatLacksOctets(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	w.Literal(100, strings.NewReader("short"))
	w.Tagged("a", Reply{Type: imap.StatusResponseTypeOK})
	if err := w.Flush(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Flush: %v, want an unexpected end", err)
	}
	if strings.Contains(out.String(), "OK") {
		t.Errorf("a completion stands where the literal's octets should: %q", out.String())
	}
}

func TestWriterReset(t *testing.T) {
	var a, b bytes.Buffer
	w := NewWriter(&a)
	w.Exists(1)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	w.Reset(&b)
	w.Exists(2)
	if err := w.Flush(); err != nil || a.String() != "* 1 EXISTS\r\n" || b.String() != "* 2 EXISTS\r\n" {
		t.Errorf("%v, %q, %q", err, a.String(), b.String())
	}
	w.Exists(3)
	w.Reset(&a)
	if w.Err() == nil {
		t.Error("what was not flushed was forgotten without an error")
	}
}

func BenchmarkFetchFlags6046(b *testing.B) {
	w := NewWriter(io.Discard)
	flags := mailbox.MakeFlags(`\Seen`, "$Forwarded")
	b.ReportAllocs()
	for b.Loop() {
		for i := range 6046 {
			f := w.Fetch(uint32(i + 1))
			f.UID(mailbox.UID(i + 1))
			f.Flags(flags, false)
			f.End()
		}
		w.Flush()
	}
}

func BenchmarkInternalDate(b *testing.B) {
	w := NewWriter(io.Discard)
	d := mailbox.DateOf(time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC))
	b.ReportAllocs()
	for b.Loop() {
		f := w.Fetch(1)
		f.InternalDate(d)
		f.End()
	}
}

// TestAllPlain: what is looked at eight octets at a time is what is looked at one by one.
func TestAllPlain(t *testing.T) {
	for c := range 256 {
		for at := range 19 {
			b := []byte("a string of letters")
			b[at] = byte(c)
			if got, want := allPlain(b), isPlain(byte(c)); got != want {
				t.Errorf("%q: %v", b, got)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.SampledFrom([]byte(" a~\x00\x01\r\n\"!#\\[]\x7f\x80\xa2\xdc\xff"))).Draw(t, "octets")
		if got, want := allPlain(b), eachPlain(b); got != want {
			t.Fatalf("%q: %v", b, got)
		}
	})
}
