// Package powercut proves that acknowledged mail outlives a power cut. It reads
// the system calls of real runs, as strace recorded them, and builds
// the states in which a cut of the power at any moment may leave the files:
// what was written but not synced is absent, present, or torn at a sector; a
// name that was made, renamed or removed without a sync of its directory may be
// there in its old form or its new one.
//
// One run delivers mail, the other does all that happens to mail later, with the
// index on disk: it is indexed, compacted, expunged, archived, repacked, saved and
// backed up, its mailboxes and its user are renamed; a third moves users between partitions and mailboxes between
// users, and removes one. What lies in memory is lost as a
// whole.
//
// kill -9 proves nothing of this kind: the page cache outlives a process.
//
// It knows what files are, not what is in them; the tests open each state as a
// slot would after the power came back, and look for the mail.
package powercut
