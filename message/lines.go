package message

import (
	"bytes"
	"fmt"
	"io"
)

const (
	window = 64 << 10 // octets read at once
	// longPrefix is what is kept of a line longer than the window: enough to know
	// a boundary or a field's name by.
	longPrefix = 4 << 10
)

// lines reads a message line by line through one window.
type lines struct {
	r      io.ReaderAt
	size   int64
	buf    []byte
	base   int64 // offset of buf[0]
	pos, n int   // the unread octets are buf[pos:n]
	err    error // of r
}

// octets is a reader that has all in memory, which whoever asks only reads.
type octets interface{ Octets() []byte }

func newLines(r io.ReaderAt, size int64) *lines {
	if o, is := r.(octets); is && size <= window {
		if b := o.Octets(); int64(len(b)) == size {
			return &lines{r: r, size: size, buf: b, n: len(b)}
		}
	}
	return &lines{r: r, size: size, buf: make([]byte, max(0, min(size, window)))}
}

// next is the next line: its octets with the line end (of a line longer than
// the window the first octets only), valid until the next call, and its place.
func (l *lines) next() (line []byte, start, end int64, ok bool) {
	for {
		start = l.base + int64(l.pos)
		if i := bytes.IndexByte(l.buf[l.pos:l.n], '\n'); i >= 0 {
			line = l.buf[l.pos : l.pos+i+1]
			l.pos += i + 1
			return line, start, start + int64(i) + 1, true
		}
		if l.pos == 0 && l.n == len(l.buf) && l.n > 0 {
			if l.base+int64(l.n) < l.size {
				return l.long()
			}
		} else if l.fill() {
			continue
		}
		line = l.buf[l.pos:l.n]
		l.pos = l.n
		return line, start, start + int64(len(line)), len(line) > 0
	}
}

// fill moves the unread octets to the front and reads more; false at the end.
func (l *lines) fill() bool {
	next := l.base + int64(l.n)
	if next >= l.size || l.err != nil {
		return false
	}
	copy(l.buf, l.buf[l.pos:l.n])
	l.base, l.n, l.pos = l.base+int64(l.pos), l.n-l.pos, 0
	room := min(int64(len(l.buf)-l.n), l.size-next)
	n, err := l.r.ReadAt(l.buf[l.n:l.n+int(room)], next)
	l.n += n
	if int64(n) == room {
		return true
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	l.err = fmt.Errorf("message: read at %d: %w", next+int64(n), err)
	return n > 0
}

// long is next for a line that fills the window and goes on: its first octets and
// its line end.
func (l *lines) long() (line []byte, start, end int64, ok bool) {
	start = l.base
	line = append(line, l.buf[:min(longPrefix, l.n)]...)
	for {
		last := l.buf[l.n-1]
		l.pos = l.n
		if !l.fill() {
			return line, start, l.base + int64(l.n), true
		}
		i := bytes.IndexByte(l.buf[:l.n], '\n')
		if i < 0 {
			continue
		}
		if i > 0 {
			last = l.buf[i-1]
		}
		if last == '\r' {
			line = append(line, '\r')
		}
		l.pos = i + 1
		return append(line, '\n'), start, l.base + int64(i) + 1, true
	}
}

// rest reads to the end and counts the line ends on the way.
func (l *lines) rest() (lf int64) {
	for {
		lf += int64(bytes.Count(l.buf[l.pos:l.n], []byte{'\n'}))
		l.pos = l.n
		if !l.fill() {
			return lf
		}
	}
}

// seek makes offset the next to be read; it lies before what was read.
func (l *lines) seek(offset int64) {
	if offset >= l.base && offset <= l.base+int64(l.n) {
		l.pos = int(offset - l.base)
		return
	}
	l.base, l.pos, l.n = offset, 0, 0
}

// bytes is the octets from start to end, at most limit of them. They are valid
// until the next call of another method.
func (l *lines) bytes(start, end, limit int64) []byte {
	end = min(end, start+limit)
	if start >= l.base && end <= l.base+int64(l.n) {
		return l.buf[start-l.base : end-l.base]
	}
	b := make([]byte, end-start)
	n, err := l.r.ReadAt(b, start)
	if n < len(b) && l.err == nil {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		l.err = fmt.Errorf("message: read at %d: %w", start+int64(n), err)
	}
	return b[:n]
}
