package message

import "strings"

// BaseSubject takes from a decoded subject (see DecodeHeader) what mail programs
// add to one: RFC 5256 §2.1. reply says that something of what it took away marks a
// reply or a forward (§3, THREAD=REFERENCES). Time is linear in the subject's length.
func BaseSubject(subject string) (base string, reply bool) {
	s := oneSpaced(subject) // step 1
	for {
		var trailer, leader, wrapped bool
		s, trailer = trimTrailers(s) // step 2
		s, leader = trimLeaders(s)   // steps 3 to 5
		s, wrapped = unwrap(s)       // step 6
		reply = reply || trailer || leader || wrapped
		if !wrapped {
			return s, reply
		}
	}
}

// oneSpaced makes a space of each tab, line end and run of them (RFC 5256 §2.1, step
// 1). Other white space is text there.
func oneSpaced(s string) string {
	if !strings.ContainsAny(s, "\t\r\n") && !strings.Contains(s, "  ") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		c := s[i]
		if c == '\t' || c == '\r' || c == '\n' {
			c = ' '
		}
		if c != ' ' || len(out) == 0 || out[len(out)-1] != ' ' {
			out = append(out, c)
		}
	}
	return string(out)
}

// trimTrailers takes away subj-trailer as often as there is one; forwarded tells
// whether one of them was more than white space.
func trimTrailers(s string) (_ string, forwarded bool) {
	const trailer = "(fwd)"
	for {
		s = strings.TrimRight(s, " ")
		at := len(s) - len(trailer)
		if at < 0 || !strings.EqualFold(s[at:], trailer) {
			return s, forwarded
		}
		s, forwarded = s[:at], true
	}
}

// trimLeaders takes away subj-leader, and each subj-blob that leaves something behind
// it, as often as there is one. Blobs before a subj-refwd go with it; where none
// follows the last of a row of blobs, none follows the others either, so that a
// row is looked at once.
func trimLeaders(s string) (_ string, replied bool) {
	for {
		s = strings.TrimLeft(s, " ")
		rest, last := cutBlobs(s)
		if n := refwd(rest); n > 0 {
			s, replied = rest[n:], true
			continue
		}
		if rest == "" {
			rest = last
		}
		return rest, replied
	}
}

// cutBlobs cuts all blobs at the start of s; last is s from the last of them on.
func cutBlobs(s string) (rest, last string) {
	rest, last = s, s
	for n := blob(rest); n > 0; n = blob(rest) {
		rest, last = rest[n:], rest
	}
	return rest, last
}

// blob is the length of the subj-blob that s begins with, 0 if there is none.
func blob(s string) int {
	if s == "" || s[0] != '[' {
		return 0
	}
	end := strings.IndexAny(s[1:], "[]")
	if end < 0 || s[1+end] != ']' {
		return 0
	}
	return len(s) - len(strings.TrimLeft(s[1+end+1:], " "))
}

// refwd is the length of the subj-refwd that s begins with, 0 if there is none.
func refwd(s string) int {
	n := 0
	for _, word := range [...]string{"fwd", "fw", "re"} {
		if len(s) >= len(word) && strings.EqualFold(s[:len(word)], word) {
			n = len(word)
			break
		}
	}
	if n == 0 {
		return 0
	}
	rest := strings.TrimLeft(s[n:], " ")
	rest = rest[blob(rest):]
	if rest == "" || rest[0] != ':' {
		return 0
	}
	return len(s) - len(rest) + 1
}

// unwrap takes subj-fwd-hdr and subj-fwd-trl away, if both are there.
func unwrap(s string) (string, bool) {
	const header, trailer = "[fwd:", "]"
	if len(s) < len(header)+len(trailer) || !strings.EqualFold(s[:len(header)], header) || !strings.HasSuffix(s, trailer) {
		return s, false
	}
	return s[len(header) : len(s)-len(trailer)], true
}
