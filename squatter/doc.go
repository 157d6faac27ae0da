// Package squatter decides when and what to index, compacts, and audits.
//
// Rolling (Run), it indexes a user when some 20 messages or 2 seconds have
// gathered (design §5), or up to ten times as long where mail came for hundreds of
// users, and at once when a search found many messages waiting
// (Wake). It learns of new mail twice: by Notify inside the daemon, which is
// prompt and counts messages, and by a channel of the sync log, which survives a
// crash and serves a squatter in a process of its own. Either alone suffices.
// After an unclean start, when notices may have been lost, every user is
// compared once.
//
// What to index is never remembered, only found out: a message needs indexing
// if no document of a current database stands for its GUID (design §4,
// decision 5). A remembered cursor merely saves comparing what was compared with
// the same databases before: a few messages that came after it are indexed without
// opening any segment. Large batches are extracted while the one before is committed. A message that cannot be extracted or committed is
// put on a list with the time of its next try, and the others go on; until then it
// is scanned by every search that asks about its text, so nothing is lost but
// time. After some tries it is quarantined: counted, reported, and only tried again
// when somebody asks, or when the program extracts text in another way. The list
// lies beside the activefile (index.failed; docs/formats.md draws it) and nothing
// depends on it: damaged or gone, the messages are tried again.
//
// Where other processes index (Options.Look), Run indexes nobody: it looks who waits, for the metrics, and what the
// others did is taken in from what they leave in the slot (Schedule.TakeIn). The list of failures is read again whenever it is
// another on disk.
//
// When to compact what is decided by Policy.Plan, a function of what a survey
// found; Schedule surveys, plans and does it, at its hours and within its
// bandwidth, which holds for each piece that a compaction writes; searches that are
// slow make it wait there, too. One Schedule at a time works on a slot: who makes one holds a lock of
// the slot for it. Compactions by hand go on beside it, each at the same pace
// (Schedule.ByHand); of all of them, one at a time writes to a disk (package tiers).
//
// # Locks, goroutines
//
// Commits and compactions take the user's index locks, in package tiers; this
// package holds none of them itself, and no lock while it extracts text. One
// process-wide lock for each user keeps two goroutines from extracting the same
// messages. Two processes that index one user at once do double work and no
// harm: documents of one GUID are one after the next compaction. Run's
// goroutines end before it returns, and so do those that extract.
//
// The package never writes mail.
package squatter
