package lmtp

import (
	"errors"
	"strconv"
	"strings"
)

// cutCommand splits a line into its verb, in capitals, and the rest.
func cutCommand(line string) (verb, rest string) {
	verb, rest, _ = strings.Cut(line, " ")
	return strings.ToUpper(verb), strings.TrimSpace(rest)
}

// cutFold is strings.CutPrefix in any case.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return strings.TrimLeft(s[len(prefix):], " "), true
}

var errPath = errors.New("not a path")

// address is a path of MAIL or RCPT.
type address struct {
	// written is what stood between the brackets, without a source route.
	written string
	// name is the mailbox: written without the quoting of its local part.
	name string
}

// cutAddress reads a path (RFC 5321 §4.1.2) from the beginning of s and returns
// what comes behind it. Brackets may be missing, and the domain: <postmaster> is to
// be taken without one (§4.1.1.3), and other local users do no harm. An empty path
// is "<>".
func cutAddress(s string) (a address, rest string, err error) {
	end, bracket := 0, strings.HasPrefix(s, "<")
	if bracket {
		s = s[1:]
		s = cutRoute(s)
	}
	quoted := false
	var name strings.Builder
	for ; end < len(s); end++ {
		c := s[end]
		switch {
		case c < ' ' || c == 0x7f:
			return a, "", errPath
		case quoted && c == '\\' && end+1 < len(s) && s[end+1] >= ' ':
			end++
			c = s[end]
		case c == '"' && (quoted || end == 0):
			quoted = !quoted
			continue
		case quoted:
		case c == '>' && bracket, c == ' ' && !bracket:
			a = address{s[:end], name.String()}
			return a, strings.TrimPrefix(s[end:], ">"), nil
		case strings.IndexByte(`()<>[]:;\," `, c) >= 0 && !strings.Contains(s[:end], "@"):
			return a, "", errPath
		case c == '<' || c == '>' || c == ' ':
			return a, "", errPath
		}
		name.WriteByte(c)
	}
	if quoted || bracket || end == 0 {
		return a, "", errPath
	}
	return address{s, name.String()}, "", nil
}

// cutRoute takes off a source route, which is to be ignored (RFC 5321 §4.1.1.3).
func cutRoute(s string) string {
	if strings.HasPrefix(s, "@") {
		if _, rest, ok := strings.Cut(s, ":"); ok {
			return rest
		}
	}
	return s
}

// sane reports whether an address may be a recipient, or with a domain a sender.
func (a address) sane() bool {
	local, domain, has := cutLast(a.name, '@')
	return local != "" && (domain != "" || !has)
}

func cutLast(s string, c byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, c); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// mailParameters are those of MAIL that are announced.
type mailParameters struct {
	size int64 // 0 if not given
}

// parseMail reads the parameters of MAIL (RFC 1870, 6152, 6531). The reply is of
// code 0 if they are good.
func parseMail(s string, most int64) (p mailParameters, bad status) {
	for _, word := range strings.Fields(s) {
		key, value, _ := strings.Cut(word, "=")
		switch strings.ToUpper(key) {
		case "SIZE":
			if value == "" || strings.Trim(value, "0123456789") != "" || len(value) > 20 {
				return p, badSize // RFC 1870 §5: up to 20 digits
			}
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n > most {
				return p, tooBig // what does not fit 63 bits is too big, too
			}
			p.size = n
		case "BODY":
			if !strings.EqualFold(value, "7BIT") && !strings.EqualFold(value, "8BITMIME") {
				return p, unknownBody
			}
		case "SMTPUTF8":
			if strings.Contains(word, "=") {
				return p, unknownParameter
			}
		default:
			return p, unknownParameter
		}
	}
	return p, status{}
}

// parseChunk reads the argument of BDAT (RFC 3030 §2).
func parseChunk(s string) (size int64, last, ok bool) {
	number, word, more := strings.Cut(s, " ")
	if last = strings.EqualFold(strings.TrimSpace(word), "LAST"); more && !last {
		return 0, false, false
	}
	n, err := strconv.ParseUint(number, 10, 63)
	return int64(n), last, err == nil
}
