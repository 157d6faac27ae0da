package message

// Heading is what sorting and threading look at of a message's header. Strings and
// addresses are as in an Envelope.
type Heading struct {
	Subject, InReplyTo, MessageID string
	From, To, Cc                  Address  // the first of each; the zero value where there is none
	References                    []string // as in a Structure
}

// Heading is the heading of the message. It shares the structure's memory.
func (s *Structure) Heading() Heading {
	e := s.Envelope
	return Heading{e.Subject, e.InReplyTo, e.MessageID, first(e.From), first(e.To), first(e.Cc), s.References}
}

func first(list []Address) (a Address) {
	if len(list) > 0 {
		a = list[0]
	}
	return a
}

// Decode decodes the heading alone of what AppendBinary wrote, which is less work
// than to decode all, since it stands first; that the rest is sound is not checked.
// References reuses the memory that h has for it; all strings are parts of encoded. Any
// error wraps ErrStructure; so does the one for version 1, which knows no References.
func (h *Heading) Decode(encoded string) error {
	if len(encoded) == 0 || encoded[0] != structureVersion {
		return errVersion
	}
	*h = Heading{References: h.References[:0]}
	d := binaryDecoder{s: encoded, i: 1}
	d.uint() // size
	d.uint() // truncated
	flags := d.uint()
	d.string() // date
	h.Subject, h.InReplyTo, h.MessageID = d.string(), d.string(), d.string()
	d.first(&h.From)
	var other Address
	if flags&sameSender == 0 {
		d.first(&other)
	}
	if flags&sameReplyTo == 0 {
		d.first(&other)
	}
	d.first(&h.To)
	d.first(&h.Cc)
	d.first(&other) // bcc
	for n := d.count(1); n > 0 && !d.bad; n-- {
		h.References = append(h.References, d.string())
	}
	if d.bad {
		return ErrStructure
	}
	return nil
}

// first reads a list of addresses and keeps the first.
func (d *binaryDecoder) first(a *Address) {
	var rest Address
	to := a
	for n := d.count(4); n > 0 && !d.bad; n-- {
		d.address(to)
		to = &rest
	}
}
