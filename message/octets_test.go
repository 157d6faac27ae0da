package message

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// held is a message in memory that can be read no other way.
type held struct{ b []byte }

func (h held) ReadAt([]byte, int64) (int, error) { panic("what is in memory was read") }
func (h held) Octets() []byte                    { return h.b }

// TestOctets: of a message in memory nothing is copied to take it apart, and the outcome is the same.
func TestOctets(t *testing.T) {
	all := slices.Concat(seeds, []string{"", "\n", strings.Repeat("x", window), "a: b\r\n\r\n" + strings.Repeat("y", window-8)})
	for _, text := range all {
		raw := []byte(text)
		if len(raw) > window {
			continue
		}
		fast, err := Parse(held{raw}, int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		slow, err := Parse(bytes.NewReader([]byte(text)), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		x, err := fast.AppendBinary(nil)
		y, err2 := slow.AppendBinary(nil)
		if err != nil || err2 != nil || !bytes.Equal(x, y) {
			t.Errorf("%.60q is taken apart otherwise in memory: %v, %v", text, err, err2)
		}
		if string(raw) != text {
			t.Errorf("%.60q was changed", text)
		}
	}
}
