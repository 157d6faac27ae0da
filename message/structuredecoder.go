package message

import "fmt"

// UnmarshalStructure decodes what AppendBinary wrote. The structure does not
// refer to b. Any error wraps ErrStructure.
func UnmarshalStructure(b []byte) (*Structure, error) { return new(StructureDecoder).Decode(string(b)) }

// StructureDecoder decodes structures into the same memory again and again. Its
// zero value is ready. It belongs to one goroutine.
type StructureDecoder struct {
	// NoEnvelope and NoParts leave out what nobody asks for: Envelope or Root is nil
	// then. Of parts that are left out nothing is checked.
	NoEnvelope, NoParts bool

	structure Structure
	parts     arena[Part]
	children  arena[*Part]
	envelopes arena[Envelope]
	addresses arena[Address]
	params    arena[Param]
	words     arena[string]
}

var errVersion = fmt.Errorf("%w: no version up to %d", ErrStructure, structureVersion)

// Decode decodes what AppendBinary wrote, and what it wrote in version 1, which did
// not know References. The structure is good until the next call, and its strings are
// parts of encoded. Any error wraps ErrStructure.
func (m *StructureDecoder) Decode(encoded string) (*Structure, error) {
	if len(encoded) == 0 || encoded[0] < 1 || encoded[0] > structureVersion {
		return nil, errVersion
	}
	m.reset()
	d := binaryDecoder{s: encoded, i: 1, to: m}
	s := &m.structure
	*s = Structure{Size: d.offset(0)}
	d.size = s.Size
	s.Truncated = d.uint() != 0
	if m.NoEnvelope {
		d.passEnvelope()
	} else {
		s.Envelope = d.envelope()
	}
	if encoded[0] > 1 {
		if n := d.count(1); n > 0 {
			s.References = m.words.take(n)
			d.strings(s.References)
		}
	}
	if m.NoParts {
		d.i = len(d.s)
	} else {
		s.Root = d.part(0, 1)
	}
	switch {
	case d.bad:
		return nil, fmt.Errorf("%w: octet %d of %d", ErrStructure, d.at, len(encoded))
	case d.i != len(d.s):
		return nil, fmt.Errorf("%w: %d octets too many", ErrStructure, len(d.s)-d.i)
	}
	return s, nil
}

func (m *StructureDecoder) reset() {
	m.parts.reset()
	m.children.reset()
	m.envelopes.reset()
	m.addresses.reset()
	m.params.reset()
	m.words.reset()
}

// arena hands out values that are taken back all at once.
type arena[T any] struct{ block []T }

// take returns n zero values next to each other.
func (a *arena[T]) take(n int) []T {
	from, to := len(a.block), len(a.block)+n
	if to > cap(a.block) {
		// What was handed out of the old block stays what it is.
		from, to = 0, n
		a.block = make([]T, 0, max(n, 2*cap(a.block)))
	}
	a.block = a.block[:to]
	out := a.block[from:to:to]
	clear(out)
	return out
}

func (a *arena[T]) reset() { a.block = a.block[:0] }

// binaryDecoder goes through an encoded structure. After the first fault it
// gives zero values.
type binaryDecoder struct {
	s     string
	i     int
	size  int64
	parts int
	bad   bool
	at    int // where it was seen to be bad
	to    *StructureDecoder
}

// fail leaves nothing to be read.
func (d *binaryDecoder) fail() {
	if !d.bad {
		d.bad, d.at, d.i = true, d.i, len(d.s)
	}
}

// uint reads a number. Nearly all are of one octet.
func (d *binaryDecoder) uint() uint64 {
	if i := d.i; i < len(d.s) && d.s[i] < 0x80 {
		d.i++
		return uint64(d.s[i])
	}
	return d.longUint()
}

func (d *binaryDecoder) longUint() (n uint64) {
	for shift := 0; shift < 64 && d.i < len(d.s); shift += 7 {
		c := d.s[d.i]
		d.i++
		n |= uint64(c&0x7F) << shift
		if c < 0x80 {
			return n
		}
	}
	d.fail()
	return 0
}

// offset reads an offset behind base.
func (d *binaryDecoder) offset(base int64) int64 {
	n := d.uint()
	if n > 1<<62 || base+int64(n) < base {
		d.fail()
		return base
	}
	return base + int64(n)
}

// count reads how many things of at least so many octets follow.
func (d *binaryDecoder) count(octets int) int {
	n := d.uint()
	if n > uint64((len(d.s)-d.i)/octets) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *binaryDecoder) string() string {
	n := d.uint()
	if n&1 != 0 {
		if n>>1 < uint64(len(common)) {
			return common[n>>1]
		}
		d.fail()
		return ""
	}
	if n >>= 1; n > uint64(len(d.s)-d.i) {
		d.fail()
		return ""
	}
	s := d.s[d.i : d.i+int(n)]
	d.i += int(n)
	return s
}

