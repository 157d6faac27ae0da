package message

// EnvelopeField is a set of envelope fields.
type EnvelopeField uint16

// The fields of an envelope, in the order of ENVELOPE (RFC 9051 §7.5.2).
const (
	FieldDate EnvelopeField = 1 << iota
	FieldSubject
	FieldFrom
	FieldSender
	FieldReplyTo
	FieldTo
	FieldCc
	FieldBcc
	FieldInReplyTo
	FieldMessageID
)

// Envelope is what IMAP's ENVELOPE says of a message. Strings are unfolded and
// otherwise as the message has them: encoded words are not decoded, and octets
// above 0x7F may be of any charset. Of a field that must not occur twice the first
// counts; the addresses of repeated fields are put together.
type Envelope struct {
	// Present are the fields that the message has. ENVELOPE gives NIL for a string
	// that is absent and "" for one that is empty.
	Present EnvelopeField

	Date, Subject string
	From          []Address
	Sender        []Address // From where the message has none or none usable
	ReplyTo       []Address // as Sender
	To, Cc, Bcc   []Address
	InReplyTo     string
	MessageID     string
}

// Has reports whether the message has the field f.
func (e *Envelope) Has(f EnvelopeField) bool { return e.Present&f != 0 }

// finish gives Sender and Reply-To their defaults, once all fields were read.
func (e *Envelope) finish() {
	if len(e.Sender) == 0 {
		e.Sender = e.From
	}
	if len(e.ReplyTo) == 0 {
		e.ReplyTo = e.From
	}
}

// setField reads one field of the header, whose name is given in lower case.
func (e *Envelope) setField(name, value []byte) {
	switch string(name) {
	case "date":
		e.setString(FieldDate, &e.Date, value)
	case "subject":
		e.setString(FieldSubject, &e.Subject, value)
	case "in-reply-to":
		e.setString(FieldInReplyTo, &e.InReplyTo, value)
	case "message-id":
		e.setString(FieldMessageID, &e.MessageID, value)
	case "from":
		e.addAddresses(FieldFrom, &e.From, value)
	case "sender":
		e.addAddresses(FieldSender, &e.Sender, value)
	case "reply-to":
		e.addAddresses(FieldReplyTo, &e.ReplyTo, value)
	case "to":
		e.addAddresses(FieldTo, &e.To, value)
	case "cc":
		e.addAddresses(FieldCc, &e.Cc, value)
	case "bcc":
		e.addAddresses(FieldBcc, &e.Bcc, value)
	}
}

func (e *Envelope) setString(f EnvelopeField, s *string, value []byte) {
	if !e.Has(f) {
		e.Present |= f
		*s = unfold(value)
	}
}

func (e *Envelope) addAddresses(f EnvelopeField, list *[]Address, value []byte) {
	e.Present |= f
	*list = append(*list, ParseAddresses(unfold(value))...)
}

// weight is about what the envelope takes in memory.
func (e *Envelope) weight() int {
	n := len(e.Date) + len(e.Subject) + len(e.InReplyTo) + len(e.MessageID)
	for _, list := range [][]Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		for _, a := range list {
			n += len(a.Name) + len(a.Route) + len(a.Mailbox) + len(a.Host) + 72
		}
	}
	return n
}
