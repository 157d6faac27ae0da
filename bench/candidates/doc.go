// Package candidates asks how much mail a search reads that it does not find.
//
// The index decides most keys alone; where it cannot, the messages that may match
// are verified by their kept text. For 99 % of queries that should be at most twice
// as many as are found, and twenty (Few); docs/decisions/0006 says how many it is for,
// and why. The queries are drawn from the mail
// by the rule in draw.go: words, parts of words, phrases, header fields and
// addresses, each by bands of how many messages have a word, so that what is
// frequent and what is rare count alike. Rule and seed are fixed, so the queries
// are the same for everybody.
//
// TestVerifiedAreFew holds the share; COUNT sets the number of queries, CORPUS takes
// the real mail instead of package sample's, and -v lists the worst queries with what
// they cost. It reads and writes nothing else.
package candidates
