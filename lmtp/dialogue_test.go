package lmtp

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"teraslot/mailstore"
)

// pipe is a connection whose client has said all in advance.
type pipe struct {
	net.Conn // only for what is not called
	in       *bytes.Reader
	out      bytes.Buffer
}

func (p *pipe) Read(b []byte) (int, error)       { return p.in.Read(b) }
func (p *pipe) Write(b []byte) (int, error)      { return p.out.Write(b) }
func (p *pipe) Close() error                     { return nil }
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }
func (p *pipe) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// FuzzDialogue: whatever a client says, the session ends with it, each of its
// replies is one line that begins with a code, and no fault is met.
func FuzzDialogue(f *testing.F) {
	for _, s := range []string{
		"LHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<anna@example.org>\r\nDATA\r\nA: 1\r\n\r\nx\r\n.\r\nQUIT\r\n",
		"LHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<anna>\r\nRCPT TO:<bob>\r\nBDAT 4\r\nA: 1BDAT 0 LAST\r\nRSET\r\n",
		"LHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<anna>\r\nBDAT 2\r\nxxRSET\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\n.\r\n",
		"LHLO x\r\nMAIL FROM:<a@b> SIZE=9\r\nRCPT TO:<bob>\r\nDATA\r\nnever ended", "STARTTLS\r\n", "\r\n\r\nNOOP\r\n", "BDAT 99999999999 LAST\r\nx",
		"LHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<bob>\r\nBDAT 9\r\nxx",
	} {
		f.Add([]byte(s))
	}
	fx := newFixture(f, Options{Postmaster: "bob", MaxMessage: 10_000}, mailstore.Options{})
	f.Fuzz(func(t *testing.T, said []byte) {
		p := &pipe{in: bytes.NewReader(said)}
		newSession(context.Background(), fx.server, &conn{Conn: p, server: fx.server}).run()
		out := p.out.Bytes()
		if bytes.Contains(out, []byte("421 4.3.0")) {
			t.Fatalf("a fault was met: %q", out)
		}
		for line := range bytes.Lines(out) {
			if !bytes.HasSuffix(line, []byte("\r\n")) || len(line) < 6 || line[0] < '2' || line[0] > '5' || bytes.IndexByte(line, 0) >= 0 {
				t.Fatalf("reply %q", line)
			}
		}
		if _, err := p.in.ReadByte(); err != io.EOF && !bytes.Contains(out, []byte("\r\n221 ")) && !bytes.Contains(out, []byte("421 ")) && !bytes.Contains(out, []byte("500 5.4.0")) &&
			!bytes.Contains(out, []byte("501 5.5.4 Expected BDAT")) {
			t.Fatalf("the session ended before the client did: %q", out)
		}
	})
}
