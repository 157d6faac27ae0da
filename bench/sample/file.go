package sample

import (
	"archive/zip"
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"
)

// file makes an attachment of some kind.
func (d *draft) file() part {
	return pick(d.rand, []func() part{d.csv, d.png, d.zip, d.calendar, d.pdf})()
}

// attached is a part with a file name in the language of the message.
func (d *draft) attached(mediaType, extension string, content []byte) part {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:"?*<>|`, r) {
			return -1
		}
		return r
	}, d.fill(pick(d.rand, d.book.subjects))) + "." + extension
	return part{
		header: []string{
			"Content-Type: " + mediaType + parameter("name", d.Charset, name),
			"Content-Transfer-Encoding: base64",
			"Content-Disposition: attachment" + parameter("filename", d.Charset, name),
		},
		body: wrap64(content),
	}
}

func (d *draft) csv() part {
	var b strings.Builder
	b.WriteString("part,pieces,price\r\n")
	for _, name := range []string{"hinge", "bolt", "lantern glass", "wick"} {
		fmt.Fprintf(&b, "%s,%d,%d.%02d\r\n", name, 1+d.rand.IntN(40), d.rand.IntN(90), d.rand.IntN(100))
	}
	return d.attached("text/csv; charset=us-ascii", "csv", []byte(b.String()))
}

// png is a small picture of coloured noise.
func (d *draft) png() part {
	img := image.NewNRGBA(image.Rect(0, 0, 24, 24))
	for i := range 24 * 24 {
		img.Set(i%24, i/24, color.NRGBA{uint8(d.rand.IntN(256)), uint8(d.rand.IntN(256)), 128, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	return d.attached("image/png", "png", b.Bytes())
}

func (d *draft) zip() part {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range []string{"plan.txt", "parts.txt"} {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write([]byte(strings.Repeat(name+"\n", 20)))
		}
		if err != nil {
			panic(err) // a bytes.Buffer takes everything
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return d.attached("application/zip", "zip", b.Bytes())
}

// calendar is an invitation (RFC 5545).
func (d *draft) calendar() part {
	start := d.Date.UTC().AddDate(0, 0, 7)
	const stamp = "20060102T150405Z"
	text := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example.org//sample//EN\r\nBEGIN:VEVENT\r\nUID:" +
		strings.Trim(d.id, "<>") + "\r\nDTSTAMP:" + d.Date.UTC().Format(stamp) + "\r\nDTSTART:" + start.Format(stamp) +
		"\r\nSUMMARY:" + d.Subject + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	return d.attached("text/calendar; charset=utf-8; method=REQUEST", "ics", []byte(text))
}

// pdf is one empty page.
func (d *draft) pdf() part {
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var at []int
	for i, object := range []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
	} {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	table := b.Len()
	b.WriteString("xref\n0 4\n0000000000 65535 f \n")
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", table)
	return d.attached("application/pdf", "pdf", b.Bytes())
}
