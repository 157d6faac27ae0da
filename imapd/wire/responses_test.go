package wire

import (
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"pgregory.net/rapid"

	"teraslot/mailbox"
	"teraslot/message"
)

// drawName makes the name of a mailbox as the store has them: UTF-8 without controls.
func drawName(t *rapid.T) string {
	name := rapid.OneOf(
		rapid.SampledFrom([]string{"INBOX", "NIL", "nil", "a b", `"`, `\`, "&", "&AGE-", "%*", "(x)", "{5}", "~", "]", "ä/日本", "\U0001f600", " ", "+"}),
		rapid.StringN(1, 20, 80),
	).Draw(t, "name")
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 127 || r == '\ufffd' {
			return 'x'
		}
		return r
	}, name)
	return name
}

// drawText makes text that somebody else wrote: any octets.
func drawText(t *rapid.T) string {
	return rapid.OneOf(rapid.SampledFrom([]string{"", "x", "[x", "a\r\n* BYE b", "a\rb", "a\nb", "\x00", "\xff\xfe", "ä", "a]b", "\x7f", `"\`, "] x"}),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) string { return string(b) })).Draw(t, "text")
}

func drawUIDs(t *rapid.T) (set mailbox.UIDSet) {
	for range rapid.IntRange(1, 5).Draw(t, "ranges") {
		lo := rapid.Uint32Range(1, 1000).Draw(t, "lo")
		set.AddRange(mailbox.UID(lo), mailbox.UID(lo+rapid.Uint32Range(0, 20).Draw(t, "more")))
	}
	return set
}

func drawFlags(t *rapid.T) mailbox.Flags {
	names := rapid.SliceOf(rapid.SampledFrom([]string{`\Seen`, `\Flagged`, "$Forwarded", "[Gmail]", "a b", `\`, "(", "ä", "\"", "{3}", "x%", "\x01"})).Draw(t, "flags")
	return mailbox.MakeFlags(names...)
}

// responders write one response each, of values that are drawn.
var responders = []func(*rapid.T, *Writer){
	func(t *rapid.T, w *Writer) {
		kind := rapid.SampledFrom([]imap.StatusResponseType{"OK", "NO", "BAD", "BYE"}).Draw(t, "type")
		w.Untagged(Reply{Type: kind, Code: Code(rapid.SampledFrom([]string{"", "ALERT", "CLOSED"}).Draw(t, "code")), Text: drawText(t)})
	},
	func(t *rapid.T, w *Writer) {
		flags := drawFlags(t).List()
		w.Tagged(rapid.SampledFrom([]string{"a", "A]1", "0"}).Draw(t, "tag"), Reply{Type: "OK", Code: PermanentFlagsCode(append(flags, `\*`)), Text: drawText(t)})
	},
	func(t *rapid.T, w *Writer) {
		uids := []mailbox.UID{}
		for u := range drawUIDs(t).All() {
			uids = append(uids, u)
		}
		w.Tagged("c", Reply{Type: "OK", Code: CopyUIDCode(1, uids, uids), Text: "Copied"})
		w.Tagged("c", Reply{Type: "NO", Code: BadCharsetCode("UTF-8"), Text: drawText(t)})
	},
	func(t *rapid.T, w *Writer) { w.Continue(drawText(t)); w.Challenge([]byte(drawText(t))) },
	func(t *rapid.T, w *Writer) {
		w.Capability([]imap.Cap{imap.CapIMAP4rev1, "AUTH=PLAIN", "THREAD=REFS"})
		w.Enabled(nil)
		w.Exists(0)
		w.Recent(7)
		w.Expunge(1)
	},
	func(t *rapid.T, w *Writer) { w.Flags(drawFlags(t).List()) },
	func(t *rapid.T, w *Writer) {
		e := &ListEntry{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect, imap.MailboxAttrHasChildren}[:rapid.IntRange(0, 2).Draw(t, "attrs")],
			Delimiter: rapid.SampledFrom([]byte{0, '/', '"', '\\'}).Draw(t, "delimiter"), Mailbox: drawName(t)}
		if rapid.Bool().Draw(t, "child") {
			e.ChildInfo = []string{"SUBSCRIBED"}
		}
		if rapid.Bool().Draw(t, "old") {
			e.OldName = drawName(t)
		}
		w.List(e)
		w.Lsub(&ListEntry{Delimiter: '/', Mailbox: e.Mailbox})
	},
	func(t *rapid.T, w *Writer) {
		w.Status(drawName(t), []StatusValue{{Item: StatusMessages, Number: 1 << 40}, {Item: StatusRecent}}[:rapid.IntRange(0, 2).Draw(t, "items")])
	},
	func(t *rapid.T, w *Writer) {
		w.Namespace([]NamespaceEntry{{"", '/'}, {drawName(t), 0}}, nil, []NamespaceEntry{{drawName(t), '.'}})
	},
	func(t *rapid.T, w *Writer) {
		value := drawText(t)
		w.ID([]Param{{"name", &value}, {drawText(t), nil}}[:rapid.IntRange(0, 2).Draw(t, "params")])
	},
	func(t *rapid.T, w *Writer) {
		var numbers []uint32
		for u := range drawUIDs(t).All() {
			numbers = append(numbers, uint32(u))
		}
		w.Numbers(rapid.SampledFrom([]string{"SEARCH", "SORT"}).Draw(t, "what"), slices.Values(numbers), drawModSeq(t))
		w.Numbers("SEARCH", slices.Values([]uint32{}), drawModSeq(t))
		count := uint32(len(numbers))
		r := &ESearchResult{Tag: rapid.SampledFrom([]string{"a", "x]", `q`}).Draw(t, "tag"), UID: rapid.Bool().Draw(t, "uid"), Count: &count, All: drawUIDs(t), ModSeq: drawModSeq(t)}
		if rapid.Bool().Draw(t, "several") {
			r.Mailbox, r.UIDValidity = drawName(t), 5
		}
		if rapid.Bool().Draw(t, "sorted") {
			slices.Reverse(numbers)
			r.Sorted, r.Min, r.Max, r.Relevancy = numbers, 1, 7, []uint8{100, 1}
		}
		w.ESearch(r)
	},
	func(t *rapid.T, w *Writer) { // RFC 7162 §7
		w.Vanished(rapid.Bool().Draw(t, "earlier"), drawUIDs(t))
		w.Vanished(true, mailbox.UIDSet{})
		w.Tagged("q", Reply{Type: "OK", Code: ModifiedCode(drawUIDs(t)), Text: drawText(t)})
		w.Untagged(Reply{Type: "OK", Code: HighestModSeqCode(max(drawModSeq(t), 1)), Text: drawText(t)})
		w.Untagged(Reply{Type: "OK", Code: CodeClosed, Text: drawText(t)})
		w.Status(drawName(t), []StatusValue{{Item: StatusHighestModSeq, Number: uint64(drawModSeq(t))}})
		f := w.Fetch(3)
		f.ModSeq(max(drawModSeq(t), 1))
		f.UID(1)
		f.End()
	},
	writeAnyFetch,
}

// drawModSeq makes a mod-sequence of 63 bits, or 0.
func drawModSeq(t *rapid.T) mailbox.ModSeq {
	return mailbox.ModSeq(rapid.OneOf(rapid.Uint64Max(1<<63-1), rapid.SampledFrom([]uint64{0, 1, 1<<63 - 1})).Draw(t, "modseq"))
}

// writeAnyFetch writes FETCH of a message that is drawn, which need be none.
func writeAnyFetch(t *rapid.T, w *Writer) {
	mail := "Subject: " + drawText(t) + "\r\nFrom: " + drawText(t) + "\r\nContent-Type: " +
		rapid.SampledFrom([]string{"text/plain; name=", "multipart/mixed; boundary=", "message/rfc822; x="}).Draw(t, "type") + drawText(t) + "\r\n\r\n" + drawText(t)
	st, err := message.Parse(strings.NewReader(mail), int64(len(mail)))
	if err != nil {
		t.Fatal(err)
	}
	f := w.Fetch(rapid.Uint32Min(1).Draw(t, "number"))
	f.UID(7)
	f.Flags(drawFlags(t), rapid.Bool().Draw(t, "recent"))
	f.Size(int64(len(mail)))
	f.InternalDate(mailbox.Date{Unix: rapid.Int64().Draw(t, "date"), Zone: rapid.Int16Range(-1439, 1439).Draw(t, "zone")})
	f.Envelope(st.Envelope)
	f.Body(st)
	f.BodyStructure(st)
	fields := Section{Part: []uint32{1, 2}, Text: SectionHeaderFields, Fields: []string{drawText(t), "Subject"}}
	for _, item := range []FetchItem{{Attr: FetchSection}, {Attr: FetchSection, Section: fields, Span: &Span{Offset: 5, Length: 3}},
		{Attr: FetchBinary, Section: Section{Part: []uint32{1}}}, {Attr: FetchRFC822}, {Attr: FetchRFC822Header}, {Attr: FetchRFC822Text}} {
		f.SectionBytes(&item, []byte(drawText(t)))
		f.NoSection(&item)
	}
	f.BinarySize(&FetchItem{Attr: FetchBinarySize, Section: Section{Part: []uint32{1}}}, 3)
	f.End()
}

// TestAnyResponseKeepsTheGrammar: whatever mail, names and flags hold, what is said of them is by
// RFC 9051 §9, and no octet of them ends a line or a string early.
func TestAnyResponseKeepsTheGrammar(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		rev1 := rapid.Bool().Draw(r, "rev1")
		said := written(t, !rev1, func(w *Writer) {
			for range rapid.IntRange(1, 100).Draw(r, "responses") {
				rapid.SampledFrom(responders).Draw(r, "responder")(r, w)
			}
		})
		if err := check(said, rev1); err != nil {
			r.Fatal(err)
		}
	})
}

// TestGrammarRefuses: the grammar tells what is none, or it would prove nothing.
func TestGrammarRefuses(t *testing.T) {
	for _, wrong := range []string{
		"* OK x", "* OK\r\n", "* OK \r\n", "* OK [X x\r\n", "* FOO x\r\n", "a FOO x\r\n", "+ x\x00\r\n", "* 0 EXPUNGE\r\n", "* 0 FETCH (UID 1)\r\n",
		"* 1 FETCH ()\r\n", "* 1 FETCH (UID 0)\r\n", "* 1 FETCH (UID 1 )\r\n", "* 1 FETCH (UID 1 X 2)\r\n", "* 1 FETCH (FLAGS (a b))\r\n*\r\n", "* FLAGS (a  b)\r\n",
		"* FLAGS (a(b)\r\n", "* LIST () / a\r\n", "* LIST () \"/\" NIL\r\n", "* LIST (a) \"/\" a\r\n", "* LIST () \"/\" a ()b\r\n", "* LIST () \"/\" \"ä\"\r\n", "* STATUS a MESSAGES 1\r\n",
		"* SEARCH 0\r\n", "* SEARCH 1 \r\n", "* ESEARCH (TAG a)\r\n", "* ESEARCH (TAG \"a\") ALL\r\n", "* ESEARCH (TAG \"a\") ALL 1,,2\r\n", "* ESEARCH (TAG \"a\") MIN 0\r\n",
		"* NAMESPACE ((\"\" \"/\")) NIL\r\n", "* ID (\"a\")\r\n", "* 1 FETCH (BODY[] {3}\r\nab)\r\n", "* 1 FETCH (BODY[] {1}\r\n\x00)\r\n", "* 1 FETCH (BODY[X] NIL)\r\n",
		"* 1 FETCH (BINARY[TEXT] NIL)\r\n", "* 1 FETCH (BODY[] \"a\rb\")\r\n", "* 1 FETCH (BODY[] \"a\\b\")\r\n", "* 1 FETCH (INTERNALDATE \"1-Jan-2020 00:00:00 +0000\")\r\n",
		"* 1 FETCH (ENVELOPE (NIL NIL NIL))\r\n", "* 1 FETCH (BODY (\"text\" \"plain\"))\r\n", "* 1 FETCH (RFC822.SIZE -1)\r\n", "* 99999999999999999999 EXISTS\r\n", "* OK sch\xf6n\r\n", "+x\r\n",
		"* VANISHED\r\n", "* VANISHED (EARLIER)\r\n", "* VANISHED 1:*\r\n", "* VANISHED (LATER) 1\r\n", "* SEARCH 1 (MODSEQ 0)\r\n", "* SEARCH (MODSEQ 5)\r\n", "* SEARCH 1 (MODSEQ 5) 2\r\n",
		"* 1 FETCH (MODSEQ 5)\r\n", "* 1 FETCH (MODSEQ (0))\r\n", "* 1 FETCH (MODSEQ (9223372036854775808))\r\n", "* OK [HIGHESTMODSEQ 0] x\r\n", "a OK [MODIFIED] x\r\n",
		"a OK [MODIFIED ] x\r\n", "* ESEARCH (TAG \"a\") MODSEQ 0\r\n",
	} {
		if err := check(wrong, true); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
