package sample

import (
	"bytes"
	"fmt"
	"html"
	"strings"
)

// shape is a way to build a message.
type shape struct {
	name   string
	weight int
	make   func(d *draft) []byte
}

// shapes are drawn by weight.
var shapes = []shape{
	{"plain", 30, (*draft).plain},
	{"flowed", 6, (*draft).flowed},
	{"alternative", 22, (*draft).alternative},
	{"html", 6, (*draft).htmlOnly},
	{"attachment", 12, (*draft).attachment},
	{"related", 4, (*draft).related},
	{"forward", 5, (*draft).forward},
	{"list", 8, (*draft).list},
	{"utf8-headers", 3, (*draft).utf8Headers},
	{"report", 2, (*draft).report},
	{"broken", 2, (*draft).broken},
}

func (g *generator) pickShape(d *draft) shape {
	if d.parent != nil && d.parent.list {
		return shapes[7]
	}
	total := 0
	for _, s := range shapes {
		total += s.weight
	}
	n := g.rand.IntN(total)
	for _, s := range shapes {
		if n -= s.weight; n < 0 {
			return s
		}
	}
	return shapes[0]
}

// spaced reports whether the language puts spaces between words, so that lines
// may be broken.
func (d *draft) spaced() bool { return !strings.Contains("ja zh-hans zh-hant th", d.Language) }

// lay sets lines as paragraphs of at most width columns; end closes a line
// that goes on.
func (d *draft) lay(lines []string, width int, end string) string {
	var b strings.Builder
	if d.parent != nil && d.parent.quote != "" {
		b.WriteString("> " + d.parent.quote + "\r\n\r\n")
	}
	for _, line := range lines {
		if d.spaced() {
			line = breakLine(line, width, end)
		}
		b.WriteString(line + "\r\n\r\n")
	}
	return b.String() + "-- \r\n" + d.From + "\r\n"
}

