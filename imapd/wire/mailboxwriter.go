package wire

import (
	"bytes"

	"github.com/emersion/go-imap/v2"
)

// ListEntry is a mailbox in LIST or LSUB (RFC 9051 §7.3.1).
type ListEntry struct {
	Attrs     []imap.MailboxAttr
	Delimiter byte // 0 is NIL
	Mailbox   string
	// ChildInfo are selection options that a mailbox below matches: CHILDINFO
	// (RFC 5258 §6).
	ChildInfo []string
	OldName   string // OLDNAME (RFC 5465 §5.4); "" for none
}

// List writes LIST.
func (w *Writer) List(e *ListEntry) { w.list("* LIST (", e) }

// Lsub writes LSUB (RFC 3501 §7.2.3).
func (w *Writer) Lsub(e *ListEntry) { w.list("* LSUB (", e) }

func (w *Writer) list(start string, e *ListEntry) {
	w.Raw(start)
	for i, a := range e.Attrs {
		if i > 0 {
			w.Raw(" ")
		}
		w.Raw(string(a))
	}
	w.Raw(") ")
	w.delimiter(e.Delimiter)
	w.Raw(" ")
	w.Mailbox(e.Mailbox)
	if len(e.ChildInfo) > 0 || e.OldName != "" {
		w.listExtended(e)
	}
	w.CRLF()
}

// delimiter writes a hierarchy separator.
func (w *Writer) delimiter(c byte) {
	if c == 0 {
		w.Raw("NIL")
		return
	}
	w.String(string(rune(c)))
}

// listExtended writes mbox-list-extended.
func (w *Writer) listExtended(e *ListEntry) {
	w.Raw(" (")
	if len(e.ChildInfo) > 0 {
		w.Raw(`"CHILDINFO" (`)
		for i, o := range e.ChildInfo {
			if i > 0 {
				w.Raw(" ")
			}
			w.String(o)
		}
		w.Raw(")")
	}
	if e.OldName != "" {
		if len(e.ChildInfo) > 0 {
			w.Raw(" ")
		}
		w.Raw(`"OLDNAME" (`)
		w.Mailbox(e.OldName)
		w.Raw(")")
	}
	w.Raw(")")
}

// StatusValue is one item of STATUS.
type StatusValue struct {
	Item   StatusItem
	Number uint64
	ID     string // of StatusMailboxID
	Nil    bool   // of StatusAppendLimit: there is no limit
}

// Status writes STATUS (RFC 9051 §7.3.2).
func (w *Writer) Status(mailbox string, values []StatusValue) {
	w.Raw("* STATUS ")
	w.Mailbox(mailbox)
	w.Raw(" (")
	for i := range values {
		v := &values[i]
		if i > 0 {
			w.Raw(" ")
		}
		w.Raw(string(v.Item))
		w.Raw(" ")
		switch {
		case v.Nil:
			w.Raw("NIL")
		case v.Item == StatusMailboxID:
			w.Raw("(" + v.ID + ")")
		default:
			w.Number(v.Number)
		}
	}
	w.Raw(")\r\n")
}

// NamespaceEntry is a namespace: a prefix and the hierarchy separator in it.
type NamespaceEntry struct {
	Prefix    string
	Delimiter byte // 0 is NIL
}

// Namespace writes NAMESPACE (RFC 9051 §7.3.3); a list that is empty is NIL.
func (w *Writer) Namespace(personal, others, shared []NamespaceEntry) {
	w.Raw("* NAMESPACE")
	for _, entries := range [...][]NamespaceEntry{personal, others, shared} {
		w.Raw(" ")
		w.namespace(entries)
	}
	w.CRLF()
}

func (w *Writer) namespace(entries []NamespaceEntry) {
	if len(entries) == 0 {
		w.Raw("NIL")
		return
	}
	w.Raw("(")
	for _, e := range entries {
		w.Raw("(")
		w.prefix(e.Prefix)
		w.Raw(" ")
		w.delimiter(e.Delimiter)
		w.Raw(")")
	}
	w.Raw(")")
}

