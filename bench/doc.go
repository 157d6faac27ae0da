// Command bench measures a slot as its users meet it: over LMTP, over IMAP and by
// squatter, in processes of their own. The mail is what CORPUS names (an mbox, a
// Maildir, a directory of messages or of archives), or N synthetic messages, which
// every table says. It prints one table for a run: a median with the 99th percentile
// and the worst, or a rate; processor time; and, where PEER names one (cyrus, dovecot;
// see bench/peers), the same of a peer that was given the same work in the same run,
// with the ratio, since absolute times on a shared machine are noise.
//
// Every timed query is distinct and is asked once; queries are drawn, and their
// answers known, by package queries. Nothing is measured that was not compared with
// the oracle where there is one. docs/performance.md has the figures, the rule by
// which queries are drawn, and what limits each figure.
//
// Slots lie below var/ in the working directory, on the disk that holds it; the temp
// tier is in memory where there is any. It ends only what it started.
package main
