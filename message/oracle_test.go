package message

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// dumb takes a message apart as its definition reads: it splits the body of a
// multipart at its boundary lines and starts again with each piece. It shares with
// Parse only what reads one field.
type dumb struct {
	raw       string
	ambiguous bool // one line may be the boundary of two multiparts
	typed     bool // the header has a Content-Type
}

// part reads raw[start:end]. The text ends at text, before the line end that
// belongs to the boundary which follows.
func (d *dumb) part(start, end, text int, message, digest bool, boundaries []string) *Part {
	p := &Part{HeaderStart: int64(start)}
	body, cut := d.header(p, start, end, text, message)
	if cut {
		end = body
	}
	if p.Type == "" {
		p.Type, p.Subtype = "text", "plain"
		if digest {
			p.Type, p.Subtype = "message", "rfc822"
		}
	}
	p.BodyStart = int64(body)
	last := max(text, body)
	b := strings.TrimRight(rawParam(p.Params, "boundary"), " \t")
	switch {
	case p.Type == "multipart" && b != "":
		for _, outer := range boundaries {
			d.ambiguous = d.ambiguous || b == outer || b == outer+"--" || b+"--" == outer
		}
		last = max(last, d.parts(p, b, end, text, append(slices.Clone(boundaries), b)))
	case encodesMessage(p.Type, p.Subtype):
		p.Message = d.part(body, end, text, true, false, boundaries)
		last = max(last, int(p.Message.End))
	}
	if p.Type == "multipart" && len(p.Children) == 0 {
		p.Type, p.Subtype, p.Degraded = "text", "plain", true
	}
	p.End = int64(last)
	p.Lines = int64(strings.Count(d.raw[body:last], "\n"))
	return p
}

// header reads a header and gives where the body starts; cut says that it has no
// blank line, and there is no body.
func (d *dumb) header(p *Part, start, end, text int, message bool) (body int, cut bool) {
	at, junk, asked := start, -1, 0
	d.typed = false
	for at < end {
		line, _, _ := strings.Cut(d.raw[at:end], "\n")
		next := min(at+len(line)+1, end)
		switch {
		case strings.TrimSuffix(line, "\r") == "" && next > at+len(line):
			if junk < 0 {
				return next, false
			}
			return junk, false
		case at > start && (line[0] == ' ' || line[0] == '\t'):
		case nameEnd([]byte(line)) >= 0:
			junk = -1
			d.field(p, d.raw[at:end])
		case at == start && isMboxLine([]byte(line)):
		case at == start && !message:
			return start, false
		default:
			if junk < 0 {
				junk = at
			}
			b := strings.TrimRight(rawParam(p.Params, "boundary"), " \t")
			if strings.HasPrefix(line, "--") && asked < maxGuesses {
				asked++
				if p.Type == "multipart" && b != "" && (delimits(line, b) || delimits(line, b+"--")) {
					return junk, false
				}
			}
		}
		at = next
	}
	if junk >= 0 {
		return junk, false
	}
	return max(start, text), true
}

// field reads the field that text begins with, if it is the first Content-Type.
func (d *dumb) field(p *Part, text string) {
	name, value, _ := strings.Cut(text, ":")
	if d.typed || !strings.EqualFold(strings.TrimRight(name, " \t"), "content-type") {
		return
	}
	d.typed = true
	lines := strings.SplitAfter(value, "\n")
	folded := lines[0]
	for _, l := range lines[1:] {
		if l == "" || l[0] != ' ' && l[0] != '\t' {
			break
		}
		folded += l
	}
	p.Type, p.Subtype, p.Params = parseType([]byte(folded))
}

func delimits(line, boundary string) bool {
	return strings.TrimRight(line, " \t\r\n") == "--"+boundary
}

// parts splits a multipart's body at its boundary lines, and gives the end of the
// part that no boundary ends.
func (d *dumb) parts(p *Part, b string, end, text int, boundaries []string) (last int) {
	child := -1
	finish := func(end, text int) int {
		if child < 0 {
			return 0
		}
		c := d.part(child, end, text, false, p.Subtype == "digest", boundaries)
		p.Children = append(p.Children, c)
		return int(c.End)
	}
	for at := int(p.BodyStart); at < end; {
		line, _, _ := strings.Cut(d.raw[at:end], "\n")
		next := min(at+len(line)+1, end)
		open, closing := delimits(line, b), delimits(line, b+"--")
		if open || closing {
			before := strings.TrimSuffix(strings.TrimSuffix(d.raw[:at], "\n"), "\r")
			finish(at, len(before))
			child = next
			if closing {
				return 0
			}
		}
		at = next
	}
	return finish(end, text)
}

