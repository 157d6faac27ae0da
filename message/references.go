package message

import (
	"io"
	"strings"
)

// maxReferences is how many message-ids of one field are looked at.
const maxReferences = 1000

// MessageIDs are the message-ids in the value of Message-ID, References or
// In-Reply-To, without their angle brackets, quoting and white space, in order and
// each once. What stands between them is passed over, as In-Reply-To once held
// phrases (RFC 5322 §4.5.4).
func MessageIDs(value string) []string {
	var ids []string
	for len(ids) < maxReferences {
		_, rest, ok := strings.Cut(value, "<")
		if !ok {
			break
		}
		id, rest, ok := strings.Cut(rest, ">")
		if !ok {
			break
		}
		if i := strings.LastIndexByte(id, '<'); i >= 0 {
			id = id[i+1:] // the first one has no end
		}
		if id = cleanID(id); id != "" && !contains(ids, id) {
			ids = append(ids, id)
		}
		value = rest
	}
	return ids
}

// contains looks at the last ids: only neighbours are repeated by mistake, and a
// search through all would be quadratic.
func contains(ids []string, id string) bool {
	for _, old := range ids[max(0, len(ids)-64):] {
		if old == id {
			return true
		}
	}
	return false
}

// cleanID takes white space and quotes out of a message-id.
func cleanID(id string) string {
	if !strings.ContainsAny(id, " \t\r\n\"\x00") {
		return id
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == '"' {
			return -1
		}
		return r
	}, id)
}

// MessageID is the message's own id as MessageIDs gives them. One written without
// angle brackets is taken too; "" where there is none.
func MessageID(e *Envelope) string {
	if ids := MessageIDs(e.MessageID); len(ids) > 0 {
		return ids[0]
	}
	return cleanID(strings.Trim(e.MessageID, "<>"))
}

// References are the message-ids of a message's ancestors, the oldest first: those
// of References, or else of In-Reply-To (RFC 5256, THREAD=REFERENCES, step 1). It
// reads the header of the message; an error is one of r's.
func References(r io.ReaderAt, s *Structure) ([]string, error) {
	header, err := readHeader(r, s.Root)
	if err != nil {
		return nil, err
	}
	var ids []string
	for f := range fields(header) {
		if f.is("references") {
			ids = append(ids, MessageIDs(string(f.value))...)
		}
	}
	if len(ids) > 0 {
		return ids, nil
	}
	if ids = MessageIDs(s.Envelope.InReplyTo); len(ids) > 1 {
		ids = ids[:1]
	}
	return ids, nil
}
