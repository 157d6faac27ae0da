package wire

import (
	"strconv"

	"teraslot/message"
)

// Envelope writes ENVELOPE (RFC 9051 §7.5.2).
func (f *FetchWriter) Envelope(e *message.Envelope) {
	f.w.put(appendEnvelope(f.item("ENVELOPE"), e, f.w.utf8))
}

// Body writes BODY: the structure without extension data.
func (f *FetchWriter) Body(s *message.Structure) {
	f.w.put(appendPart(f.item("BODY"), s.Root, false, f.w.utf8))
}

// BodyStructure writes BODYSTRUCTURE.
func (f *FetchWriter) BodyStructure(s *message.Structure) {
	f.w.put(appendPart(f.item("BODYSTRUCTURE"), s.Root, true, f.w.utf8))
}

func appendEnvelope(b []byte, e *message.Envelope, utf8 bool) []byte {
	b = append(b, '(')
	b = appendPresent(b, e, message.FieldDate, e.Date, utf8)
	b = append(b, ' ')
	b = appendPresent(b, e, message.FieldSubject, e.Subject, utf8)
	for _, list := range [...][]message.Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		b = append(b, ' ')
		b = appendAddresses(b, list, utf8)
	}
	b = append(b, ' ')
	b = appendPresent(b, e, message.FieldInReplyTo, e.InReplyTo, utf8)
	b = append(b, ' ')
	b = appendPresent(b, e, message.FieldMessageID, e.MessageID, utf8)
	return append(b, ')')
}

// appendPresent appends a field of the envelope, or NIL if the message does not have it.
func appendPresent(b []byte, e *message.Envelope, field message.EnvelopeField, s string, utf8 bool) []byte {
	if !e.Has(field) {
		return append(b, "NIL"...)
	}
	return appendString(b, s, utf8)
}

// appendOrNil appends a string, or NIL if it is empty.
func appendOrNil(b []byte, s string, utf8 bool) []byte {
	if s == "" {
		return append(b, "NIL"...)
	}
	return appendString(b, s, utf8)
}

func appendAddresses(b []byte, list []message.Address, utf8 bool) []byte {
	if len(list) == 0 {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	for i := range list {
		b = appendAddress(b, &list[i], utf8)
	}
	return append(b, ')')
}

// appendAddress appends an address, or the start or end of a group: their host is
// NIL, so that an address without a host has an empty one.
func appendAddress(b []byte, a *message.Address, utf8 bool) []byte {
	b = append(b, '(')
	b = append(appendOrNil(b, a.Name, utf8), ' ')
	b = append(appendOrNil(b, a.Route, utf8), ' ')
	switch a.Kind {
	case message.GroupStart:
		return append(appendString(b, a.Mailbox, utf8), " NIL)"...)
	case message.GroupEnd:
		return append(b, "NIL NIL)"...)
	}
	b = append(appendString(b, a.Mailbox, utf8), ' ')
	return append(appendString(b, a.Host, utf8), ')')
}

// appendPart appends body (RFC 9051 §9). How deep parts nest is message.Parse's to bound.
func appendPart(b []byte, p *message.Part, extended, utf8 bool) []byte {
	b = append(b, '(')
	if len(p.Children) > 0 {
		b = appendMultipart(b, p, extended, utf8)
	} else {
		b = appendLeaf(b, p, extended, utf8)
	}
	return append(b, ')')
}

// appendMultipart appends body-type-mpart.
func appendMultipart(b []byte, p *message.Part, extended, utf8 bool) []byte {
	for _, c := range p.Children {
		b = appendPart(b, c, extended, utf8)
	}
	b = append(b, ' ')
	b = appendString(b, p.Subtype, utf8)
	if extended {
		b = append(b, ' ')
		b = appendParams(b, p.Params, utf8)
		b = appendDisposition(b, p, utf8)
	}
	return b
}

// appendLeaf appends body-type-1part.
func appendLeaf(b []byte, p *message.Part, extended, utf8 bool) []byte {
	b = append(appendMediaType(b, p, utf8), ' ')
	b = append(appendParams(b, p.Params, utf8), ' ')
	b = append(appendOrNil(b, p.ID, utf8), ' ')
	b = append(appendOrNil(b, p.Description, utf8), ' ')
	b = appendSize(appendString(b, p.Encoding, utf8), p.Size())
	switch {
	case p.Message != nil && p.Envelope != nil:
		b = appendEnvelope(append(b, ' '), p.Envelope, utf8)
		b = appendPart(append(b, ' '), p.Message, extended, utf8)
		b = appendSize(b, p.Lines)
	case p.Type == "text":
		b = appendSize(b, p.Lines)
	}
	if extended {
		b = appendOrNil(append(b, ' '), p.MD5, utf8)
		b = appendDisposition(b, p, utf8)
	}
	return b
}

func appendSize(b []byte, n int64) []byte { return strconv.AppendInt(append(b, ' '), n, 10) }

// appendMediaType appends the type and subtype. A multipart without parts and a message
// that could not be taken apart have no form of their own in the grammar: clients would
// expect what is not there, so they get octets.
func appendMediaType(b []byte, p *message.Part, utf8 bool) []byte {
	if p.Type == "multipart" || p.Type == "message" && p.Message == nil && (p.Subtype == "rfc822" || p.Subtype == "global") {
		return append(b, `"application" "octet-stream"`...)
	}
	b = append(appendString(b, p.Type, utf8), ' ')
	return appendString(b, p.Subtype, utf8)
}

// appendParams appends body-fld-param.
func appendParams(b []byte, params []message.Param, utf8 bool) []byte {
	if len(params) == 0 {
		return append(b, "NIL"...)
	}
	for i := range params {
		b = append(b, "( "[min(i, 1)])
		b = append(appendString(b, params[i].Name, utf8), ' ')
		b = appendString(b, params[i].Value, utf8)
	}
	return append(b, ')')
}

// appendDisposition appends the end of the extension data: disposition, language and
// location.
func appendDisposition(b []byte, p *message.Part, utf8 bool) []byte {
	if p.Disposition == "" {
		b = append(b, " NIL "...)
	} else {
		b = append(appendString(append(b, " ("...), p.Disposition, utf8), ' ')
		b = append(appendParams(b, p.DispositionParams, utf8), ") "...)
	}
	switch len(p.Language) {
	case 0:
		b = append(b, "NIL"...)
	case 1:
		b = appendString(b, p.Language[0], utf8)
	default:
		for i, l := range p.Language {
			b = appendString(append(b, "( "[min(i, 1)]), l, utf8)
		}
		b = append(b, ')')
	}
	return appendOrNil(append(b, ' '), p.Location, utf8)
}
