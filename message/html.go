package message

import (
	"strings"

	"golang.org/x/net/html"
)

// htmlText is the text that a reader of an HTML part sees: without tags,
// comments, scripts, styles and the title; with character references decoded, the
// alternative text of images, and white space where an element begins or ends that
// does not stand within a line. Soft hyphens, which nobody sees, go.
//
// It is a scanner of its own because it needs only the places of tags: the
// tokenizer of golang.org/x/net/html keeps every attribute, 16 octets for each in
// a hostile tag, and a token whole. A test compares the two.
func htmlText(s string) string {
	h := htmlScanner{s: s}
	h.out.Grow(len(s) / 4)
	for h.i < len(h.s) {
		h.next()
	}
	return h.out.String()
}

// htmlScanner goes through a document.
type htmlScanner struct {
	s   string
	i   int
	out strings.Builder
}

// next takes the text up to a tag, and the tag.
func (h *htmlScanner) next() {
	start := h.i
	for {
		n := strings.IndexByte(h.s[h.i:], '<')
		if n < 0 {
			h.i = len(h.s)
			h.text(h.s[start:])
			return
		}
		h.i += n
		if h.i+1 < len(h.s) && beginsMarkup(h.s[h.i+1]) {
			break
		}
		h.i++
	}
	h.text(h.s[start:h.i])
	switch rest := h.s[h.i:]; {
	case strings.HasPrefix(rest, "<!--"):
		h.comment()
	case isLetter(rest[1]):
		h.i++
		h.startTag()
	case rest[1] == '/' && len(rest) > 2 && isLetter(rest[2]):
		h.i += 2
		name := h.name()
		h.attributes(nil)
		h.border(name)
	default: // <!doctype, <?xml, </>
		h.past(">")
	}
}

func beginsMarkup(c byte) bool { return isLetter(c) || c == '/' || c == '!' || c == '?' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isHTMLSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'
}

// past goes behind the next occurrence of mark, or to the end.
func (h *htmlScanner) past(mark string) {
	if n := strings.Index(h.s[h.i:], mark); n >= 0 {
		h.i += n + len(mark)
	} else {
		h.i = len(h.s)
	}
}

// comment passes a comment: <!--> and <!---> are whole ones.
func (h *htmlScanner) comment() {
	h.i += len("<!--")
	for _, short := range []string{">", "->"} {
		if strings.HasPrefix(h.s[h.i:], short) {
			h.i += len(short)
			return
		}
	}
	for {
		h.past("--")
		rest := h.s[h.i:]
		switch {
		case rest == "":
			return
		case rest[0] == '>':
			h.i++
			return
		case strings.HasPrefix(rest, "!>"):
			h.i += 2
			return
		}
		h.i-- // the second "-" may be the first of "-->"
	}
}

// text adds text with its character references decoded.
func (h *htmlScanner) text(s string) {
	if strings.IndexByte(s, '&') >= 0 {
		s = html.UnescapeString(s)
	}
	for {
		before, after, ok := strings.Cut(s, "\u00AD")
		h.out.WriteString(before)
		if !ok {
			return
		}
		s = after
	}
}

// name reads a tag's name, in lower case.
func (h *htmlScanner) name() string {
	start := h.i
	for h.i < len(h.s) && !isHTMLSpace(h.s[h.i]) && h.s[h.i] != '/' && h.s[h.i] != '>' {
		h.i++
	}
	return strings.ToLower(h.s[start:min(h.i, start+maxTag)])
}

// maxTag is longer than the names that mean anything here.
const maxTag = 16

func (h *htmlScanner) startTag() {
	name := h.name()
	alt, seen := "", false
	h.attributes(func(attribute, value string) {
		if strings.EqualFold(attribute, "alt") && !seen { // the first counts
			alt, seen = value, true
		}
	})
	h.border(name)
	switch name {
	case "img", "area", "input":
		if alt != "" {
			h.out.WriteByte(' ')
			h.text(alt)
			h.out.WriteByte(' ')
		}
	case "script", "style", "title", "iframe", "noembed", "noframes":
		h.raw(name, false)
	case "textarea", "xmp":
		h.raw(name, true)
	}
}

// attributes passes a tag's attributes and its ">". A tag without an end reaches
// to the end of the document.
func (h *htmlScanner) attributes(fn func(name, value string)) {
	for h.i < len(h.s) {
		switch c := h.s[h.i]; {
		case c == '>':
			h.i++
			return
		case isHTMLSpace(c) || c == '/':
			h.i++
		default:
			name := h.attributeName()
			if value := h.attributeValue(); fn != nil {
				fn(name, value)
			}
		}
	}
}

func (h *htmlScanner) attributeName() string {
	start := h.i
	h.i++ // even an "="
	for h.i < len(h.s) && !isHTMLSpace(h.s[h.i]) && strings.IndexByte("/>=", h.s[h.i]) < 0 {
		h.i++
	}
	return h.s[start:h.i]
}

func (h *htmlScanner) space() {
	for h.i < len(h.s) && isHTMLSpace(h.s[h.i]) {
		h.i++
	}
}

func (h *htmlScanner) attributeValue() string {
	h.space()
	if h.i >= len(h.s) || h.s[h.i] != '=' {
		return ""
	}
	h.i++
	h.space()
	if h.i >= len(h.s) || h.s[h.i] == '>' {
		return ""
	}
	start := h.i
	if quote := h.s[h.i]; quote == '"' || quote == '\'' {
		h.i++
		h.past(h.s[start : start+1])
		return strings.TrimSuffix(h.s[start+1:h.i], h.s[start:start+1])
	}
	for h.i < len(h.s) && !isHTMLSpace(h.s[h.i]) && h.s[h.i] != '>' {
		h.i++
	}
	return h.s[start:h.i]
}

// raw passes the content of an element that holds no tags, up to its end tag.
func (h *htmlScanner) raw(name string, shown bool) {
	start := h.i
	for {
		n := strings.Index(h.s[h.i:], "</")
		if n < 0 {
			h.i = len(h.s)
			break
		}
		h.i += n
		end := h.i + len("</") + len(name)
		if end < len(h.s) && strings.EqualFold(h.s[h.i+2:end], name) &&
			(isHTMLSpace(h.s[end]) || h.s[end] == '>' || h.s[end] == '/') {
			break
		}
		h.i += len("</")
	}
	if shown {
		h.text(h.s[start:h.i])
	}
}

// border adds white space for an element that does not stand within a line.
func (h *htmlScanner) border(name string) {
	if isBlock(name) {
		h.out.WriteByte('\n')
	}
}

// isBlock reports whether an element begins and ends a line, a cell or an entry,
// so that words before and behind its tags are not one.
func isBlock(name string) bool {
	switch name {
	case "address", "article", "aside", "blockquote", "body", "br", "button", "caption", "center",
		"col", "colgroup", "dd", "details", "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption",
		"figure", "footer", "form", "frame", "frameset", "h1", "h2", "h3", "h4", "h5", "h6", "head",
		"header", "hgroup", "hr", "html", "iframe", "input", "legend", "li", "listing", "main", "menu", "nav",
		"noframes", "noscript", "object", "ol", "optgroup", "option", "p", "plaintext", "pre", "search", "section", "select",
		"summary", "table", "tbody", "td", "textarea", "tfoot", "th", "thead", "title", "tr", "ul", "xmp":
		return true
	}
	return false
}
