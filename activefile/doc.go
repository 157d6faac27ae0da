// Package activefile keeps the file that names a user's live databases, and the
// locks under which it is read and changed.
//
// Files, all in the user's directory below the conf root:
//
//	index.active    the databases in search order, the next generations, a CRC;
//	                docs/formats.md draws it
//	index.staged    the activefile that a compaction has written and synced, but
//	                not yet put in place
//	index.damaged   the last activefile that was found damaged; nothing reads it
//	index.lock      shared: to take handles, to commit a batch; exclusive: to
//	                change the activefile
//	index.gate      held for the moment of waiting for index.lock: whoever wants
//	                it exclusively stops newcomers here, so a stream of readers
//	                cannot keep him out
//	index.write     held by whoever commits to the first database
//	index.compact   held by whoever compacts or cleans the user, all the while;
//	                names its holder
//
// Lock files are permanent: never renamed, nor removed while the user exists.
// index.lock is empty until the first activefile is published; its content then
// says that there has been one, so that a lost activefile is told from a new
// user's.
//
// What always holds:
//
//   - the activefile changes under index.lock held exclusively, by a rename of a
//     file that was synced; who holds a file that has lost its name changes nothing;
//   - the first database is the only one that is written to;
//   - under index.compact, what the activefile said when that was taken is durable;
//     after a publication that failed, give it back before deleting anything;
//   - no generation of a tier is given twice, whatever is lost: a counter never
//     falls, and when the file is gone or damaged, counters begin again above
//     every directory found and above the clock.
//
// Lock order: index.compact, index.write, (index.gate) index.lock. A goroutine
// that holds index.lock, shared or not, must not ask for it again: a waiting
// exclusive holder stands between. Each Lock belongs to one goroutine.
//
// The package knows nothing of what a database is.
package activefile
