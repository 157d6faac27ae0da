package slot

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"teraslot/disk"
)

// certificate is what TLS handshakes are answered with. It may be replaced
// while connections are open.
type certificate struct {
	cert, key string // files
	current   atomic.Pointer[tls.Certificate]
	now       func() time.Time
	log       *slog.Logger

	mu     sync.Mutex // guards below
	looked time.Time  // when the files were looked at last
	loaded string     // what they looked like when they were loaded
}

// lookAgain is how often, at most, handshakes make the slot see whether the
// certificate's files have changed.
const lookAgain = time.Minute

// openCertificate reads the configured certificate, or the slot's own
// self-signed one, which it makes if there is none that is still good.
func openCertificate(c *Config, o Options) (k *certificate, selfSigned bool, err error) {
	now := o.Now()
	k = &certificate{cert: c.TLS.Cert, key: c.TLS.Key, now: o.Now, log: o.Logger}
	if k.cert != "" {
		return k, false, k.load()
	}
	dir := filepath.Join(c.Conf, "tls")
	k.cert, k.key = filepath.Join(dir, "self-signed.pem"), filepath.Join(dir, "self-signed.key")
	if err := k.load(); err == nil && now.Before(k.current.Load().Leaf.NotAfter.AddDate(0, 0, -30)) {
		return k, true, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, true, err
	}
	if err := disk.MkdirAll(disk.OS(), dir, 0o700); err != nil {
		return nil, true, fmt.Errorf("self-signed certificate: %w", err)
	}
	if err := k.sign(c.Name, now); err != nil {
		return nil, true, fmt.Errorf("self-signed certificate: %w", err)
	}
	return k, true, k.load()
}

// load reads the files anew. After an error, the certificate in use stays.
func (k *certificate) load() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.read()
}

// read is load, under mu. What the files look like is taken first: a change
// during the reading is seen the next time.
func (k *certificate) read() error {
	looks := k.looks()
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", k.cert, err)
	}
	k.current.Store(&pair)
	k.loaded = looks
	return nil
}

// looks tells the files from others in their place; "" if they cannot be seen.
func (k *certificate) looks() string {
	var all string
	for _, name := range []string{k.cert, k.key} {
		info, err := os.Stat(name)
		if err != nil {
			return ""
		}
		all += fmt.Sprintf("%d %d ", info.ModTime().UnixNano(), info.Size())
	}
	return all
}

// get answers a handshake. Files that were replaced, as by a renewal, are read
// again unasked; while they do not go together, the certificate in use stays.
func (k *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if k.mu.TryLock() { // whoever holds it looks already
		if now := k.now(); now.Sub(k.looked) >= lookAgain {
			k.looked = now
			if k.looks() != k.loaded {
				k.renew()
			}
		}
		k.mu.Unlock()
	}
	return k.current.Load(), nil
}

func (k *certificate) renew() {
	if err := k.read(); err != nil {
		k.log.Error("the certificate's files have changed and cannot be used; the one in use stays", "error", err)
		return
	}
	k.log.Info("the certificate's files have changed and were read again", "file", k.cert)
}

// config is the TLS configuration of all listeners.
func (k *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12, // RFC 8996
		GetCertificate: k.get,
	}
}

// sign makes a key and a certificate of its own for this machine, good for two
// years. The key is published first: a crash in between leaves no certificate.
func (k *certificate) sign(name string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(2, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{name, "localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := publishPEM(k.key, 0o600, "PRIVATE KEY", private); err != nil {
		return err
	}
	return publishPEM(k.cert, 0o644, "CERTIFICATE", cert)
}

func publishPEM(file string, mode fs.FileMode, kind string, der []byte) error {
	return disk.Publish(disk.OS(), file, mode, func(w io.Writer) error {
		return pem.Encode(w, &pem.Block{Type: kind, Bytes: der})
	})
}
