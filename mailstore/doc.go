// Package mailstore keeps one slot's mail: users, mailboxes, records, and the
// messages themselves. It is the only writer of mail.
//
// # Files
//
//	<conf>/slot.lock                 flock, held for life by the store that may write; its pid inside
//	<conf>/users/<hh>/<id>/mail.db   SQLite: mailboxes, records, contents, packs
//	<spool>/users/<hh>/<id>/<n>.pack messages, framed, one after the other
//	<archive>/…                      the same, for large and old messages
//	<archive>/users/<hh>/<id>/mail.saved  a copy of mail.db, saved each night
//	<spool>/incoming/                large messages being received; emptied at start
//
// Where a user's spool and archive are, Options.Roots tells. docs/formats.md draws mail.db and the packs.
//
// # Invariants
//
//   - What Append, Copy, Move, StoreFlags and Expunge have returned without an
//     error survives kill -9 and a power cut.
//   - mail.db never refers to bytes that were not synced before: pack write, pack
//     sync, then the commit. Bytes beyond the end that mail.db records were never
//     acknowledged, unless to a newer mail.db that was lost; the holder of slot.lock cuts them where
//     they are no whole messages, and nobody touches those below.
//   - UIDs, content numbers, pack numbers and mailbox numbers are never used
//     twice; UIDNEXT, HIGHESTMODSEQ and UIDVALIDITY only rise.
//   - A mod-sequence tells which slot gave it, so that what a client knows of another slot is not taken
//     for known here; UIDs leap over what that may have given (succession.go).
//   - Counters, checksum and usage change in the transaction that changes the
//     records. Verify checks that they agree.
//   - Bytes are handed out only after frame, GUID, length and CRC were checked.
//     Everything else is a *Damage.
//   - A record that does not match its CRC is named and left out (View.Damaged);
//     the others are served, and nothing that would do without it in silence is done.
//   - Once mail.db is seen to be malformed, or its counters or checksum not to
//     match, nothing is written to it: a delivery fails and stays where it came from. Where it was
//     the disk that could not be read, it is written to again once all of it can be.
//     The first delivery to a mailbox since the start of the process looks for that.
//   - A mail.db that is less far than its only writer has seen it since the process began, because
//     the end of its WAL was cut off, is not served and not written: a repair makes it anew.
//
// # Concurrency
//
// Each user has one writer at a time, who holds the turn (Mail.turn): the first
// of those that wait to append becomes the writer for all of them. Readers and the
// writer never wait for each other: while nobody writes, a reader may have the writer's
// connection, and a writer who comes meanwhile opens another (connections). Lock order: Mail.repack,
// then Mail.turn, then nothing else, but that a mailbox that changes its owner (Mail.HandOver) holds the old owner's readers and turn
// when it takes the new one's turn: Store.handing, taken first, lets one at a time do so; Store.mu, Mail.queueMu, connections.mu, viewCache.mu, highest.mu and contentCache.mu are
// held for a few instructions and never while another is taken. Notify is called
// without any lock, but of a mailbox that comes from another user under that user's. The package starts no goroutines but those of Store.Close, which end in it.
//
// A user's databases stay open when nobody uses them any longer, up to Options.OpenUsers, and
// Store.Run closes them after Options.IdleTime. Closing copies the WAL into mail.db, with SQLite's two
// syncs, and removes it: nothing depends on that, for the WAL was synced by each commit, but
// whoever opens mail.db next has no WAL to read.
//
// A process that only reads opens with Options.ReadOnly, while the owner of the
// slot runs or not.
//
// # What it does not do
//
// It knows no protocol, no search and no replication; it does not decide when to expire,
// archive, forget or repack; it keeps no credentials.
package mailstore
