// Package account knows the users of a slot: their stable ids, login names,
// credentials and quotas.
//
// They are in slot.db (SQLite, WAL, synchronous=FULL; docs/formats.md draws the
// table). Nothing opens that file but SQLite: closing a plain file handle would
// drop its locks.
//
// A copy of it (Save) is a single file, synced, that is replaced as a whole; whoever repairs slot.db reads it.
//
// What always holds:
//
//   - an id is never given to two users, nor again after a user was removed;
//   - an account says whether mail was made for it, so that lost mail is told from
//     mail that a crash kept from being made, and a disabled user from one who goes;
//   - two login names that differ only in case, or in what Unicode holds to be the
//     same, are one name;
//   - a password is kept as an argon2id hash, in the PHC string format, with its
//     parameters; a login re-hashes what was made with others than today's;
//   - an attempt for a name that is not there takes as long as one for a name that
//     is, and at most so many attempts as Options say are computed at once.
//
// Where Options.Owner says that no other process writes, Lookup keeps its answers
// in memory, for names that nobody has as well; every change of a user forgets
// them before it returns.
//
// The package has no locks of its own besides the bound on hashing and that of the
// answers, held for a few instructions; SQLite serialises writers. It does not make, move or delete mail, and does not know of
// sessions or protocols, besides the server sides of SASL mechanisms.
package account
