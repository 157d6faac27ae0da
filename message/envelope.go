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

// set reads the envelope from a header.
func (e *Envelope) set(header []byte) {
	for f := range fields(header) {
		switch len(f.name) {
		case len("to"), len("from"), len("subject"), len("sender"), len("reply-to"), len("in-reply-to"), len("message-id"), len("bcc"):
			e.setField(f)
		}
	}
	if len(e.Sender) == 0 {
		e.Sender = e.From
	}
	if len(e.ReplyTo) == 0 {
		e.ReplyTo = e.From
	}
}

// setField reads one field of the header.
func (e *Envelope) setField(f field) {
	switch lower(f.name) {
	case "date":
		e.setString(FieldDate, &e.Date, f.value)
	case "subject":
		e.setString(FieldSubject, &e.Subject, f.value)
	case "in-reply-to":
		e.setString(FieldInReplyTo, &e.InReplyTo, f.value)
	case "message-id":
		e.setString(FieldMessageID, &e.MessageID, f.value)
	case "from":
		e.addAddresses(FieldFrom, &e.From, f.value)
	case "sender":
		e.addAddresses(FieldSender, &e.Sender, f.value)
	case "reply-to":
		e.addAddresses(FieldReplyTo, &e.ReplyTo, f.value)
	case "to":
		e.addAddresses(FieldTo, &e.To, f.value)
	case "cc":
		e.addAddresses(FieldCc, &e.Cc, f.value)
	case "bcc":
		e.addAddresses(FieldBcc, &e.Bcc, f.value)
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
