package lmtp

import (
	"bufio"
	"errors"
	"io"

	"teraslot/mailstore"
)

var (
	// errAborted: the client did not send its message whole.
	errAborted = errors.New("message was not received whole")
	// errReset: the client gave its message up between two chunks, or lost its place.
	errReset = errors.New("message was given up")
)

// dotReader is a message as DATA sends it (RFC 5321 §4.1.1.4, §4.5.2): up to the
// line that is a dot alone, without the dots that stand before others. A line
// begins behind CRLF only: what another server takes for the end of a message must
// not be it here if that server's neighbour saw it otherwise.
type dotReader struct {
	in   *bufio.Reader
	rest []byte // of the line that was read; valid until the next read of in
	last [2]byte
	fed  bool // anything was read
	done bool
}

// Read reads the message; io.EOF is its end, and errAborted that of the connection.
func (d *dotReader) Read(p []byte) (n int, err error) {
	for n < len(p) && !d.done {
		if len(d.rest) == 0 {
			// Whoever has something does not wait for more.
			if n > 0 && d.in.Buffered() == 0 {
				return n, nil
			}
			if err := d.next(); err != nil {
				return n, err
			}
		}
		m := copy(p[n:], d.rest)
		d.rest = d.rest[m:]
		n += m
	}
	if n == 0 && d.done && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// next reads a line, or as much of it as the buffer holds.
func (d *dotReader) next() error {
	begins := !d.fed || d.last == [2]byte{'\r', '\n'}
	line, err := d.in.ReadSlice('\n')
	if err != nil && err != bufio.ErrBufferFull {
		return errors.Join(errAborted, err)
	}
	if begins && string(line) == ".\r\n" {
		d.done = true
		return nil
	}
	d.fed = true
	if len(line) > 1 {
		d.last[0] = line[len(line)-2]
	} else {
		d.last[0] = d.last[1]
	}
	d.last[1] = line[len(line)-1]
	if begins && line[0] == '.' {
		line = line[1:]
	}
	d.rest = line
	return nil
}

// chunkReader is a message as BDAT sends it (RFC 3030). At the end of a chunk it
// takes leave of it and hears what the client says next.
type chunkReader struct {
	s    *session
	left int64 // of the chunk
	last bool  // no chunk follows
}

// Read reads the message. Its errors are errAborted, errReset, and io.EOF.
func (c *chunkReader) Read(p []byte) (int, error) {
	for c.left == 0 {
		if c.last {
			return 0, io.EOF
		}
		if err := c.s.nextChunk(c); err != nil {
			return 0, err
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.s.in.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err != nil {
		err = errors.Join(errAborted, err)
	}
	return n, err
}

// drain reads the chunk to its end.
func (c *chunkReader) drain() error {
	n, err := io.CopyN(io.Discard, c.s.in, c.left)
	c.left -= n
	return err
}

// limited ends a message that is larger than the limit.
type limited struct {
	r    io.Reader
	left int64
}

// Read fails with mailstore.ErrTooBig beyond the limit.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, mailstore.ErrTooBig
	}
	return n, err
}
