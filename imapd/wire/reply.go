package wire

import (
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"

	"teraslot/mailbox"
)

// Reply is a status response (RFC 9051 §7.1).
type Reply struct {
	Type imap.StatusResponseType
	Code Code   // "" for none
	Text string // for people; what may not stand there is replaced
}

// Code is a response code without its brackets. Those without arguments are
// imap.ResponseCode's constants: Code(imap.ResponseCodeAlert); those with are made by the
// functions below.
type Code string

// Codes that package imap does not name.
const (
	CodeReadOnly             Code = "READ-ONLY"
	CodeReadWrite            Code = "READ-WRITE"
	CodeUIDNotSticky         Code = "UIDNOTSTICKY"
	CodeNoModSeq             Code = "NOMODSEQ"      // RFC 7162
	CodeClosed               Code = "CLOSED"        // RFC 7162
	CodeNotSaved             Code = "NOTSAVED"      // RFC 5182
	CodeExpungeIssued        Code = "EXPUNGEISSUED" // RFC 5530
	CodeUseAttr              Code = "USEATTR"       // RFC 6154
	CodeCompressionActive    Code = "COMPRESSIONACTIVE"
	CodeNotificationOverflow Code = "NOTIFICATIONOVERFLOW" // RFC 5465
)

// CapabilityCode is CAPABILITY.
func CapabilityCode(caps []imap.Cap) Code { return list("CAPABILITY", caps, "", "") }

// PermanentFlagsCode is PERMANENTFLAGS; `\*` among the flags says that keywords
// can be made. A keyword that a response code cannot carry, such as "[Gmail]", is
// left out.
func PermanentFlagsCode(flags []string) Code {
	fit := make([]string, 0, len(flags))
	for _, f := range flags {
		name := strings.TrimPrefix(f, `\`)
		if f == `\*` || name != "" && strings.IndexFunc(name, func(r rune) bool { return r > 0x7e || classes[r]&classAtom == 0 }) < 0 {
			fit = append(fit, f)
		}
	}
	return list("PERMANENTFLAGS", fit, "(", ")")
}

// BadCharsetCode is BADCHARSET with the charsets that are known, if any are given.
func BadCharsetCode(known ...string) Code {
	if len(known) == 0 {
		return Code(imap.ResponseCodeBadCharset)
	}
	return list("BADCHARSET", known, "(", ")")
}

// BadEventCode is BADEVENT with the events that are known (RFC 5465 §5).
func BadEventCode(known ...string) Code { return list("BADEVENT", known, "(", ")") }

// list is a name and a list of names.
func list[T ~string](name string, names []T, opened, closed string) Code {
	var b strings.Builder
	b.WriteString(name + " " + opened)
	for i, n := range names {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(n))
	}
	return Code(b.String() + closed)
}

// number is a name and a number.
func number(name string, n uint64) Code { return Code(name + " " + strconv.FormatUint(n, 10)) }

// UIDNextCode is UIDNEXT.
func UIDNextCode(next mailbox.UID) Code { return number("UIDNEXT", uint64(next)) }

// UIDValidityCode is UIDVALIDITY.
func UIDValidityCode(v mailbox.UIDValidity) Code { return number("UIDVALIDITY", uint64(v)) }

// UnseenCode is UNSEEN: the sequence number of the first unseen message (RFC 3501 §7.1).
func UnseenCode(seq uint32) Code { return number("UNSEEN", uint64(seq)) }

// HighestModSeqCode is HIGHESTMODSEQ (RFC 7162).
func HighestModSeqCode(m mailbox.ModSeq) Code { return number("HIGHESTMODSEQ", uint64(m)) }

// ModifiedCode is MODIFIED (RFC 7162): UIDs or sequence numbers.
func ModifiedCode(set mailbox.UIDSet) Code { return Code("MODIFIED " + set.String()) }

// MailboxIDCode is MAILBOXID (RFC 8474).
func MailboxIDCode(id mailbox.ID) Code { return Code("MAILBOXID (" + string(id) + ")") }

// AppendUIDCode is APPENDUID (RFC 4315); the UIDs are in the order of the messages.
func AppendUIDCode(v mailbox.UIDValidity, uids ...mailbox.UID) Code {
	return Code("APPENDUID " + strconv.FormatUint(uint64(v), 10) + " " + string(appendOrdered(nil, uids)))
}

// CopyUIDCode is COPYUID (RFC 4315): from[i] became to[i]. Both are of equal
// length, which is not 0.
func CopyUIDCode(v mailbox.UIDValidity, from, to []mailbox.UID) Code {
	b := strconv.AppendUint([]byte("COPYUID "), uint64(v), 10)
	b = appendOrdered(append(b, ' '), from)
	return Code(appendOrdered(append(b, ' '), to))
}

// MetadataCode is METADATA with LONGENTRIES, MAXSIZE, TOOMANY or NOPRIVATE (RFC
// 5464); n is left out if it is 0.
func MetadataCode(what string, n uint64) Code {
	if n == 0 {
		return Code("METADATA " + what)
	}
	return number("METADATA "+what, n)
}

// appendOrdered appends numbers as a set that keeps their order: rising runs
// become ranges.
func appendOrdered[T ~uint32](b []byte, numbers []T) []byte {
	for i := 0; i < len(numbers); {
		j := i + 1
		for j < len(numbers) && numbers[j] == numbers[j-1]+1 {
			j++
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(numbers[i]), 10)
		if j > i+1 {
			b = append(b, ':')
			b = strconv.AppendUint(b, uint64(numbers[j-1]), 10)
		}
		i = j
	}
	return b
}

// Tagged writes the completion of the command with that tag; without a tag, an
// untagged response.
func (w *Writer) Tagged(tag string, r Reply) {
	if tag == "" {
		tag = "*"
	}
	w.Raw(tag)
	w.Raw(" ")
	w.reply(r)
}

// Untagged writes an untagged status response: news, a greeting, or BYE.
func (w *Writer) Untagged(r Reply) { w.Tagged("", r) }

func (w *Writer) reply(r Reply) {
	w.Raw(string(r.Type))
	text := r.Text
	if text == "" {
		text = "Done" // RFC 3501 §9 wants one character at least
	}
	if r.Code != "" {
		w.Raw(" [")
		w.code(r.Code)
		w.Raw("] ")
	} else if w.Raw(" "); text[0] == '[' {
		text = "(" + text[1:] // or it would be a code
	}
	w.text(text)
	w.CRLF()
}

// code writes a code; what would end it, or the line, becomes "?".
func (w *Writer) code(c Code) {
	b := w.at()
	for i := range len(c) {
		if ch := c[i]; ch == ']' || classes[ch]&classPrint == 0 {
			b = append(b, '?')
		} else {
			b = append(b, ch)
		}
	}
	w.put(b)
}
