package message

import (
	"context"
	"fmt"
	"io"
)

// fieldReader reads a header of any length field by field, through a buffer that
// grows to the longest of them.
type fieldReader struct {
	r       io.ReaderAt
	at, end int64  // what is left to be read
	buf     []byte // its octets from first on have been read and not given
	first   int
}

// fieldBuffer is how much of a header is read at once where its fields are short.
const fieldBuffer = 32 << 10

// eachField calls fn with each field of the part's header, as fields does, until fn
// returns false. What it is given is valid during the call.
func eachField(ctx context.Context, r io.ReaderAt, p *Part, fn func(field) bool) error {
	h := fieldReader{r: r, at: p.HeaderStart, end: p.BodyStart}
	h.buf = make([]byte, 0, min(h.end-h.at, fieldBuffer))
	return h.each(ctx, fn)
}

func (h *fieldReader) each(ctx context.Context, fn func(field) bool) error {
	if err := h.passMboxLine(ctx); err != nil {
		return err
	}
	for {
		left := h.buf[h.first:]
		if isBlank(left) {
			return nil
		}
		raw, rest := cutField(left)
		if len(rest) == 0 { // the next line may be a continuation
			more, err := h.fill(ctx)
			if err != nil {
				return err
			}
			if more {
				continue
			}
		}
		if len(raw) == 0 || !fn(newField(raw)) {
			return nil
		}
		h.first += len(raw)
	}
}

// passMboxLine passes an mbox From line at the header's start.
func (h *fieldReader) passMboxLine(ctx context.Context) error {
	for {
		line, rest := cutLine(h.buf)
		if len(rest) == 0 {
			more, err := h.fill(ctx)
			if err != nil {
				return err
			}
			if more {
				continue
			}
		}
		if isMboxLine(line) {
			h.first = len(line)
		}
		return nil
	}
}

// fill reads more behind what has not been given; false at the end. It reads at
// least as much as it moves or half of it, so that looking at all of it again
// keeps the time linear.
func (h *fieldReader) fill(ctx context.Context) (more bool, err error) {
	if h.at >= h.end {
		return false, nil
	}
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("message: read header at %d: %w", h.at, err)
	}
	n := copy(h.buf, h.buf[h.first:])
	h.buf, h.first = h.buf[:n], 0
	if n > cap(h.buf)/2 {
		h.buf = append(make([]byte, 0, min(int64(2*cap(h.buf)), int64(n)+h.end-h.at)), h.buf...)
	}
	room := min(int64(cap(h.buf)-n), h.end-h.at)
	got, err := h.r.ReadAt(h.buf[n:n+int(room)], h.at)
	h.buf, h.at = h.buf[:n+got], h.at+int64(got)
	if int64(got) == room {
		return true, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return false, fmt.Errorf("message: read header at %d: %w", h.at, err)
}
