package mailstore

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"

	"teraslot/mailbox"
)

// Versions tells whose mail.db is not of this program's version.
type Versions struct {
	Known int64          // this program's
	Older []mailbox.User // are brought to it when they are next opened
	Later []mailbox.User // are refused with ErrVersion
}

// Versions reads the versions of all users' mail.db from the heads of their files, which
// takes some 10 µs for each. A file that is damaged there is told of when it is opened.
func (s *Store) Versions(ctx context.Context) (Versions, error) {
	out := Versions{Known: schemaVersion}
	users, err := s.Users(ctx)
	if err != nil {
		return out, err
	}
	for _, u := range users {
		version, known, err := s.versionOf(u)
		switch {
		case err != nil:
			return out, err
		case !known, version == schemaVersion:
		case migrations[version] != nil:
			out.Older = append(out.Older, u)
		default:
			out.Later = append(out.Later, u)
		}
	}
	return out, ctx.Err()
}

// versionOf reads the head of a mail.db (https://www.sqlite.org/fileformat2.html, §1.3).
// known is false for a file that is none.
func (s *Store) versionOf(u mailbox.User) (version int64, known bool, err error) {
	f, err := s.o.FS.OpenFile(s.databasePath(u), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil // removed since
	}
	if err != nil {
		return 0, false, err
	}
	var head [100]byte
	_, readErr := f.ReadAt(head[:], 0)
	if err := f.Close(); err != nil {
		return 0, false, err
	}
	known = readErr == nil && string(head[:16]) == "SQLite format 3\x00" && binary.BigEndian.Uint32(head[68:]) == applicationID
	return int64(int32(binary.BigEndian.Uint32(head[60:]))), known, nil
}
