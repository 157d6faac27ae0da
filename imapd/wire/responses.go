package wire

import (
	"iter"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"

	"teraslot/mailbox"
)

// Capability writes CAPABILITY (RFC 9051 §7.2.2).
func (w *Writer) Capability(caps []imap.Cap) { words(w, "* CAPABILITY", caps) }

// Enabled writes ENABLED (RFC 9051 §7.2.1).
func (w *Writer) Enabled(caps []imap.Cap) { words(w, "* ENABLED", caps) }

// words writes a response that is a list of atoms.
func words[T ~string](w *Writer, start string, atoms []T) {
	w.Raw(start)
	for _, a := range atoms {
		w.Raw(" ")
		w.Raw(string(a))
	}
	w.CRLF()
}

// Exists writes EXISTS (RFC 9051 §7.4.1).
func (w *Writer) Exists(n uint32) { w.count(n, " EXISTS\r\n") }

// Recent writes RECENT (RFC 3501 §7.3.2).
func (w *Writer) Recent(n uint32) { w.count(n, " RECENT\r\n") }

// Expunge writes EXPUNGE (RFC 9051 §7.5.1).
func (w *Writer) Expunge(seq uint32) { w.count(seq, " EXPUNGE\r\n") }

func (w *Writer) count(n uint32, rest string) {
	b := strconv.AppendUint(append(w.at(), "* "...), uint64(n), 10)
	w.put(append(b, rest...))
}

// Vanished writes VANISHED (RFC 7162 §3.2.10); nothing if the set is empty.
func (w *Writer) Vanished(earlier bool, set mailbox.UIDSet) {
	if set.IsEmpty() {
		return
	}
	w.Raw("* VANISHED ")
	if earlier {
		w.Raw("(EARLIER) ")
	}
	w.Set(set)
	w.CRLF()
}

// Set writes a set of UIDs or sequence numbers, which is not empty.
func (w *Writer) Set(set mailbox.UIDSet) {
	for i, r := range set.Ranges() {
		b := w.at()
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(r.Lo), 10)
		if r.Hi > r.Lo {
			b = strconv.AppendUint(append(b, ':'), uint64(r.Hi), 10)
		}
		w.put(b)
	}
}

// Flags writes FLAGS: the flags that a mailbox knows (RFC 9051 §7.3.5).
func (w *Writer) Flags(flags []string) {
	w.Raw("* FLAGS (")
	for i, f := range flags {
		if i > 0 {
			w.Raw(" ")
		}
		name, system := strings.CutPrefix(f, `\`)
		if system {
			w.Raw(`\`)
		}
		w.put(appendKeywords(w.at(), name))
	}
	w.Raw(")\r\n")
}

// ID writes ID (RFC 2971 §3.2).
func (w *Writer) ID(params []Param) {
	w.Raw("* ID ")
	if len(params) == 0 {
		w.Raw("NIL\r\n")
		return
	}
	for i, p := range params {
		if i == 0 {
			w.Raw("(")
		} else {
			w.Raw(" ")
		}
		w.String(p.Name)
		w.Raw(" ")
		w.NString(p.Value)
	}
	w.Raw(")\r\n")
}

// Numbers writes SEARCH or SORT (RFC 3501 §7.2.5, RFC 5256 §4): what is "SEARCH" or
// "SORT". modSeq is the highest of the messages found, if the client gave MODSEQ (RFC 7162
// §3.1.5), otherwise 0.
func (w *Writer) Numbers(what string, numbers iter.Seq[uint32], modSeq mailbox.ModSeq) {
	w.Raw("* ")
	w.Raw(what)
	found := false
	for n := range numbers {
		found = true
		w.put(strconv.AppendUint(append(w.at(), ' '), uint64(n), 10))
	}
	if found && modSeq > 0 {
		w.Raw(" (MODSEQ ")
		w.Number(uint64(modSeq))
		w.Raw(")")
	}
	w.CRLF()
}

// ESearchResult is an ESEARCH response (RFC 9051 §7.3.4). Sets are of UIDs if UID
// is set, otherwise of sequence numbers.
type ESearchResult struct {
	Tag string // of the command; "" for none
	// Mailbox and UIDValidity say which of several mailboxes (RFC 7377); "" for the selected one.
	Mailbox     string
	UIDValidity mailbox.UIDValidity
	UID         bool
	Min, Max    uint32 // 0: left out
	Count       *uint32
	All         mailbox.UIDSet // empty: left out
	Sorted      []uint32       // instead of All, in that order (RFC 5267)
	ModSeq      mailbox.ModSeq // 0: left out
	Partial     *PartialResult
	Relevancy   []uint8 // scores from 1 to 100, in the order of the messages (RFC 6203)
}

// PartialResult is PARTIAL (RFC 9394, RFC 5267): a range of the results.
type PartialResult struct {
	Range  Partial
	Found  mailbox.UIDSet // with Sorted empty too: NIL
	Sorted []uint32
}

// ESearch writes ESEARCH.
func (w *Writer) ESearch(r *ESearchResult) {
	w.Raw("* ESEARCH")
	w.correlator(r)
	if r.UID {
		w.Raw(" UID")
	}
	w.labelled(" MIN ", uint64(r.Min))
	w.labelled(" MAX ", uint64(r.Max))
	if r.Count != nil {
		w.Raw(" COUNT ")
		w.Number(uint64(*r.Count))
	}
	if len(r.Sorted) > 0 {
		w.Raw(" ALL ")
		w.put(appendOrdered(w.at(), r.Sorted))
	} else if !r.All.IsEmpty() {
		w.Raw(" ALL ")
		w.Set(r.All)
	}
	if r.Partial != nil {
		w.partial(r.Partial)
	}
	w.labelled(" MODSEQ ", uint64(r.ModSeq))
	w.relevancy(r.Relevancy)
	w.CRLF()
}

// labelled writes a name and a number, or nothing for 0.
func (w *Writer) labelled(name string, n uint64) {
	if n > 0 {
		w.Raw(name)
		w.Number(n)
	}
}

func (w *Writer) correlator(r *ESearchResult) {
	if r.Tag == "" && r.Mailbox == "" {
		return
	}
	w.Raw(" (")
	if r.Tag != "" {
		w.Raw("TAG ")
		w.quoted(r.Tag)
	}
	if r.Mailbox != "" {
		if r.Tag != "" {
			w.Raw(" ")
		}
		w.Raw("MAILBOX ")
		w.Mailbox(r.Mailbox)
		w.Raw(" UIDVALIDITY ")
		w.Number(uint64(r.UIDValidity))
	}
	w.Raw(")")
}

// quoted writes a string in quotes, which clients expect around a tag.
func (w *Writer) quoted(s string) { w.put(appendString(w.at(), s, w.utf8)) }

func (w *Writer) partial(p *PartialResult) {
	b := strconv.AppendInt(append(w.at(), " PARTIAL ("...), p.Range.First, 10)
	b = strconv.AppendInt(append(b, ':'), p.Range.Last, 10)
	w.put(append(b, ' '))
	switch {
	case len(p.Sorted) > 0:
		w.put(appendOrdered(w.at(), p.Sorted))
	case !p.Found.IsEmpty():
		w.Set(p.Found)
	default:
		w.Raw("NIL")
	}
	w.Raw(")")
}

func (w *Writer) relevancy(scores []uint8) {
	for i, s := range scores {
		if i == 0 {
			w.Raw(" RELEVANCY (")
		} else {
			w.Raw(" ")
		}
		w.Number(uint64(s))
	}
	if len(scores) > 0 {
		w.Raw(")")
	}
}
