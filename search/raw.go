package search

import (
	"bytes"
	"strings"

	"teraslot/message"
	"teraslot/text"
)

// raw is a message as it lies in the store, undecoded. It stands for the text of a
// message that message.Extract cut short, so that such a message is neither missed
// nor keeps others from being found.
type raw struct {
	header     []byte
	head, body text.Unit // the header as a whole, and the rest
}

func newRaw(msg []byte) *raw {
	header, body := msg, []byte(nil)
	for _, end := range []string{"\n\r\n", "\n\n"} {
		if at := bytes.Index(header, []byte(end)); at >= 0 {
			header, body = msg[:at+1], msg[at+len(end):]
		}
	}
	return &raw{header, text.BodyUnit(message.DecodeText("", header)), text.BodyUnit(message.DecodeText("", body))}
}

// match reports whether the key is in the undecoded message: in its header's fields
// of the name, or anywhere behind the header, or anywhere.
func (r *raw) match(k text.Key) bool {
	switch k.Scope {
	case text.InBody:
		return k.MatchUnit(r.body)
	case text.InHeader:
		return r.matchField(k)
	}
	return k.MatchUnit(r.body) || k.MatchUnit(r.head)
}

// matchField looks at one field after another: a hostile header has millions.
func (r *raw) matchField(k text.Key) bool {
	for rest := r.header; len(rest) > 0; {
		end := fieldEnd(rest)
		name, value, ok := bytes.Cut(rest[:end], []byte(":"))
		rest = rest[end:]
		if !ok || !strings.EqualFold(string(bytes.TrimRight(name, " \t")), k.Name) {
			continue
		}
		if k.MatchUnit(text.HeaderUnit(k.Name, message.DecodeHeader(string(value)))) {
			return true
		}
	}
	return false
}

// fieldEnd is where the field ends that a header begins with: behind the first line
// end that no white space follows.
func fieldEnd(header []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(header[at:], '\n')
		if i < 0 {
			return len(header)
		}
		at += i + 1
		if at == len(header) || header[at] != ' ' && header[at] != '\t' {
			return at
		}
	}
}
