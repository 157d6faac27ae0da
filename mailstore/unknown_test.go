package mailstore

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
)

// A mail.db from before some deliveries, as a restored copy is, costs none of
// their bytes, and no UID is given twice: whatever number of packs they fill.
func TestOlderDatabase(t *testing.T) {
	for _, later := range []int{3, 40} {
		d := newDamaged(t, 2)
		wanted := map[string]bool{}
		d.with(t, func(_ *Store, m *Mail, err error) {
			m.s.o.PackSize = 4000
			for i := range later {
				body := sized(1000+i, 500)
				wanted[body] = true
				appendText(t, m, d.inbox, body)
			}
		})
		for _, suffix := range []string{"-wal", "-shm"} {
			if err := os.Remove(d.db + suffix); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		d.restore(t)
		var log bytes.Buffer
		d.with(t, func(s *Store, m *Mail, err error) {
			s.o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			next := appendText(t, m, d.inbox, sized(5000, 500))
			if first := 2 + later + 1; int(next.UID) != first {
				t.Errorf("the next message has UID %d, not %d", next.UID, first)
			}
			verify(t, s, user1)
		})
		if !strings.Contains(log.String(), "level=WARN") {
			t.Errorf("nobody was warned: %s", log.String())
		}
		var all strings.Builder
		entries, err := os.ReadDir(strings.TrimSuffix(d.pack, "1.pack"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), packSuffix) {
				b, err := os.ReadFile(strings.TrimSuffix(d.pack, "1.pack") + e.Name())
				if err != nil {
					t.Fatal(err)
				}
				all.Write(b)
			}
		}
		for body := range wanted {
			if !strings.Contains(all.String(), body) {
				t.Errorf("of %d messages one is gone from the packs", later)
				break
			}
		}
	}
}
