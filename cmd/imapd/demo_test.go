package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"teraslot/bench/daemon"
)

func TestMain(m *testing.M) {
	code := m.Run()
	daemon.Clean()
	os.Exit(code)
}

// demonstrate runs the demo to its end and returns what it showed.
func demonstrate(t *testing.T, env ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, daemon.Bin(t, "imapd"), "demo", "--root", "var")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), append(env, "ONCE=1")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func TestDemo(t *testing.T) {
	out := demonstrate(t, "MAIL=")
	for _, want := range []string{
		`(?m)^  600 messages of .* could not be imported$`,
		`acknowledged \(on disk\) after .*ms, +found after `,
		`(?m)^  BODY "ladder, the short one" +[1-9]\d* .* +0$`, // hits, and nothing scanned
		`(?m)^  BODY "灯台" +[1-9]`,
		`(?m)^  \| compressing temp:1 to data:1 for user\.demo \(active temp:1\)$`,
		`(?m)^  \| finished compact of user\.demo \(active temp:2,data:1\)$`,
		`user demo, password teraslot`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no match for %s", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestDemoWithOwnMail(t *testing.T) {
	dir := t.TempDir()
	for name, subject := range map[string]string{"a": "harpsichord tuning", "b": "Re: harpsichord tuning", "c": "clavichord",
		"d": "=?koi8-r?B?8NLJ18XU09TXycU=?=", "e": "a bro\x01ken word"} {
		text := "From: a@example.org\nSubject: " + subject + "\n\nThe body has none of these words.\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := demonstrate(t, "MAIL="+dir)
	for _, want := range []string{`  5 messages of `, `(?m)^  TEXT "harpsichord" +2 `, `(?m)^  TEXT "Приветствие" +1 `, `finished compact of user\.demo`} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no match for %s in\n%s", want, out)
		}
	}
	if nothing := regexp.MustCompile(`(?m)^  (TEXT|SUBJECT|BODY) .* +0 +\S+ ms .*$`).FindString(out); nothing != "" {
		t.Errorf("a search for a word that is there finds nothing: %s", nothing)
	}
}
