package daemon

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
)

// Deliverer is one LMTP connection (RFC 2033).
type Deliverer struct {
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
}

// DialLMTP connects and says LHLO.
func DialLMTP(addr string) (*Deliverer, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	d := &Deliverer{conn, bufio.NewReader(conn), bufio.NewWriterSize(conn, 64<<10)}
	if err = d.expect("220"); err == nil {
		err = d.command("250", "LHLO test\r\n")
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return d, nil
}

// Close ends the connection.
func (d *Deliverer) Close() error { return d.conn.Close() }

// Deliver sends one message, envelope pipelined, and returns after the reply
// that acknowledges it. An error is a refusal or a lost connection.
func (d *Deliverer) Deliver(rcpt string, message []byte) error {
	d.w.WriteString("MAIL FROM:<sender@example.org>\r\nRCPT TO:<" + rcpt + ">\r\nDATA\r\n")
	if err := d.w.Flush(); err != nil {
		return err
	}
	for _, code := range []string{"250", "250", "354"} {
		if err := d.expect(code); err != nil {
			return err
		}
	}
	d.w.Write(stuffed(message))
	return d.command("250", ".\r\n")
}

// stuffed doubles the dots that begin lines (RFC 5321 §4.5.2) and ends the last line.
func stuffed(message []byte) []byte {
	out := message
	if bytes.Contains(message, []byte("\r\n.")) {
		out = bytes.ReplaceAll(message, []byte("\r\n."), []byte("\r\n.."))
	}
	if bytes.HasPrefix(out, []byte(".")) {
		out = append([]byte("."), out...)
	}
	if !bytes.HasSuffix(out, []byte("\r\n")) {
		out = append(bytes.Clone(out), "\r\n"...)
	}
	return out
}

func (d *Deliverer) command(code, line string) error {
	d.w.WriteString(line)
	if err := d.w.Flush(); err != nil {
		return err
	}
	return d.expect(code)
}

func (d *Deliverer) expect(code string) error {
	for {
		line, err := d.r.ReadString('\n')
		if err != nil {
			return err
		}
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if !strings.HasPrefix(line, code) {
			return fmt.Errorf("LMTP reply %q, want %s", strings.TrimSpace(line), code)
		}
		return nil
	}
}