// strings reads as many as there is room for.
func (d *binaryDecoder) strings(list []string) {
	for i := range list {
		list[i] = d.string()
	}
}

func (d *binaryDecoder) params() []Param {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	list := d.to.params.take(n)
	for i := range list {
		list[i].Name, list[i].Value = d.string(), d.string()
	}
	return list
}

func (d *binaryDecoder) envelope() *Envelope {
	flags := d.uint()
	if flags >= sameReplyTo<<1 {
		d.fail()
	}
	env := &d.to.envelopes.take(1)[0]
	env.Present = EnvelopeField(flags & (sameSender - 1))
	env.Date, env.Subject = d.string(), d.string()
	env.InReplyTo, env.MessageID = d.string(), d.string()
	env.From = d.addresses()
	env.Sender, env.ReplyTo = env.From, env.From
	if flags&sameSender == 0 {
		env.Sender = d.addresses()
	}
	if flags&sameReplyTo == 0 {
		env.ReplyTo = d.addresses()
	}
	env.To, env.Cc, env.Bcc = d.addresses(), d.addresses(), d.addresses()
	return env
}

// passEnvelope steps over an envelope.
func (d *binaryDecoder) passEnvelope() {
	flags := d.uint()
	for range 4 {
		d.pass()
	}
	lists := 6
	for _, same := range [...]uint64{sameSender, sameReplyTo} {
		if flags&same != 0 {
			lists--
		}
	}
	for range lists {
		for n := d.count(4); n > 0 && !d.bad; n-- {
			strings := 3 + d.uint()&addressRoute/addressRoute
			for range strings {
				d.pass()
			}
		}
	}
}

// pass steps over a string.
func (d *binaryDecoder) pass() {
	if n := d.uint(); n&1 == 0 {
		if n >>= 1; n > uint64(len(d.s)-d.i) {
			d.fail()
			return
		}
		d.i += int(n)
	}
}

func (d *binaryDecoder) addresses() []Address {
	n := d.count(4)
	if n == 0 {
		return nil
	}
	list := d.to.addresses.take(n)
	for i := range list {
		d.address(&list[i])
	}
	return list
}

func (d *binaryDecoder) address(a *Address) {
	flags := d.uint()
	a.Kind, a.Name, a.Mailbox, a.Host = AddressKind(flags&3), d.string(), d.string(), d.string()
	if flags&addressRoute != 0 {
		a.Route = d.string()
	}
	if flags > addressRoute|uint64(GroupEnd) || a.Kind > GroupEnd {
		d.fail()
	}
}

// partOctets is the least that an encoded part has.
const partOctets = 9

// part reads a part that begins at base or behind it.
func (d *binaryDecoder) part(base int64, depth int) *Part {
	p := &d.to.parts.take(1)[0]
	if d.parts++; d.parts > maxParts || depth > maxDepth {
		d.fail()
		return p
	}
	flags := d.uint()
	p.Degraded = flags&partDegraded != 0
	p.HeaderStart = d.offset(base)
	p.BodyStart = d.offset(p.HeaderStart)
	p.End = d.offset(p.BodyStart)
	p.Lines = d.offset(0)
	p.Type, p.Subtype, p.Encoding = d.string(), d.string(), d.string()
	p.Params = d.params()
	if flags&partFields != 0 {
		d.fields(p)
	}
	if flags&partChildren != 0 {
		d.children(p, depth)
	}
	if flags&partMessage != 0 {
		p.Envelope = d.envelope()
		p.Message = d.part(p.BodyStart, depth+1)
		if p.Message.End > p.End {
			d.fail()
		}
	}
	if flags >= partFields<<1 || p.End > d.size || (p.Type == "multipart") != (len(p.Children) > 0) ||
		encodesMessage(p.Type, p.Subtype) != (p.Message != nil) {
		d.fail()
	}
	return p
}

func (d *binaryDecoder) children(p *Part, depth int) {
	base := p.BodyStart
	if n := d.count(partOctets); n > 0 {
		p.Children = d.to.children.take(n)
	}
	for i := range p.Children {
		if d.bad {
			return
		}
		p.Children[i] = d.part(base, depth+1)
		base = p.Children[i].End
	}
	if base > p.End {
		d.fail()
	}
}

func (d *binaryDecoder) fields(p *Part) {
	p.ID, p.Description, p.MD5 = d.string(), d.string(), d.string()
	p.Disposition = d.string()
	p.DispositionParams = d.params()
	if n := d.count(1); n > 0 {
		p.Language = d.to.words.take(n)
		d.strings(p.Language)
	}
	p.Location = d.string()
}
