package slot

import "time"

// Jobs configures what is done to the mail itself, in the quiet hours.
type Jobs struct {
	// Off leaves all of it to slotctl. Default: false.
	Off bool `toml:"off"`
	// ArchiveAfter is the age at which messages go to the archive partition, and
	// ArchiveLarger the size beyond which they go at once. Default: 7d, 1MB.
	ArchiveAfter  Duration `toml:"archive_after"`
	ArchiveLarger Bytes    `toml:"archive_larger"`
	// ArchiveKeepFlagged leaves flagged messages on the spool. Default: false.
	ArchiveKeepFlagged bool `toml:"archive_keep_flagged"`
	// Expunged is how long expunged messages and deleted mailboxes can be brought back.
	// Default: 7d.
	Expunged Duration `toml:"expunged"`
	// Repack is how many percent of a pack may be of messages that are gone before it
	// is rewritten. Default: 20.
	Repack int `toml:"repack"`
	// Scrub is how often every byte of mail is read. Default: 30d.
	Scrub Duration `toml:"scrub"`
	// NoSnapshots leaves out the nightly copies of slot.db and of each mail.db on the archive
	// partition. Default: false.
	NoSnapshots bool `toml:"no_snapshots"`
	// RepairAtOnce mends a user's mail as soon as it is found to be damaged, as slotctl
	// verify --repair does; else that waits for a person. Default: false.
	RepairAtOnce bool `toml:"repair_at_once"`
}

func (j *Jobs) complete() {
	orNumber(&j.ArchiveAfter, Duration(7*24*time.Hour))
	orNumber(&j.ArchiveLarger, 1<<20)
	orNumber(&j.Expunged, Duration(7*24*time.Hour))
	orNumber(&j.Repack, 20)
	orNumber(&j.Scrub, Duration(30*24*time.Hour))
}
