package replication

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// Names of the files that WriteIdentities makes.
const (
	AuthorityFile = "authority.crt"
	CertSuffix    = ".crt"
	KeySuffix     = ".key"
)

// certificateLife is how long an identity is good for.
const certificateLife = 10 * 365 * 24 * time.Hour

// WriteIdentities makes an authority and, signed by it, a certificate and a key for each
// slot of a store, in files named for the slots. The authority's own key is not kept: a
// slot that comes later gets new identities made for all. Files that are there are not
// replaced.
func WriteIdentities(dir string, now time.Time, slots ...string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := template(now, "authority of a store")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, AuthorityFile), "CERTIFICATE", der, 0o644); err != nil {
		return err
	}
	for _, name := range slots {
		if err := writeIdentity(dir, now, name, ca, key); err != nil {
			return fmt.Errorf("identity of %s: %w", name, err)
		}
	}
	return nil
}

func writeIdentity(dir string, now time.Time, name string, ca *x509.Certificate, signer *ecdsa.PrivateKey) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert := template(now, name)
	cert.DNSNames, cert.KeyUsage = []string{name}, x509.KeyUsageDigitalSignature
	cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, cert, ca, &key.PublicKey, signer)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(filepath.Join(dir, name+CertSuffix), "CERTIFICATE", der, 0o644),
		writePEM(filepath.Join(dir, name+KeySuffix), "PRIVATE KEY", secret, 0o600))
}

func template(now time.Time, name string) *x509.Certificate {
	return &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife)}
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	return errors.Join(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Sync(), f.Close())
}