// shape shows what the two have to agree on.
func shape(p *Part) string {
	s := fmt.Sprintf("%s/%s %d %d %d %d %v", p.Type, p.Subtype, p.HeaderStart, p.BodyStart, p.End, p.Lines, p.Degraded)
	for _, c := range p.Children {
		s += " (" + shape(c) + ")"
	}
	if p.Message != nil {
		s += " [" + shape(p.Message) + "]"
	}
	return s
}

func compareWithDumb(raw string) error {
	s, err := check([]byte(raw))
	if err != nil {
		return err
	}
	d := dumb{raw: raw}
	want := d.part(0, len(raw), len(raw), true, false, nil)
	if got := shape(s.Root); got != shape(want) && !d.ambiguous {
		return fmt.Errorf("of %q\ngot  %s\nwant %s", raw, got, shape(want))
	}
	return nil
}

// lineOf are the lines that random messages are made of.
var lineOf = []string{
	"", "", "", "--a", "--a", "--b", "--c", "--a--", "--b--", "--a ", "--ab", "--a---", "junk", " more", "-", "--",
	"Content-Type: multipart/mixed; boundary=a", "Content-Type: multipart/digest; boundary=b", "Content-Type: multipart/mixed; boundary=\"c\"",
	"Content-Type: message/rfc822", "Content-Type: text/html", "Content-Type: multipart/mixed", "Subject: x", "Subject :x", ":x", "From x",
}

// TestParseIsItsDefinition compares with dumb over random messages.
func TestParseIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		end := rapid.SampledFrom([]string{"\n", "\r\n"})
		var raw strings.Builder
		for _, line := range rapid.SliceOfN(rapid.SampledFrom(lineOf), 0, 40).Draw(t, "lines") {
			raw.WriteString(line + end.Draw(t, "end"))
		}
		whole := raw.String()
		cut := rapid.IntRange(0, 3).Draw(t, "cut")
		if err := compareWithDumb(whole[:max(0, len(whole)-cut)]); err != nil {
			t.Fatal(err)
		}
	})
}

// TestStructured builds messages whose structure is known, and finds it again.
func TestStructured(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := builder{t: t}
		raw, want := b.entity(3, rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "line end"))
		s, err := check([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		if got := outline(raw, s.Root); got != want {
			t.Fatalf("%q\ngot  %s\nwant %s", raw, got, want)
		}
	})
}

// builder writes random well-formed entities.
type builder struct {
	t *rapid.T
	n int // boundaries so far
}

func (b *builder) entity(depth int, nl string) (raw, want string) {
	kinds := []string{"text", "text", "multipart", "message"}
	if depth == 0 {
		kinds = kinds[:1]
	}
	switch rapid.SampledFrom(kinds).Draw(b.t, "kind") {
	case "multipart":
		b.n++
		boundary := fmt.Sprintf("=_%d", b.n)
		raw = "Content-Type: multipart/mixed;" + nl + "\tboundary=\"" + boundary + "\"" + nl + nl + "preamble" + nl
		var outlines []string
		for range rapid.IntRange(1, 3).Draw(b.t, "parts") {
			part, o := b.entity(depth-1, nl)
			raw += "--" + boundary + nl + part + nl
			outlines = append(outlines, o)
		}
		return raw + "--" + boundary + "--" + nl, "multipart/mixed(" + strings.Join(outlines, " ") + ")"
	case "message":
		part, o := b.entity(depth-1, nl)
		return "Content-Type: message/rfc822" + nl + nl + part, "message/rfc822(" + o + ")"
	}
	body := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"word", "", "--", "--=_", "Subject: x", " "})).Draw(b.t, "body"), nl)
	return "Content-Type: text/html" + nl + nl + body, fmt.Sprintf("text/html%q", body)
}

// TestRealMailIsItsDefinition compares with dumb over the corpora.
func TestRealMailIsItsDefinition(t *testing.T) {
	for _, archive := range archives {
		corpus(t, archive, func(name string, raw []byte) {
			if strings.Contains(lower(raw), "message/") {
				return // messages in an encoding, which the definition above leaves out
			}
			if err := compareWithDumb(string(raw)); err != nil {
				t.Errorf("%s: %.300v", name, err)
			}
		})
	}
}
