package message

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// encodedSeeds are the encoded structures of the seeds and of our own messages.
func encodedSeeds(t *testing.T) (list [][]byte) {
	t.Helper()
	raws := slices.Clone(seeds)
	for _, name := range []string{"mixed", "broken", "digest", "bounce"} {
		b, err := os.ReadFile("testdata/" + name + ".eml")
		if err != nil {
			t.Fatal(err)
		}
		raws = append(raws, string(b))
	}
	for _, raw := range raws {
		s, err := check([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

func TestUnmarshalDamaged(t *testing.T) {
	if _, err := UnmarshalStructure(nil); !errors.Is(err, ErrStructure) {
		t.Errorf("nothing: %v", err)
	}
	for _, b := range encodedSeeds(t) {
		for n := range b {
			if _, err := UnmarshalStructure(b[:n]); !errors.Is(err, ErrStructure) {
				t.Fatalf("%d of %d octets: %v", n, len(b), err)
			}
		}
		if _, err := UnmarshalStructure(append(slices.Clone(b), 0)); !errors.Is(err, ErrStructure) {
			t.Errorf("an octet too many: %v", err)
		}
		other := slices.Clone(b)
		other[0]++
		if _, err := UnmarshalStructure(other); !errors.Is(err, ErrStructure) {
			t.Errorf("another version: %v", err)
		}
	}
}

// TestUnmarshalFlipped changes octets: whatever is still accepted must be a
// structure that nests and can be encoded.
func TestUnmarshalFlipped(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, b := range encodedSeeds(t) {
		for range 2000 {
			damaged := slices.Clone(b)
			for range 1 + random.IntN(3) {
				damaged[random.IntN(len(b))] = byte(random.Uint32())
			}
			s, err := UnmarshalStructure(damaged)
			if err != nil {
				if !errors.Is(err, ErrStructure) {
					t.Fatal(err)
				}
				continue
			}
			if err := checkBinary(s); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestUnmarshalNested refuses what Parse never makes: deeper nesting, too many
// parts, a child outside of its parent.
func TestUnmarshalNested(t *testing.T) {
	leaf := func(start, end int64) *Part {
		return &Part{HeaderStart: start, BodyStart: start, End: end, Type: "text", Subtype: "plain", Encoding: "7bit"}
	}
	multi := func(end int64, children ...*Part) *Part {
		return &Part{End: end, Type: "multipart", Subtype: "mixed", Encoding: "7bit", Children: children}
	}
	deep := leaf(0, 0)
	for range maxDepth {
		deep = multi(0, deep)
	}
	many := multi(0)
	for range maxParts {
		many.Children = append(many.Children, leaf(0, 0))
	}
	wrong := leaf(0, 0)
	wrong.Type = "multipart"
	for name, root := range map[string]*Part{"deep": deep, "many": many, "outside": multi(5, leaf(2, 6)), "beyond": leaf(0, 11), "childless": wrong} {
		s := &Structure{Size: 10, Root: root, Envelope: &Envelope{}}
		b, err := s.AppendBinary(nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := UnmarshalStructure(b); !errors.Is(err, ErrStructure) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := &Structure{Size: 10, Root: multi(5, leaf(3, 4), leaf(2, 3)), Envelope: &Envelope{}}
	if _, err := s.AppendBinary(nil); err == nil {
		t.Error("parts out of order were encoded")
	}
}

// TestFormat holds the encoded form to what docs/formats.md says of version 1.
func TestFormat(t *testing.T) {
	raw := "From: a@b\nSubject: \nReferences: <c@d>\nContent-Type: text/html; charset=utf-8\nContent-ID: <i>\n\nhi\n"
	s, err := check([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	index := func(s string) byte { return byte(commonIndex[s]<<1 | 1) }
	want := slices.Concat(
		[]byte{2, byte(len(raw)), 0},
		[]byte{0b0000_0110 | 0x80, 0b1_1000}, // Subject, From; Sender and Reply-To are From
		[]byte{0, 0, 0, 0},                   // date, subject, in-reply-to, message-id
		[]byte{1, 0, 0, 2, 'a', 2, 'b'},      // from
		[]byte{0, 0, 0},                      // to, cc, bcc
		[]byte{1, 6, 'c', '@', 'd'},          // references
		[]byte{1 << 3, 0, byte(strings.Index(raw, "\n\n") + 2), 3, 1},
		[]byte{index("text"), index("html"), index("7bit"), 1, index("charset"), index("utf-8")},
		[]byte{6, '<', 'i', '>', 0, 0, 0, 0, 0, 0},
	)
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestVersion1: what was written before References were kept is read, but gives no
// heading, so that nobody takes unknown References for none.
func TestVersion1(t *testing.T) {
	s, err := check([]byte("Subject: x\nReferences: <a@b> <c@d>\n\ny"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	old := slices.Concat([]byte{1}, b[1:bytes.IndexByte(b, 'a')-2], b[bytes.IndexByte(b, 'd')+1:])
	got, err := UnmarshalStructure(old)
	s.References = nil
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%+v, %v; want %+v", got, err, s)
	}
	if err := new(Heading).Decode(string(old)); !errors.Is(err, ErrStructure) {
		t.Errorf("its heading: %v", err)
	}
}

// TestHeading: the heading decoded alone is that of the structure, into memory that is
// used again; damage fails or is behind it.
func TestHeading(t *testing.T) {
	same := func(a, b Heading) bool {
		refs := slices.Equal(a.References, b.References)
		a.References, b.References = nil, nil
		return refs && reflect.DeepEqual(a, b)
	}
	var h Heading
	for _, b := range encodedSeeds(t) {
		s, err := UnmarshalStructure(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Decode(string(b)); err != nil || !same(h, s.Heading()) {
			t.Fatalf("%+v, %v; want %+v", h, err, s.Heading())
		}
		for n := range b {
			if err := h.Decode(string(b[:n])); err == nil && !same(h, s.Heading()) {
				t.Fatalf("%d of %d octets: %+v", n, len(b), h)
			}
		}
	}
}

func TestReferencesNearest(t *testing.T) {
	var b strings.Builder
	for i := range 3500 {
		fmt.Fprintf(&b, "References: <%d@x>\n <%d@y>\n", i, i)
	}
	s, err := check([]byte(b.String() + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.References); n != maxReferences || s.References[0] != "3000@x" || s.References[n-1] != "3499@y" {
		t.Errorf("%d, from %s", n, s.References[0])
	}
	nested, err := check([]byte("Content-Type: message/rfc822\n\nReferences: <a@b>\n\nx"))
	if err != nil || len(nested.References) != 0 {
		t.Errorf("references of a nested message: %q, %v", nested.References, err)
	}
}

// TestStructureDecoder decodes structures of all kinds into the same memory, in
// changing order, and compares each with one that has memory of its own.
func TestStructureDecoder(t *testing.T) {
	list := encodedSeeds(t)
	random := rand.New(rand.NewPCG(5, 6))
	var d StructureDecoder
	for range 5000 {
		b := list[random.IntN(len(list))]
		if random.IntN(4) == 0 {
			b = b[:random.IntN(len(b))] // what a failure leaves behind must not show in the next
		}
		got, gotErr := d.Decode(string(b))
		want, wantErr := UnmarshalStructure(b)
		if (gotErr == nil) != (wantErr == nil) || !reflect.DeepEqual(got, want) {
			t.Fatalf("decoded %+v, %v; want %+v, %v", got, gotErr, want, wantErr)
		}
		if wantErr != nil {
			continue
		}
		parts, err := (&StructureDecoder{NoEnvelope: true}).Decode(string(b))
		if err != nil || parts.Envelope != nil || !reflect.DeepEqual(parts.Root, want.Root) {
			t.Fatalf("decoded parts %+v, %v; want %+v", parts, err, want)
		}
		envelope, err := (&StructureDecoder{NoParts: true}).Decode(string(b))
		if err != nil || envelope.Root != nil || !reflect.DeepEqual(envelope.Envelope, want.Envelope) {
			t.Fatalf("decoded envelope %+v, %v; want %+v", envelope, err, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, b := range list[:10] {
			if _, err := d.Decode(string(b)); err != nil {
				t.Fatal(err)
			}
		}
	}); n > 10 {
		t.Errorf("%v allocations to decode 10 structures, the strings among them", n)
	}
}
