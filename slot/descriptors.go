package slot

import (
	"golang.org/x/sys/unix"
)

// What a slot needs of descriptors beside its clients' connections and its users' mail: accounts,
// listeners, locks, sync logs, files that are being read, searched, and compacted.
const (
	ownDescriptors  = 32
	userDescriptors = 6 // of mail that is kept open: mail.db and its WAL for a writer and a reader, packs
)

// limits are what a slot does at most at once.
type limits struct {
	imap, lmtp int // connections
	users      int // whose mail is kept open though nobody uses it
}

// fit lowers limits to a number of descriptors, so that clients who are too many are
// told so and never take those that mail needs: half of what the slot does not need
// itself is for them, a quarter for users' mail.
func (l limits) fit(descriptors int64) limits {
	rest := max(descriptors-ownDescriptors, 16)
	l.lmtp = int(min(int64(l.lmtp), rest/8))
	l.imap = int(min(int64(l.imap), rest*3/8))
	l.users = int(min(int64(l.users), max(rest/4/userDescriptors, 1)))
	return l
}

// limits are the configured ones, as far as this process may open files.
func (s *Slot) limits() limits {
	l := limits{imap: s.c.IMAP.MaxConnections, lmtp: s.c.LMTP.MaxConnections, users: openUsers}
	var may unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &may); err != nil || may.Cur > 1<<30 {
		return l
	}
	return l.fit(int64(may.Cur))
}

// tellLimits tells of connections that the descriptors do not allow.
func (s *Slot) tellLimits(l limits) {
	if l.imap < s.c.IMAP.MaxConnections || l.lmtp < s.c.LMTP.MaxConnections {
		s.o.Logger.Info("fewer connections than configured: this process may not open more files (ulimit -n, LimitNOFILE)",
			"imap", l.imap, "lmtp", l.lmtp)
	}
}
