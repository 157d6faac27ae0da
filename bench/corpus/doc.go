// Package corpus reads the mail that tests and benchmarks use: archives of real mail in
// the directory that the environment variable CORPUS names (where it is not set, tests
// skip and say so), and what people have: an mbox, a Maildir, a directory of messages.
package corpus
