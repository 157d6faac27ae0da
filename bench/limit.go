package main

import (
	"os"
	"path/filepath"
	"time"

	"teraslot/bench/corpus"
)

// rawAppend measures the limit that no delivery over one connection can pass:
// each message appended to a file and synced.
func rawAppend(b *bench, mail []corpus.Message) {
	f, err := os.Create(filepath.Join(b.TempDir(), "append"))
	b.must(err)
	defer f.Close()
	mail = mail[:2000]
	start := time.Now()
	for _, m := range mail {
		_, err := f.Write(m.Raw)
		b.must(err)
		b.must(f.Sync())
	}
	rate("limit: append and fsync, nothing else", len(mail), time.Since(start))
}
