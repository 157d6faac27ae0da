// Package queries draws the searches that are timed, and knows their answers.
//
// A Lexicon is made by reading a corpus once; Draw takes distinct queries of a kind
// from it, by bands of how many messages a word is in. Seed, corpus and number
// decide which: docs/performance.md states the rule, Draw is it.
//
// Answers reads the corpus again and finds what each query has to find: all keys are
// looked for in every message at once (Aho and Corasick's automaton) in the same text
// units that a scan by the server sees. It shares the extraction of text and the fold
// with the server, and nothing that finds: no tokens, no index, no boolean algebra. That
// extraction and fold are right is shown elsewhere, against Python (bench/oracle).
//
// It reads no files and writes none. A Lexicon is used by one goroutine.
package queries