// prefix writes a part of a mailbox name as a string: the grammar has no atom here.
func (w *Writer) prefix(name string) {
	if !w.utf8 && !plainName(name) {
		name = string(AppendUTF7(nil, name))
	}
	w.String(name)
}

// QuotaRoot writes QUOTAROOT (RFC 9208 §5.1.2).
func (w *Writer) QuotaRoot(mailbox string, roots []string) {
	w.Raw("* QUOTAROOT ")
	w.Mailbox(mailbox)
	for _, r := range roots {
		w.Raw(" ")
		w.AString(r)
	}
	w.CRLF()
}

// QuotaUse is how much of a resource is used, and its limit, in its unit.
type QuotaUse struct {
	Resource    imap.QuotaResourceType
	Used, Limit uint64
}

// Quota writes QUOTA (RFC 9208 §5.1.1).
func (w *Writer) Quota(root string, uses []QuotaUse) {
	w.Raw("* QUOTA ")
	w.AString(root)
	w.Raw(" (")
	for i, u := range uses {
		if i > 0 {
			w.Raw(" ")
		}
		w.Raw(string(u.Resource))
		w.Raw(" ")
		w.Number(u.Used)
		w.Raw(" ")
		w.Number(u.Limit)
	}
	w.Raw(")\r\n")
}

// ACLEntry is the rights of an identifier.
type ACLEntry struct{ Identifier, Rights string }

// ACL writes ACL (RFC 4314 §3.6).
func (w *Writer) ACL(mailbox string, entries []ACLEntry) {
	w.Raw("* ACL ")
	w.Mailbox(mailbox)
	for _, e := range entries {
		w.Raw(" ")
		w.AString(e.Identifier)
		w.Raw(" ")
		w.AString(e.Rights)
	}
	w.CRLF()
}

// ListRights writes LISTRIGHTS (RFC 4314 §3.7): the rights that are always
// granted, and groups of those that can be.
func (w *Writer) ListRights(mailbox, identifier, required string, optional []string) {
	w.Raw("* LISTRIGHTS ")
	w.Mailbox(mailbox)
	for _, s := range append([]string{identifier, required}, optional...) {
		w.Raw(" ")
		w.AString(s)
	}
	w.CRLF()
}

// MyRights writes MYRIGHTS (RFC 4314 §3.8).
func (w *Writer) MyRights(mailbox, rights string) {
	w.Raw("* MYRIGHTS ")
	w.Mailbox(mailbox)
	w.Raw(" ")
	w.AString(rights)
	w.CRLF()
}

// Metadata writes METADATA with values (RFC 5464 §4.4.1).
func (w *Writer) Metadata(mailbox string, entries []MetadataEntry) {
	w.metadata(mailbox)
	w.Raw(" (")
	for i, e := range entries {
		if i > 0 {
			w.Raw(" ")
		}
		w.AString(e.Name)
		w.Raw(" ")
		w.metadataValue(e.Value)
	}
	w.Raw(")\r\n")
}

// MetadataNames writes METADATA that tells which entries changed (RFC 5464 §4.4.2).
func (w *Writer) MetadataNames(mailbox string, names []string) {
	w.metadata(mailbox)
	for _, n := range names {
		w.Raw(" ")
		w.AString(n)
	}
	w.CRLF()
}

// metadata begins the response. The server's own annotations have the empty name.
func (w *Writer) metadata(mailbox string) {
	w.Raw("* METADATA ")
	w.Mailbox(mailbox)
}

// metadataValue writes nstring, or literal8 for a value with NUL.
func (w *Writer) metadataValue(value []byte) {
	switch {
	case value == nil:
		w.Raw("NIL")
	case bytes.IndexByte(value, 0) >= 0:
		w.Literal8(int64(len(value)), bytes.NewReader(value))
	default:
		w.String(string(value))
	}
}
