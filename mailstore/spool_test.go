package mailstore

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestSpoolBytes: a message that is in memory is received like one that is read, whatever its size.
func TestSpoolBytes(t *testing.T) {
	s, _ := newStore(t, Options{Conf: memoryDir(t), MemoryMessage: 1000, MaxMessage: 5000})
	for _, size := range []int{0, 1, 999, 1000, 1001, 4999, 5000} {
		text := []byte(("Subject: x\r\nMessage-ID: <1@x>\r\n\r\n" + strings.Repeat("y", 5000))[:size])
		a, err := s.SpoolBytes(t.Context(), bytes.Clone(text))
		if err != nil {
			t.Fatalf("%d octets: %v", size, err)
		}
		defer a.Close()
		b, err := s.Spool(t.Context(), bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%d octets: %v", size, err)
		}
		defer b.Close()
		got := make([]byte, size)
		if n, err := a.ReadAt(got, 0); n != size || err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(got, text) {
			t.Errorf("%d octets: %d read, %v", size, n, err)
		}
		if a.GUID != b.GUID || a.Size != b.Size || a.crc != b.crc || !bytes.Equal(a.binary, b.binary) || len(a.references) != len(b.references) ||
			(a.file == nil) != (b.file == nil) {
			t.Errorf("%d octets: %+v, and read %+v", size, a, b)
		}
	}
	if _, err := s.SpoolBytes(t.Context(), make([]byte, 5001)); !errors.Is(err, ErrTooBig) {
		t.Errorf("too large a message: %v", err)
	}
}
