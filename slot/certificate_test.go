package slot

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// Files that were renewed are used unasked, a minute later at most; half a renewal is not.
func TestRenewedCertificateIsUsed(t *testing.T) {
	dir := t.TempDir()
	k := &certificate{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	if err := k.sign("one", time.Now()); err != nil {
		t.Fatal(err)
	}
	var later atomic.Int64
	r := start(t, newConfig(t, fmt.Sprintf("[tls]\ncert = %q\nkey = %q\n", k.cert, k.key)),
		Options{Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }})
	at := r.Addresses().IMAPTLS[0]
	before := peerCertificate(t, at)
	old, err := os.ReadFile(k.cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.sign("another", time.Now()); err != nil {
		t.Fatal(err)
	}
	renewed, err := os.ReadFile(k.cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(k.cert, old, 0o600); err != nil { // so far only the key
		t.Fatal(err)
	}
	later.Store(int64(2 * time.Minute))
	if !bytes.Equal(before, peerCertificate(t, at)) {
		t.Error("half a renewal was used")
	}
	if err := os.WriteFile(k.cert, renewed, 0o600); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, peerCertificate(t, at)) {
		t.Error("the files were looked at again at once")
	}
	later.Store(int64(4 * time.Minute))
	if bytes.Equal(before, peerCertificate(t, at)) {
		t.Error("the renewed certificate is not used")
	}
}
