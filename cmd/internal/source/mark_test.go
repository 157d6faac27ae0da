package source

import (
	"os"
	"path/filepath"
	"testing"
)

// TestByteOrderMark: an mbox that an editor has put a mark before is one all the same.
func TestByteOrderMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	text := "\ufeff\nFrom a@b Tue Nov  7 10:00:00 2023\nSubject: one\n\nx\n\nFrom a@b Tue Nov  7 10:00:00 2023\nSubject: two\n\n\ufeffy\n"
	for _, text := range []string{text, "\ufeff" + text[len("\ufeff\n"):]} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Options{})
		if err != nil || s.Format() != Mbox {
			t.Fatalf("opened as %v, %v", s, err)
		}
		var got []string
		for it := range s.Items(t.Context()) {
			if it.Err != nil {
				t.Error(it.Err)
			}
			got = append(got, string(it.Body))
		}
		if len(got) != 2 || got[0] != "Subject: one\r\n\r\nx\r\n" || got[1] != "Subject: two\r\n\r\n\ufeffy\r\n" {
			t.Errorf("read %q", got)
		}
	}
}
