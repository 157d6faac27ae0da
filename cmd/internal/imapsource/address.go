package imapsource

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
)

// Options say how to reach a server.
type Options struct {
	// Password of the user, or of Login.
	Password string
	// Login, if set, is who logs in in the name of the user (SASL PLAIN): an
	// administrator whom the server lets read others' mail.
	Login string
	// CA is a file of certificates, PEM, to verify the server by, instead of the
	// machine's.
	CA string
	// Insecure takes any certificate. Plaintext logs in without TLS where the URL is
	// imap://.
	Insecure, Plaintext bool
}

// ErrAddress is returned for what is no URL of a user's mail on an IMAP server.
var ErrAddress = errors.New("not imaps://USER@HOST or imap://USER@HOST")

// address is where to connect to, and as whom.
type address struct {
	host string // with the port
	name string // of the server, for its certificate
	tls  bool   // from the beginning
	user string
}

// parseAddress reads a URL (RFC 5092, as far as it names a server and a user).
func parseAddress(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil {
		return address{}, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	a := address{name: u.Hostname(), tls: u.Scheme == "imaps", user: u.User.Username()}
	switch {
	case u.Scheme != "imap" && u.Scheme != "imaps", a.name == "", a.user == "":
		return address{}, fmt.Errorf("%s: %w", u.Redacted(), ErrAddress)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return address{}, fmt.Errorf("%s: %w: all mailboxes are read, see --exclude", u.Redacted(), ErrAddress)
	}
	if _, given := u.User.Password(); given {
		return address{}, fmt.Errorf("%s: the password does not belong into the URL, where others can see it", u.Redacted())
	}
	port := u.Port()
	if port == "" {
		port = map[bool]string{true: "993", false: "143"}[a.tls]
	}
	a.host = net.JoinHostPort(a.name, port)
	return a, nil
}

// config is how to verify the server.
func (o Options) config(name string) (*tls.Config, error) {
	c := &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.Insecure}
	if o.CA == "" {
		return c, nil
	}
	b, err := os.ReadFile(o.CA)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s: there is no certificate in it", o.CA)
	}
	return c, nil
}
