// Package clients has tests only: the clients that people use, from Debian's packages,
// against a running slot. Those that synchronise do so both ways, and once more when
// there is nothing to do; the others read and change mail. COUNT is the number of
// messages, CORPUS the directory of the real mail. A client that is not installed is
// skipped; .ci/run installs all.
package clients
