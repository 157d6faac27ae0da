package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"teraslot/slot"
)

// served is the certificate that a handshake gets.
func served(t *testing.T, addr string) []byte {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Raw
}

// TestHangupReloadsTheCertificate replaces the certificate's files under a serving
// program and sends it SIGHUP: the next handshake has the new one, and who is
// connected stays so.
func TestHangupReloadsTheCertificate(t *testing.T) {
	dir := t.TempDir()
	config, err := slot.Read(strings.NewReader("root = \".\"\n[tiers]\ntemp = \"temp\"\n[imap]\nlisten = []\nlisten_tls = [\"127.0.0.1:0\"]\n[lmtp]\nlisten = []\n"),
		filepath.Join(dir, "slot.toml"))
	if err != nil {
		t.Fatal(err)
	}
	out, in := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- serve(ctx, config, slog.New(slog.NewTextHandler(in, nil)))
		in.Close()
	}()
	log := bufio.NewScanner(out)
	said := func(text string) string {
		for log.Scan() {
			if strings.Contains(log.Text(), text) {
				return log.Text()
			}
		}
		t.Fatalf("the log ends without %q", text)
		return ""
	}
	addr := regexp.MustCompile(`imap_tls=\[(\S+)\]`).FindStringSubmatch(said("msg=serving"))[1]
	before := served(t, addr)
	stays, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stays.Close()
	dialogue := bufio.NewReader(stays)
	if _, err := dialogue.ReadString('\n'); err != nil {
		t.Fatal(err)
	}

	other, err := slot.Defaults(filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	replaceCertificate(t, config, other)
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	said("certificate read again")
	if bytes.Equal(before, served(t, addr)) {
		t.Error("after SIGHUP a handshake gets the old certificate")
	}
	if _, err := io.WriteString(stays, "a NOOP\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := dialogue.ReadString('\n'); !strings.HasPrefix(line, "a OK") {
		t.Errorf("who was connected is answered %q, %v", line, err)
	}
	cancel()
	go func() {
		for log.Scan() { // so that nobody waits for the log to be read
		}
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// replaceCertificate puts another slot's self-signed certificate in place of config's.
func replaceCertificate(t *testing.T, config, other *slot.Config) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	other.IMAP.Listen, other.IMAP.ListenTLS, other.LMTP.Listen = []string{}, []string{"127.0.0.1:0"}, []string{}
	s, err := slot.Open(ctx, other, slot.Options{})
	cancel()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"self-signed.key", "self-signed.pem"} {
		b, err := os.ReadFile(filepath.Join(other.Conf, "tls", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(config.Conf, "tls", name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
