// Package text says what it means that a key occurs in a message: the fold
// under which text is compared, the units that a message's text is made of, the
// keys that are looked for in them, and the tokens by which an index finds
// candidates.
//
// It is pure: no I/O, no locks, no state; every function may be called from any
// goroutine. The versions of fold and tokens are recorded in every database,
// and databases of another version are not believed (design §4, decision 6).
//
// It does not know MIME (message makes the units) nor how an index is kept
// (tiers).
package text
