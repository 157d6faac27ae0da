package message

import (
	"encoding/binary"
	"errors"
	"slices"
)

// structureVersion is the first octet of an encoded Structure. docs/formats.md,
// "Cached envelope and structure", draws it. Version 1, without References, is read
// as well.
const structureVersion = 2

// ErrStructure is why UnmarshalStructure refuses: damaged, or of a version that
// is not known. The message itself can always be parsed again.
var ErrStructure = errors.New("message: encoded structure is damaged or of an unknown version")

// Bits of a part's flags.
const (
	partDegraded = 1 << iota
	partChildren
	partMessage
	partFields // any of the fields that few parts have
)

// Bits of an envelope's flags, above those of EnvelopeField.
const (
	sameSender  = 1 << 10 // Sender is From
	sameReplyTo = 1 << 11
)

// Bits of an address's flags; the lowest two are its kind.
const addressRoute = 1 << 2

// common are the strings that are encoded by their place here. The list is part
// of the format: it may be added to at its end only, with a new version.
var common = []string{
	"text", "plain", "html", "multipart", "mixed", "alternative", "related", "signed", "report",
	"application", "octet-stream", "pdf", "image", "jpeg", "png", "gif", "message", "rfc822",
	"delivery-status", "calendar", "pgp-signature", "pkcs7-signature", "x-pkcs7-signature",
	"7bit", "8bit", "binary", "base64", "quoted-printable",
	"charset", "boundary", "name", "filename", "filename*", "name*", "format", "delsp", "type", "micalg", "protocol",
	"method", "report-type", "size", "creation-date", "modification-date",
	"utf-8", "UTF-8", "us-ascii", "US-ASCII", "iso-8859-1", "ISO-8859-1", "windows-1252", "Windows-1252",
	"flowed", "yes", "inline", "attachment", "digest", "global", "vcard", "csv", "zip", "msword", "pgp-encrypted", "encrypted",
}

var commonIndex = func() map[string]uint64 {
	m := make(map[string]uint64, len(common))
	for i, s := range common {
		m[s] = uint64(i)
	}
	return m
}()

// AppendBinary appends the structure in its encoded form. It fails only for a
// structure that Parse did not make, whose offsets do not nest.
func (s *Structure) AppendBinary(b []byte) ([]byte, error) {
	e := encoder{b: append(b, structureVersion)}
	e.uint(uint64(s.Size))
	e.bool(s.Truncated)
	e.envelope(s.Envelope)
	e.uint(uint64(len(s.References)))
	for _, id := range s.References {
		e.string(id)
	}
	e.part(s.Root, 0)
	if e.bad {
		return b, errors.New("message: encode structure: its offsets do not nest")
	}
	return e.b, nil
}

type encoder struct {
	b   []byte
	bad bool
}

func (e *encoder) uint(n uint64) { e.b = binary.AppendUvarint(e.b, n) }

// offset writes how far offset lies behind base.
func (e *encoder) offset(offset, base int64) {
	e.bad = e.bad || offset < base
	e.uint(uint64(offset - base))
}

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) string(s string) {
	if i, ok := commonIndex[s]; ok {
		e.uint(i<<1 | 1)
		return
	}
	e.uint(uint64(len(s)) << 1)
	e.b = append(e.b, s...)
}

func (e *encoder) params(params []Param) {
	e.uint(uint64(len(params)))
	for _, p := range params {
		e.string(p.Name)
		e.string(p.Value)
	}
}

func (e *encoder) envelope(env *Envelope) {
	flags := uint64(env.Present)
	if slices.Equal(env.Sender, env.From) {
		flags |= sameSender
	}
	if slices.Equal(env.ReplyTo, env.From) {
		flags |= sameReplyTo
	}
	e.uint(flags)
	e.string(env.Date)
	e.string(env.Subject)
	e.string(env.InReplyTo)
	e.string(env.MessageID)
	e.addresses(env.From)
	if flags&sameSender == 0 {
		e.addresses(env.Sender)
	}
	if flags&sameReplyTo == 0 {
		e.addresses(env.ReplyTo)
	}
	e.addresses(env.To)
	e.addresses(env.Cc)
	e.addresses(env.Bcc)
}

func (e *encoder) addresses(list []Address) {
	e.uint(uint64(len(list)))
	for _, a := range list {
		flags := uint64(a.Kind)
		if a.Route != "" {
			flags |= addressRoute
		}
		e.uint(flags)
		e.string(a.Name)
		e.string(a.Mailbox)
		e.string(a.Host)
		if a.Route != "" {
			e.string(a.Route)
		}
	}
}

// part writes p, which begins at base or behind it.
func (e *encoder) part(p *Part, base int64) {
	flags := p.flags()
	e.uint(flags)
	e.offset(p.HeaderStart, base)
	e.offset(p.BodyStart, p.HeaderStart)
	e.offset(p.End, p.BodyStart)
	e.uint(uint64(p.Lines))
	e.string(p.Type)
	e.string(p.Subtype)
	e.string(p.Encoding)
	e.params(p.Params)
	if flags&partFields != 0 {
		e.fields(p)
	}
	if flags&partChildren != 0 {
		e.uint(uint64(len(p.Children)))
		base = p.BodyStart
		for _, c := range p.Children {
			e.part(c, base)
			base = c.End
		}
	}
	if flags&partMessage != 0 {
		e.envelope(p.Envelope)
		e.part(p.Message, p.BodyStart)
	}
}

func (p *Part) flags() (flags uint64) {
	if p.Degraded {
		flags |= partDegraded
	}
	if len(p.Children) > 0 {
		flags |= partChildren
	}
	if p.Message != nil {
		flags |= partMessage
	}
	if p.ID != "" || p.Description != "" || p.MD5 != "" || p.Disposition != "" ||
		len(p.DispositionParams) > 0 || len(p.Language) > 0 || p.Location != "" {
		flags |= partFields
	}
	return flags
}

// fields writes the fields that few parts have.
func (e *encoder) fields(p *Part) {
	e.string(p.ID)
	e.string(p.Description)
	e.string(p.MD5)
	e.string(p.Disposition)
	e.params(p.DispositionParams)
	e.uint(uint64(len(p.Language)))
	for _, l := range p.Language {
		e.string(l)
	}
	e.string(p.Location)
}
