package replication

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
)

// ErrPeer: who answered, or asked, is not who may.
var ErrPeer = errors.New("not a peer of this store")

// Identity is what a slot shows to its peers, and by what it knows them.
type Identity struct {
	certificate tls.Certificate
	authority   *x509.CertPool
}

// LoadIdentity reads a slot's certificate and key, and the authority that has signed
// those of all slots of the store, in PEM.
func LoadIdentity(certFile, keyFile, authorityFile string) (*Identity, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate of the slot: %w", err)
	}
	pem, err := os.ReadFile(authorityFile)
	if err != nil {
		return nil, fmt.Errorf("authority of the store: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("authority of the store: %s holds no certificate", authorityFile)
	}
	return &Identity{cert, pool}, nil
}

// client is for a connection to the peer of that name.
func (i *Identity) client(name string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{i.certificate}, RootCAs: i.authority, ServerName: name}
}

// server is for connections from the peers of these names.
func (i *Identity) server(names []string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{i.certificate},
		ClientCAs: i.authority, ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{"h2"},
		VerifyConnection: func(s tls.ConnectionState) error {
			leaf := s.PeerCertificates[0]
			if slices.ContainsFunc(names, func(n string) bool { return leaf.VerifyHostname(n) == nil }) {
				return nil
			}
			return fmt.Errorf("%v: %w", leaf.DNSNames, ErrPeer)
		},
	}
}
