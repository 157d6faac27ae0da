// Package candidates asks how much mail a search reads that it does not find.
//
// The index decides most keys alone; where it cannot, the messages that may match
// are verified by their kept text. For 99 % of queries that should be at most twice
// as many as are found, and twenty (Few); docs/decisions/0006 says how many it is for,
// and why. The queries are those that bench/queries draws, of every kind that has one key
// (Kinds), as many of each: the same that are timed over the wire.
//
// TestVerifiedAreFew holds the share; COUNT sets the number of queries, CORPUS takes
// the real mail instead of package sample's, and -v lists the worst queries with what
// they cost. It reads and writes nothing else.
package candidates
