package wire

import (
	"strconv"

	"teraslot/message"
)

// Envelope writes ENVELOPE (RFC 9051 §7.5.2).
func (f *FetchWriter) Envelope(e *message.Envelope) {
	f.w.put(f.item("ENVELOPE"))
	f.w.envelope(e)
}

// Body writes BODY: the structure without extension data.
func (f *FetchWriter) Body(s *message.Structure) {
	f.w.put(f.item("BODY"))
	f.w.part(s.Root, false)
}

// BodyStructure writes BODYSTRUCTURE.
func (f *FetchWriter) BodyStructure(s *message.Structure) {
	f.w.put(f.item("BODYSTRUCTURE"))
	f.w.part(s.Root, true)
}

func (w *Writer) envelope(e *message.Envelope) {
	w.Raw("(")
	w.present(e, message.FieldDate, e.Date)
	w.Raw(" ")
	w.present(e, message.FieldSubject, e.Subject)
	for _, list := range [...][]message.Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		w.Raw(" ")
		w.addresses(list)
	}
	w.Raw(" ")
	w.present(e, message.FieldInReplyTo, e.InReplyTo)
	w.Raw(" ")
	w.present(e, message.FieldMessageID, e.MessageID)
	w.Raw(")")
}

// present writes a field of the envelope, or NIL if the message does not have it.
func (w *Writer) present(e *message.Envelope, field message.EnvelopeField, s string) {
	if !e.Has(field) {
		w.Raw("NIL")
		return
	}
	w.String(s)
}

// appendOrNil appends a string, or NIL if it is empty.
func appendOrNil(b []byte, s string, utf8 bool) []byte {
	if s == "" {
		return append(b, "NIL"...)
	}
	return appendString(b, s, utf8)
}

func (w *Writer) addresses(list []message.Address) {
	if len(list) == 0 {
		w.Raw("NIL")
		return
	}
	w.Raw("(")
	for i := range list {
		w.address(&list[i])
	}
	w.Raw(")")
}

// address writes an address, or the start or end of a group: their host is NIL,
// so that an address without a host has an empty one.
func (w *Writer) address(a *message.Address) {
	b := append(w.at(), '(')
	b = append(appendOrNil(b, a.Name, w.utf8), ' ')
	b = append(appendOrNil(b, a.Route, w.utf8), ' ')
	switch a.Kind {
	case message.GroupStart:
		b = append(appendString(b, a.Mailbox, w.utf8), " NIL)"...)
	case message.GroupEnd:
		b = append(b, "NIL NIL)"...)
	default:
		b = append(appendString(b, a.Mailbox, w.utf8), ' ')
		b = append(appendString(b, a.Host, w.utf8), ')')
	}
	w.put(b)
}

// orNil writes a string, or NIL if it is empty.
func (w *Writer) orNil(s string) { w.put(appendOrNil(w.at(), s, w.utf8)) }

// part writes body (RFC 9051 §9). How deep parts nest is message.Parse's to bound.
func (w *Writer) part(p *message.Part, extended bool) {
	w.Raw("(")
	if len(p.Children) > 0 {
		w.multipart(p, extended)
	} else {
		w.leaf(p, extended)
	}
	w.Raw(")")
}

// multipart writes body-type-mpart.
func (w *Writer) multipart(p *message.Part, extended bool) {
	for _, c := range p.Children {
		w.part(c, extended)
	}
	w.Raw(" ")
	w.String(p.Subtype)
	if extended {
		w.Raw(" ")
		w.params(p.Params)
		w.disposition(p)
	}
}

// leaf writes body-type-1part.
func (w *Writer) leaf(p *message.Part, extended bool) {
	w.mediaType(p)
	w.Raw(" ")
	w.params(p.Params)
	b := append(w.at(), ' ')
	b = append(appendOrNil(b, p.ID, w.utf8), ' ')
	b = append(appendOrNil(b, p.Description, w.utf8), ' ')
	w.put(appendString(b, p.Encoding, w.utf8))
	w.size(p.Size())
	switch {
	case p.Message != nil && p.Envelope != nil:
		w.Raw(" ")
		w.envelope(p.Envelope)
		w.Raw(" ")
		w.part(p.Message, extended)
		w.size(p.Lines)
	case p.Type == "text":
		w.size(p.Lines)
	}
	if extended {
		w.Raw(" ")
		w.orNil(p.MD5)
		w.disposition(p)
	}
}

func (w *Writer) size(n int64) { w.put(strconv.AppendInt(append(w.at(), ' '), n, 10)) }

// mediaType writes the type and subtype. A multipart without parts and a message
// that could not be taken apart have no form of their own in the grammar: clients would
// expect what is not there, so they get octets.
func (w *Writer) mediaType(p *message.Part) {
	if p.Type == "multipart" || p.Type == "message" && p.Message == nil && (p.Subtype == "rfc822" || p.Subtype == "global") {
		w.Raw(`"application" "octet-stream"`)
		return
	}
	w.String(p.Type)
	w.Raw(" ")
	w.String(p.Subtype)
}

// params writes body-fld-param.
func (w *Writer) params(params []message.Param) {
	if len(params) == 0 {
		w.Raw("NIL")
		return
	}
	for i := range params {
		b := append(w.at(), "( "[min(i, 1)])
		b = append(appendString(b, params[i].Name, w.utf8), ' ')
		w.put(appendString(b, params[i].Value, w.utf8))
	}
	w.Raw(")")
}

// disposition writes the end of the extension data: disposition, language and
// location.
func (w *Writer) disposition(p *message.Part) {
	if p.Disposition == "" {
		w.Raw(" NIL ")
	} else {
		w.Raw(" (")
		w.String(p.Disposition)
		w.Raw(" ")
		w.params(p.DispositionParams)
		w.Raw(") ")
	}
	switch len(p.Language) {
	case 0:
		w.Raw("NIL")
	case 1:
		w.String(p.Language[0])
	default:
		for i, l := range p.Language {
			if i == 0 {
				w.Raw("(")
			} else {
				w.Raw(" ")
			}
			w.String(l)
		}
		w.Raw(")")
	}
	w.Raw(" ")
	w.orNil(p.Location)
}
