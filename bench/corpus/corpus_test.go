package corpus

import (
	"bytes"
	"testing"
)

func TestCanonical(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"line feeds", "a: b\n\nc\n", "a: b\r\n\r\nc\r\n"},
		{"already CRLF", "a: b\r\n\r\nc", "a: b\r\n\r\nc"},
		{"mbox line", "From x Mon\na: b\n", "a: b\r\n"},
		{"mbox line alone", "From x Mon", ""},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Canonical([]byte(tt.in)); string(got) != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMessages(t *testing.T) {
	for name, n := range map[string]int{"spamassassin": 6046, "mime-torture": 427} {
		messages := Messages(t, name)
		if len(messages) != n {
			t.Errorf("%s: %d messages, want %d", name, len(messages), n)
		}
		for _, m := range messages {
			if bytes.Contains(bytes.ReplaceAll(m.Raw, []byte("\r\n"), nil), []byte("\n")) {
				t.Fatalf("%s: a bare line feed is left", m.Name)
			}
		}
	}
}

func TestReadRefusesWhatIsNoArchive(t *testing.T) {
	if _, err := Read(t.TempDir() + "/absent.tar.xz"); err == nil {
		t.Error("no error for an archive that is not there")
	}
}
