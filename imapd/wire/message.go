package wire

import (
	"errors"
	"io"
)

// ErrNoMessage is returned by Reader.Message and Reader.More where no message
// literal was announced, or where it was not taken.
var ErrNoMessage = errors.New("no message literal here")

// Message takes the message literal that the command announced, asking for it
// if its sender waits for that, and returns its octets as a stream of exactly the announced
// size; its end before that is io.ErrUnexpectedEOF. The stream is good until
// the next call of a method of the Reader; what was not read of it is discarded
// then. Whoever does not want the message does not call Message: Next discards it.
func (r *Reader) Message() (io.Reader, error) {
	if r.broken != nil {
		return nil, r.broken
	}
	if !r.lit.announced || !r.cmd.message {
		return nil, ErrNoMessage
	}
	r.cmd.message = false
	if err := r.open(); err != nil {
		return nil, err
	}
	return (*messageReader)(r), nil
}

// messageReader is the stream of the open literal.
type messageReader Reader

// Read implements io.Reader.
func (m *messageReader) Read(b []byte) (int, error) {
	if m.broken != nil {
		return 0, m.broken
	}
	if m.lit.left == 0 {
		return 0, io.EOF
	}
	if int64(len(b)) > m.lit.left {
		b = b[:m.lit.left]
	}
	n, err := m.in.Read(b)
	m.lit.left -= int64(n)
	if err != nil {
		return n, (*Reader)(m).failIO(err)
	}
	return n, nil
}

// More reads what follows a message that was taken: the arguments of the
// next one (RFC 3502), or nil at the end of the command. After a *SyntaxError
// nothing of the command may be done; whatever else it announced is discarded
// by Next.
func (r *Reader) More() (*AppendMessage, error) {
	if r.broken != nil {
		return nil, r.broken
	}
	if !r.lit.open {
		return nil, ErrNoMessage
	}
	p := &r.cmd
	p.base += len(r.line) + int(min(r.lit.Size, maxPos))
	if err := r.discard(); err != nil {
		return nil, err
	}
	r.text, r.lits = 0, 0 // how many messages there may be is the caller's to say
	if err := r.readLine(); err != nil {
		return nil, err
	}
	p.startLine()
	m := p.moreMessages()
	return m, p.result()
}
