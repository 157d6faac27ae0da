package message

import "strings"

// Structure is a whole message taken apart.
type Structure struct {
	Size     int64     // octets of the message (RFC822.SIZE)
	Root     *Part     // never nil
	Envelope *Envelope // the message's own; never nil
	// References are the message-ids of the message's References fields, as
	// MessageIDs gives them.
	References []string
	// Truncated says that a limit of Parse was met: nested too deep, too many
	// parts, or a header too long to be interpreted in full.
	Truncated bool
}

// Part is an entity of a message (RFC 2045 §2.4): the message itself, a part of
// a multipart, or the message inside a message/rfc822 part. Offsets are octets
// from the start of the whole message.
type Part struct {
	HeaderStart int64 // first octet of the part's header
	BodyStart   int64 // first octet after the blank line
	End         int64 // after the last octet; the line end before a boundary is the boundary's
	Lines       int64 // line ends (LF) in the body

	Type    string  // lower-case; "text" where none or none valid is declared
	Subtype string  // lower-case
	Params  []Param // of Content-Type, in order, RFC 2231 continuations joined

	ID          string // Content-ID, raw and unfolded; "" where absent
	Description string // Content-Description, raw and unfolded
	Encoding    string // Content-Transfer-Encoding in lower case; "7bit" where absent
	MD5         string // Content-MD5 (RFC 1864)

	Disposition       string  // lower-case; "" where absent
	DispositionParams []Param // as Params
	Language          []string
	Location          string // RFC 2557, unfolded, without white space

	// Degraded marks a part declared as a multipart or a message that is given as
	// a leaf: no boundary was found, it is encoded, or it is nested too deep.
	Degraded bool

	Children []*Part   // of a multipart; at least one
	Message  *Part     // the inner message of message/rfc822 and message/global
	Envelope *Envelope // Message's envelope; nil where Message is
}

// Param is one parameter of Content-Type or Content-Disposition. Name is in
// lower case. Value is unquoted; a name that ends in "*" has a value in RFC 2231
// §4's extended form: charset'language'percent-encoded octets.
type Param struct{ Name, Value string }

// Size is the number of octets of the part's body, as encoded.
func (p *Part) Size() int64 { return p.End - p.BodyStart }

// Is reports whether the part's type is t/subtype (both lower-case); a subtype
// "*" stands for any.
func (p *Part) Is(t, subtype string) bool {
	return p.Type == t && (subtype == "*" || p.Subtype == subtype)
}

// Param is the decoded value of the Content-Type parameter name (lower-case),
// "" where there is none: RFC 2231 values and, since many write them there,
// encoded words (RFC 2047) are decoded to UTF-8.
func (p *Part) Param(name string) string { return decodedParam(p.Params, name) }

// FileName is the decoded name under which the part wants to be saved: the
// disposition's filename, otherwise the type's name; "" where there is neither.
func (p *Part) FileName() string {
	if name := decodedParam(p.DispositionParams, "filename"); name != "" {
		return name
	}
	return p.Param("name")
}

// Walk calls fn for the part and all below it in the order of the message,
// until fn returns false.
func (p *Part) Walk(fn func(*Part) bool) bool {
	if !fn(p) {
		return false
	}
	for _, c := range p.Children {
		if !c.Walk(fn) {
			return false
		}
	}
	return p.Message == nil || p.Message.Walk(fn)
}

// Section finds the part that IMAP's section numbers name (RFC 9051 §6.4.5.1):
// an empty path is the message itself, and a message that is not a multipart has
// one part, 1, its body. The HEADER and TEXT of a message/rfc822 part are those
// of the found part's Message.
func (s *Structure) Section(path []int) (*Part, bool) {
	p, message := s.Root, true
	for _, n := range path {
		var ok bool
		if p, ok = p.child(n, message); !ok {
			return nil, false
		}
		message = false
	}
	return p, true
}

// child is part n of p, where message says that p stands for a whole message
// rather than for a numbered part.
func (p *Part) child(n int, message bool) (*Part, bool) {
	if !message && p.Message != nil {
		return p.Message.child(n, true)
	}
	if len(p.Children) > 0 {
		if n < 1 || n > len(p.Children) {
			return nil, false
		}
		return p.Children[n-1], true
	}
	return p, message && n == 1
}

// encodesMessage reports whether the declared type is one whose body is a whole
// message (RFC 2046 §5.2.1, RFC 6532 §3.7).
func encodesMessage(t, subtype string) bool {
	return t == "message" && (subtype == "rfc822" || subtype == "global")
}

// identity reports whether a transfer encoding leaves octets as they are.
// An encoding nobody knows hides its octets.
func identity(encoding string) bool {
	switch encoding {
	case "", "7bit", "8bit", "binary", "7-bit", "8-bit":
		return true
	}
	return false
}

// Decodable reports whether DecodedPart undoes the part's transfer encoding;
// otherwise it gives the octets as they are (BINARY: NO [UNKNOWN-CTE]).
func (p *Part) Decodable() bool {
	return identity(p.Encoding) || decoderFor(p.Encoding) != nil
}

func lower(b []byte) string { return strings.ToLower(string(b)) }
