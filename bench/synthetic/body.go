package synthetic

import (
	"encoding/base64"
	"fmt"
	"html"
	"strings"
)

// part is text with the header fields that say what it is.
type part struct {
	header []string
	text   string
}

// body sets the lines as the message's kind wants it.
func (d *draft) body(lines []string) part {
	text := d.leaf("plain", strings.Join(lines, "\r\n")+"\r\n")
	switch d.kind {
	case Alternative:
		page := "<html><body>\r\n<p>" + strings.ReplaceAll(html.EscapeString(strings.Join(lines, "\r\n")), "\r\n\r\n", "</p>\r\n<p>") + "</p>\r\n</body></html>\r\n"
		return d.multipart("alternative", text, d.leaf("html", page))
	case Attachment:
		return d.multipart("mixed", text, d.file())
	}
	return text
}

// leaf is a text part. What is not ASCII is sent as base64 half of the time.
func (d *draft) leaf(subtype, text string) part {
	encoding := "8bit"
	if d.lexicon != d.lexica[0] && d.rand.IntN(2) == 0 {
		encoding, text = "base64", folded(base64.StdEncoding.EncodeToString([]byte(text)), 76)
	}
	return part{[]string{"Content-Type: text/" + subtype + "; charset=utf-8", "Content-Transfer-Encoding: " + encoding}, text}
}

func (d *draft) multipart(subtype string, parts ...part) part {
	boundary := fmt.Sprintf("=-%016x", d.rand.Uint64())
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("--" + boundary + "\r\n" + strings.Join(p.header, "\r\n") + "\r\n\r\n" + p.text + "\r\n")
	}
	b.WriteString("--" + boundary + "--\r\n")
	return part{[]string{"Content-Type: multipart/" + subtype + ";\r\n boundary=\"" + boundary + "\""}, b.String()}
}

// file is an attachment that has no text: 4 to 100 kB of noise.
func (d *draft) file() part {
	noise := make([]byte, 4000+d.rand.IntN(96000))
	for i := range noise {
		noise[i] = byte(d.rand.Uint32())
	}
	kind := []string{"application/pdf", "image/jpeg", "application/zip"}[d.rand.IntN(3)]
	name := d.topic[0] + "." + kind[strings.IndexByte(kind, '/')+1:]
	return part{
		[]string{"Content-Type: " + kind, "Content-Transfer-Encoding: base64", "Content-Disposition: attachment; filename*=utf-8''" + percent(name)},
		folded(base64.StdEncoding.EncodeToString(noise), 76),
	}
}

// percent is RFC 2231's form of a value.
func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// folded breaks a text into lines.
func folded(s string, width int) string {
	var b strings.Builder
	for ; len(s) > width; s = s[width:] {
		b.WriteString(s[:width] + "\r\n")
	}
	return b.String() + s + "\r\n"
}
