// Command bench measures a slot as its users meet it: over LMTP, over IMAP and
// by squatter, in processes of their own, on the real mail that CORPUS names.
// It prints a table for docs/performance.md. Where a peer is given by -cyrus or
// -dovecot (see bench/peers), the same work is put to it in the same run, and
// ratios are printed: absolute times on shared machines are noise.
package main
