// Package synclog keeps "something changed in mailbox X" until it has been dealt
// with: for the rolling squatter and for each replica a log of its own, called a
// channel.
//
// Files, in the channel's directory:
//
//	log        notes, appended and fsynced; docs/formats.md draws a line
//	log-run    a log taken aside, being worked on
//	owed       notes that outlive their batches: those whose turn is not yet over
//	skipped    notes that are passed over, restarts or not
//	clean      the last stop lost nothing
//	lock       held for life by the one process that uses the channel
//
// The mailbox is all that is kept: no history, no order of changes. Whoever reads
// a note looks at the state of the mailbox, so a note read twice does no harm, and
// many for one mailbox become one.
//
// What always holds:
//
//   - Add never waits for a disk; what it was given is durable after the next
//     flush, at most FlushEvery later. A crash in between loses notes, and Clean
//     then says so: every user has to be compared once. So does the first start;
//   - a batch is there, again and whole, until Done: log is taken aside by a
//     rename, and only when there is no log-run;
//   - a torn or damaged line loses itself only, and is reported.
//
// Locks: mu guards the buffer and is held for moments; io guards the files, and
// is taken first. The package does not know who reads it, nor what changed.
package synclog
