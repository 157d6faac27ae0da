package squatter

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"teraslot/mailbox"
)

// Poll tells Run of changes by looking, every so often, at the files of each
// user's mail.db below the conf root: for a squatter in a process of its own,
// whom nobody notifies. At first, everyone counts as changed. It returns nil when
// ctx is done.
//
// It only asks for the files' sizes and times: opening them would drop the locks
// that SQLite holds on them.
func (q *Squatter) Poll(ctx context.Context, conf string, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	seen := make(map[mailbox.User][2]fileMark)
	for {
		users, err := q.o.Store.Users(ctx)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("listing the users to watch: %w", err)
		}
		now := make(map[mailbox.User][2]fileMark, len(users))
		for _, u := range users {
			mark := marksOf(filepath.Join(conf, u.Dir()))
			if before, known := seen[u]; !known || before != mark {
				q.queue.note(u, 0, nil)
			}
			if settled(mark) {
				now[u] = mark
			}
		}
		seen = now
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// settled reports whether a later write will change the mark for certain: a file
// that was written this moment may be written again within one tick of the clock
// that file systems use.
func settled(marks [2]fileMark) bool {
	for _, m := range marks {
		if time.Since(m.time) < 100*time.Millisecond {
			return false
		}
	}
	return true
}

// fileMark changes whenever a file is written; zero for one that is not there.
type fileMark struct {
	size int64
	time time.Time
}

func markOf(path string) fileMark {
	info, err := os.Stat(path)
	if err != nil || info.Mode()&fs.ModeType != 0 {
		return fileMark{}
	}
	return fileMark{info.Size(), info.ModTime()}
}

// marksOf marks a user's mail.db and its WAL, to which commits are written.
func marksOf(dir string) [2]fileMark {
	return [2]fileMark{markOf(filepath.Join(dir, "mail.db")), markOf(filepath.Join(dir, "mail.db-wal"))}
}
