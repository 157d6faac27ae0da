package sample

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/quotedprintable"
	"strings"
)

// part is a body part with its header, ready to be written.
type part struct {
	header []string // whole fields without the final CRLF
	body   []byte
}

// write appends header, empty line and body.
func (p part) write(b *bytes.Buffer) {
	for _, h := range p.header {
		b.WriteString(h)
		b.WriteString("\r\n")
	}
	b.WriteString("\r\n")
	b.Write(p.body)
}

// textPart makes a text part in the draft's charset and encoding.
func (d *draft) textPart(subtype, text, extra string) part {
	charset := d.Charset
	if !encodable(charset, text) {
		charset = "utf-8"
	}
	encoding := d.encoding
	if encoding == "7bit" && charset == "utf-8" {
		encoding = "base64"
	}
	return part{
		header: []string{
			fmt.Sprintf("Content-Type: text/%s; charset=%s%s", subtype, charset, extra),
			"Content-Transfer-Encoding: " + encoding,
		},
		body: transfer(encoding, encode(charset, text)),
	}
}

// transfer applies a content transfer encoding (RFC 2045 §6).
func transfer(encoding string, content []byte) []byte {
	switch encoding {
	case "base64":
		return wrap64(content)
	case "quoted-printable":
		var b bytes.Buffer
		w := quotedprintable.NewWriter(&b)
		w.Write(content) // a bytes.Buffer takes everything
		w.Close()
		return b.Bytes()
	}
	return content
}

func wrap64(content []byte) []byte {
	coded := base64.StdEncoding.EncodeToString(content)
	var b bytes.Buffer
	for len(coded) > 76 {
		b.WriteString(coded[:76] + "\r\n")
		coded = coded[76:]
	}
	b.WriteString(coded + "\r\n")
	return b.Bytes()
}

// multipart joins parts (RFC 2046 §5.1). extra are further parameters.
func (d *draft) multipart(subtype, extra string, parts ...part) part {
	boundary := fmt.Sprintf("=_%s_%08x", subtype, d.rand.Uint32())
	var b bytes.Buffer
	b.WriteString("This is a message in several parts.\r\n")
	for _, p := range parts {
		fmt.Fprintf(&b, "\r\n--%s\r\n", boundary)
		p.write(&b)
	}
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return part{
		header: []string{fmt.Sprintf("Content-Type: multipart/%s%s;\r\n boundary=%q", subtype, extra, boundary)},
		body:   b.Bytes(),
	}
}

// message puts the message's own header before a part.
func (d *draft) message(p part, extra ...string) []byte {
	header := []string{
		"Received: from relay.example (relay.example [192.0.2.25])\r\n\tby mx.example.org with ESMTPS id " +
			strings.Trim(d.id, "<>") + ";\r\n\t" + d.Date.Format(rfc5322),
		"Date: " + d.Date.Format(rfc5322),
		"From: " + mailboxOf(d.Charset, d.word, d.from),
		"To: " + mailboxOf(d.Charset, d.word, d.to),
		"Subject: " + encodedWords(d.Charset, d.word, d.Subject),
		"Message-ID: " + d.id,
	}
	header = append(header, d.threadHeader()...)
	header = append(header, extra...)
	if len(p.header) > 0 {
		header = append(header, "MIME-Version: 1.0")
	}
	var b bytes.Buffer
	part{append(header, p.header...), p.body}.write(&b)
	return b.Bytes()
}

const rfc5322 = "Mon, 02 Jan 2006 15:04:05 -0700"

// threadHeader is In-Reply-To and References (RFC 5322 §3.6.4).
func (d *draft) threadHeader() []string {
	if d.parent == nil {
		return nil
	}
	return []string{
		"In-Reply-To: " + d.parent.id,
		"References: " + strings.Join(d.parent.references, "\r\n "),
	}
}
