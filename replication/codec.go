package replication

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// maxFrame bounds every message on the wire, in octets; partSize is what senders fill
// before they begin another.
const (
	maxFrame = 1 << 20
	partSize = 256 << 10
)

// ErrWire: what came is no message of the protocol.
var ErrWire = errors.New("not a message of the replication protocol")

// frame is a message of the protocol: its kind and what that kind is made of.
type frame struct {
	kind kind
	body []byte
}

// codec carries frames over gRPC: the kind, and the body as it is.
type codec struct{}

var _ encoding.CodecV2 = codec{}

// Name is the subtype of the calls' content type.
func (codec) Name() string { return "teraslot" }

// Marshal writes a *frame.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, fmt.Errorf("%T: %w", v, ErrWire)
	}
	return mem.BufferSlice{mem.SliceBuffer{byte(f.kind)}, mem.SliceBuffer(f.body)}, nil
}

// Unmarshal reads a *frame, with an array of its own.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("%T: %w", v, ErrWire)
	}
	b := data.Materialize()
	if len(b) == 0 || len(b) > maxFrame {
		return fmt.Errorf("%d octets: %w", len(b), ErrWire)
	}
	f.kind, f.body = kind(b[0]), b[1:]
	return nil
}

// encoder appends values. Numbers are LEB128 as encoding/binary's, strings and lists
// have their length before them.
type encoder struct{ b []byte }

func (e *encoder) uint(all ...uint64) {
	for _, n := range all {
		e.b = binary.AppendUvarint(e.b, n)
	}
}

func (e *encoder) int(all ...int64) {
	for _, n := range all {
		e.b = binary.AppendVarint(e.b, n)
	}
}

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) bytes(b []byte) { e.b = append(e.b, b...) }

func (e *encoder) string(all ...string) {
	for _, s := range all {
		e.uint(uint64(len(s)))
		e.b = append(e.b, s...)
	}
}

// decoder takes values off. After a failure it gives zeros, and failed says so.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) fail() { d.failed, d.b = true, nil }

// end returns ErrWire unless all was read and all was well.
func (d *decoder) end() error {
	if d.failed || len(d.b) > 0 {
		return ErrWire
	}
	return nil
}

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

// within is uint for values of at most max.
func (d *decoder) within(max uint64) uint64 {
	n := d.uint()
	if n > max {
		d.fail()
		return 0
	}
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) bool() bool { return d.within(1) == 1 }

// take returns the next n octets; they are the frame's own.
func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.fail()
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

// into fills an array.
func (d *decoder) into(p []byte) { copy(p, d.take(len(p))) }

func (d *decoder) string() string { return string(d.take(int(d.within(uint64(len(d.b)))))) }

// count reads the length of a list whose items take at least size octets each.
func (d *decoder) count(size int) int { return int(d.within(uint64(len(d.b) / size))) }
