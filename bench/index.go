package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
)

// index measures the whole way of two corpora: import, bulk indexing by
// squatter, compaction from temp to data and on to archive, with sizes.
func index(b *bench) {
	for _, name := range []string{"spamassassin", "kernel-list"} {
		mail := b.messages(name)
		s := b.slot()
		addUsers(b, s, 1)
		raw := sizeOf(mail)
		row(name, "%d messages, %.1f MB", len(mail), mb(raw))
		start := time.Now()
		load(b, s, "user0", mail)
		rate("  import (slotctl, no daemon)", len(mail), time.Since(start))
		start = time.Now()
		b.squatter(s, "-i", "-r", "-u", "user0")
		rate("  bulk indexing into temp (squatter -i)", len(mail), time.Since(start))
		b.sizes(s.Temp, raw)
		for _, step := range []struct{ to, from, dir string }{{"data", "temp", "search/data"}, {"archive", "data", "search/archive"}} {
			start = time.Now()
			b.squatter(s, "-z", step.to, "-t", step.from, "-u", "user0")
			rate("  compaction "+step.from+" → "+step.to, len(mail), time.Since(start))
			b.sizes(filepath.Join(s.Root, step.dir), raw)
		}
	}
}

// squatter runs the command to its end.
func (b *bench) squatter(s *daemon.Slot, args ...string) {
	_, err := s.Run(context.Background(), b, "", "squatter", append([]string{"-C", s.Config, "-v"}, args...)...)
	b.must(err)
}

// load writes the messages to files and imports them.
func load(b *bench, s *daemon.Slot, user string, mail []corpus.Message) {
	dir := b.TempDir()
	for i, m := range mail {
		b.must(os.WriteFile(filepath.Join(dir, strconv.Itoa(1000000+i)+".eml"), m.Raw, 0o600))
	}
	_, err := s.Run(context.Background(), b, "", "slotctl", "--config", s.Config, "import", user, dir)
	b.must(err)
}

func sizeOf(mail []corpus.Message) int64 {
	var n int64
	for _, m := range mail {
		n += int64(len(m.Raw))
	}
	return n
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// sizes prints the bytes below a search root, by kind of file.
func (b *bench) sizes(dir string, raw int64) {
	kinds := map[string]int64{}
	var total int64
	b.must(filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		kind := filepath.Ext(path)
		if kind == "" {
			kind = filepath.Base(path)
		}
		kinds[kind] += fi.Size()
		total += fi.Size()
		return nil
	}))
	var parts []string
	for kind, n := range kinds {
		parts = append(parts, fmt.Sprintf("%s %.1f", kind, mb(n)))
	}
	row("    size of "+filepath.Base(dir), "%.1f MB, %.0f %% of the mail (%s)", mb(total), 100*float64(total)/float64(raw), strings.Join(parts, ", "))
}
