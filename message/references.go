package message

import "strings"

// maxReferences is how many message-ids of one header are kept: the nearest
// ancestors.
const maxReferences = 1000

// MessageIDs are the message-ids in the value of Message-ID, References or
// In-Reply-To, without their angle brackets, quoting and white space, in order. What
// stands between them is passed over, as In-Reply-To once held phrases (RFC 5322
// §4.5.4). Of more than 1000 the last are given.
func MessageIDs(value string) []string { return appendIDs(nil, value) }

// appendIDs appends the message-ids of a value, and keeps the last of all.
func appendIDs(ids []string, value string) []string {
	for {
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
		if id = cleanID(id); id != "" {
			ids = append(ids, id)
		}
		if len(ids) > 2*maxReferences {
			ids = nearest(ids)
		}
		value = rest
	}
	return nearest(ids)
}

// nearest moves the last ids to the front, and leaves out the others.
func nearest(ids []string) []string {
	if n := len(ids) - maxReferences; n > 0 {
		return ids[:copy(ids, ids[n:])]
	}
	return ids
}

// cleanID takes white space and quotes out of a message-id, and the backslashes that
// quote in them (RFC 5256 §3: "MUST normalize any msg-id").
func cleanID(id string) string {
	if !strings.ContainsAny(id, " \t\r\n\"\x00") {
		return id
	}
	quoted := strings.Contains(id, `"`)
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == '"' || r == '\\' && quoted {
			return -1
		}
		return r
	}, id)
}

// ValidMessageID reports whether an id, as MessageIDs gives it, has both sides of an
// "@", as the msg-id of RFC 5322 §3.6.4 has.
func ValidMessageID(id string) bool {
	left, right, _ := strings.Cut(id, "@")
	return left != "" && right != ""
}

// MessageID is the message's own id as MessageIDs gives them. One written without
// angle brackets is taken too; "" where there is none.
func MessageID(e *Envelope) string {
	if ids := MessageIDs(e.MessageID); len(ids) > 0 {
		return ids[0]
	}
	return cleanID(strings.Trim(e.MessageID, "<>"))
}

// Ancestors are the message-ids of a message's ancestors, the oldest first: those
// of References, or else the first of In-Reply-To (RFC 5256, THREAD=REFERENCES).
func (s *Structure) Ancestors() []string {
	if len(s.References) > 0 {
		return s.References
	}
	ids := MessageIDs(s.Envelope.InReplyTo)
	return ids[:min(1, len(ids))]
}
