// Package peers starts the servers that a user would pick instead, or comes
// from: a throw-away Dovecot and a throw-away Cyrus, on loopback, from Debian's
// packages. The scripts beside it do so from a shell; the package runs the same
// scripts for tests. Any user may log in with any password.
//
// What is not installed is unpacked below /var/tmp/teraslot-peers (PEERS names
// another directory to the scripts), so both run on one machine although their
// packages conflict. That needs root, and a Debian 12 with its package lists.
package peers
