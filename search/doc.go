// Package search answers SEARCH (RFC 9051 §6.4.4): which messages of a mailbox
// match a tree of keys.
//
// The index is an accelerator and never the answer (design §4, decision 6). A
// search takes the index snapshot first and the mailbox view second, and joins
// the two by GUID. Every key then splits the rows of the view three ways: those
// that match, those that do not, and those that are open. What flags, dates,
// sizes and UIDs say is never open; what the index says of a message that it
// covers by a complete document is open only where the index alone cannot tell;
// a message that it does not cover is open. AND, OR and NOT combine the three
// values, the cheapest key first, each key asked only about the rows that the
// ones before it left to be decided. The rows that are open at the root, and no
// others, are decided by their text: the text kept beside the index where there
// is some, the message itself otherwise, and of that no more than what is open: TEXT is
// BODY or the header lines, each with rows of its own. So the answer does not depend on how
// far the indexer got, and NOT never reads a message that something else
// decides.
//
// # Invariants
//
// A search tells the truth or fails: where a message that has to be read cannot
// be, or the scan would go over its Limits, Search returns an error (a
// *mailstore.Damage that names the message, or ErrLimit) and no result. An
// index that fails under a search is left aside and the messages are read.
//
// A message's text is what message.Scan gives of it: all of it, unit by unit, for
// all text keys of the query in one pass. So no message is too large, too deep or
// too odd to be searched, and none keeps the others from being searched. What the
// index refuses (message.Extract is not Complete) it does not cover; it is scanned.
//
// # Order and threads
//
// Sort and Thread (RFC 5256) order what a search found. What they compare comes from
// the structures that mailstore keeps beside records: strings and message-ids of a
// mailbox become numbers in their order, once, so that sorting compares numbers and
// threading links them. What is known of a message stays true as long as its UID does;
// new mail is read alone. Nothing there calls itself, whatever the depth of a thread.
//
// # Memory, goroutines, locks
//
// A Searcher keeps, bounded by Options.CacheBytes, the join of the mailboxes it
// was last asked about: eight bytes a row and four a document; and, bounded by
// Options.HeadingBytes, what sorting compares: some 100 bytes a message. Their mutexes
// guard only these caches and are never held while anything is read. Messages and kept
// text are read on at most Options.Workers goroutines, which end before Search returns, some
// at a time: for each of these portions a user takes a turn (turns), of which there are as
// many at once, for all searches, and users who wait are called in a ring. The words of a fuzzy
// key are looked up in the dictionary on as many goroutines. No lock on a user's mail or
// index is held while messages are matched: the view is a copy, and the snapshot holds handles, not locks.
//
// The package writes nothing and knows no protocol: imapd resolves sequence
// numbers, "*" and "$" to UIDs before it asks.
package search