func breakLine(line string, width int, end string) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(line) {
		n := len([]rune(word))
		switch {
		case i == 0:
		case column+1+n > width:
			b.WriteString(end + "\r\n")
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

func (d *draft) plain() []byte {
	text := d.lay(d.text(2+d.rand.IntN(4)), 72, "")
	if d.Charset == "us-ascii" {
		return d.message(part{body: []byte(text)}) // as before MIME
	}
	return d.message(d.textPart("plain", text, ""))
}

// flowed is RFC 3676's format=flowed.
func (d *draft) flowed() []byte {
	return d.message(d.textPart("plain", d.lay(d.text(3), 66, " "), "; format=flowed"))
}

// page writes lines as HTML, with entities and with markup inside words.
func (d *draft) page(lines []string) string {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\r\n<html><head><title>")
	b.WriteString(html.EscapeString(d.Subject))
	b.WriteString("</title>\r\n<style>p { margin: 0 0 1em } .quiet { color: #667 }</style></head>\r\n<body>\r\n")
	for _, line := range lines {
		b.WriteString("<p>" + d.markup(line) + "</p>\r\n")
	}
	b.WriteString("<p class=\"quiet\"><a href=\"https://www.example.org/\">" + html.EscapeString(d.From) + "</a></p>\r\n</body></html>\r\n")
	return b.String()
}

// markup escapes a line, turns some letters into entities and makes a few bold.
func (d *draft) markup(line string) string {
	var b strings.Builder
	bold := d.rand.IntN(len(line) + 1)
	for i, r := range line {
		switch {
		case i <= bold && bold < i+len(string(r)):
			b.WriteString("<b>" + html.EscapeString(string(r)) + "</b>")
		case r >= 0x80 && d.rand.IntN(8) == 0:
			fmt.Fprintf(&b, "&#%d;", r)
		case r == 'é':
			b.WriteString("&eacute;")
		default:
			b.WriteString(html.EscapeString(string(r)))
		}
	}
	return b.String()
}

func (d *draft) htmlOnly() []byte { return d.message(d.textPart("html", d.page(d.text(4)), "")) }

// alternativePart says the same as text and as HTML (RFC 2046 §5.1.4).
func (d *draft) alternativePart() part {
	lines := d.text(2 + d.rand.IntN(3))
	return d.multipart("alternative", "",
		d.textPart("plain", d.lay(lines, 72, ""), ""),
		d.textPart("html", d.page(lines), ""))
}

func (d *draft) alternative() []byte { return d.message(d.alternativePart()) }

func (d *draft) attachment() []byte {
	parts := []part{d.textPart("plain", d.lay(d.text(2), 72, ""), "")}
	for range 1 + d.rand.IntN(2) {
		parts = append(parts, d.file())
	}
	return d.message(d.multipart("mixed", "", parts...))
}

// related is a page with a picture in it (RFC 2387).
func (d *draft) related() []byte {
	page := strings.Replace(d.page(d.text(3)), "</body>", "<img src=\"cid:picture@example.org\" alt=\"lantern\"></body>", 1)
	d.Lines = append(d.Lines, "lantern")
	picture := d.png()
	picture.header = append(picture.header, "Content-ID: <picture@example.org>", "Content-Disposition: inline")
	return d.message(d.multipart("related", "; type=\"text/html\"", d.textPart("html", page, ""), picture))
}

// forward carries another message as message/rfc822 (RFC 2046 §5.2.1).
func (d *draft) forward() []byte {
	inner := *d
	inner.parent, inner.Lines = nil, nil
	inner.id = strings.Replace(d.id, "@", ".inner@", 1)
	inner.from, inner.to = d.to, d.from
	inner.Subject = d.fill(pick(d.rand, d.book.subjects))
	raw := inner.alternative()
	d.Subject = "Fwd: " + inner.Subject
	note := d.textPart("plain", d.lay(d.text(1), 72, ""), "")
	d.Lines = append(d.Lines, inner.Lines...)
	encoding := "7bit" // RFC 2046 §5.2.1: nothing else may be applied to it
	if !isASCII(string(raw)) {
		encoding = "8bit"
	}
	nested := part{
		header: []string{"Content-Type: message/rfc822", "Content-Transfer-Encoding: " + encoding, "Content-Disposition: attachment"},
		body:   raw,
	}
	return d.message(d.multipart("mixed", "", note, nested))
}

// list is mail of a mailing list (RFC 2369, RFC 2919), often with a patch.
func (d *draft) list() []byte {
	lines := d.text(2)
	patch := fmt.Sprintf("--- a/src/lamp.c\r\n+++ b/src/lamp.c\r\n@@ -%d,3 +%[1]d,3 @@\r\n-\tif (wick->height > LIMIT)\r\n+\tif (wick->height >= LIMIT)\r\n \t\ttrim(wick);\r\n", 10+d.rand.IntN(400))
	d.Lines = append(d.Lines, "if (wick->height >= LIMIT)")
	text := d.lay(lines, 72, "") + patch
	d.to = Person{"Lamp developers", "lamp-devel@lists.example.org"}
	return d.message(d.textPart("plain", text, ""),
		"List-Id: The lamp developers' list <lamp-devel.lists.example.org>",
		"List-Unsubscribe: <mailto:lamp-devel-leave@lists.example.org>",
		"Precedence: list")
}

// utf8Headers has raw UTF-8 in its header (RFC 6532).
func (d *draft) utf8Headers() []byte {
	raw := d.message(d.textPart("plain", d.lay(d.text(2), 72, ""), ""))
	name := d.from.Name + " <" + d.from.Address + ">"
	raw = bytes.Replace(raw, []byte("From: "+mailboxOf(d.Charset, d.word, d.from)), []byte("From: "+name), 1)
	return bytes.Replace(raw, []byte("Subject: "+encodedWords(d.Charset, d.word, d.Subject)), []byte("Subject: "+d.Subject), 1)
}

// report is a bounce (RFC 3462, RFC 3464).
func (d *draft) report() []byte {
	d.from = Person{"Mail Delivery System", "MAILER-DAEMON@example.org"}
	d.From = d.from.Name
	status := part{
		header: []string{"Content-Type: message/delivery-status"},
		body:   []byte("Reporting-MTA: dns; mx.example.org\r\n\r\nFinal-Recipient: rfc822; nobody@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n"),
	}
	headers := part{
		header: []string{"Content-Type: text/rfc822-headers"},
		body:   []byte("From: " + d.to.Address + "\r\nTo: nobody@example.com\r\nMessage-ID: <lost." + d.id[1:] + "\r\n"),
	}
	note := d.textPart("plain", d.lay(d.text(1), 72, ""), "")
	return d.message(d.multipart("report", "; report-type=delivery-status", note, status, headers))
}

// broken is mail as careless programs write it: what can be read, is.
func (d *draft) broken() []byte {
	lines := d.text(2)
	switch d.rand.IntN(4) {
	case 0: // the closing boundary is missing
		raw := d.message(d.multipart("mixed", "", d.textPart("plain", d.lay(lines, 72, ""), ""), d.csv()))
		return raw[:bytes.LastIndex(raw, []byte("\r\n--"))]
	case 1: // a header line without a colon
		return d.message(d.textPart("plain", d.lay(lines, 72, ""), ""), "this line is not a field")
	case 2: // no date, no id
		raw := d.message(d.textPart("plain", d.lay(lines, 72, ""), ""))
		raw = bytes.Replace(raw, []byte("\r\nMessage-ID: "+d.id), nil, 1)
		return bytes.Replace(raw, []byte("\r\nDate: "+d.Date.Format(rfc5322)), nil, 1)
	}
	// bare line feeds
	d.encoding = "base64"
	return bytes.ReplaceAll(d.message(d.textPart("plain", d.lay(lines, 72, ""), "")), []byte("\r\n"), []byte("\n"))
}
