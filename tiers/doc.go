// Package tiers is one user's full-text index over all tiers: documents are
// committed to the first database, several databases are merged into one of
// another tier, and keys are answered from all of them together.
//
// It knows GUIDs and text units. It knows nothing of mailboxes, flags or any
// protocol, does not decide when to compact, and never reads mail: an index is
// derived, and a document that is missing, incomplete or of another version is
// for the caller to find by reading the message itself.
//
// # Files
//
// A database temp:264 is the directory <root of temp>/users/<hh>/<user>/264:
//
//	manifest                  the stamp: a random id, versions, segments with sizes
//	                          and checksums; replaced atomically
//	store/<number>.terms      a segment: the terms of each field, in order
//	store/<number>.lists      its documents, and which of them have each term
//	store/<number>.text       its documents' folded text, compressed
//
// the root being that of the user's partition (Options.RootsOf); and in the user's directory below the conf root the files of package
// activefile. docs/formats.md draws all of them.
//
// # Invariants
//
//   - Files of a segment never change once a manifest names them; a manifest is
//     the only file that is replaced.
//   - The first database of the activefile is the only one that is committed to:
//     under index.write, its manifest replaced under index.lock shared. The others
//     are frozen for good.
//   - A document in a database of the current versions that is marked complete
//     holds all terms of its message: it is the claim that the message is indexed.
//   - What cannot be read is reported and read as absent. A fault in a mapped file
//     stays in the call that met it; its documents become candidates to verify. So does
//     a bug, which is told as one.
//   - Only names that this package made are deleted, by the holder of index.compact.
//
// # Locks
//
// A pass through all terms of a large field takes the processors on which no other
// pass runs, and waits for none; its goroutines end before Match returns.
//
// Lock order: the slot-wide lock of disk compactions, index.compact, index.write,
// index.lock; Set.mu and the lock of the remembered texts last, never together and
// never held during I/O.
package tiers
