// Package transfer carries a user's mail from another server to a slot with what
// clients know of it: UIDs, UIDVALIDITY, flags, keywords, dates, subscriptions, special uses.
//
// A run compares each mailbox with what is here and carries over the difference:
// messages that are missing, flags that differ, and (on request) what was expunged
// over there. So a run that was interrupted is simply run again, and a short last run
// after the old server has stopped taking mail ends a migration.
//
// A message is taken to be here if the mailbox has one of its UID, internal date and
// size, under the other server's UIDVALIDITY. What was deleted here stays deleted.
// All else is read, and stored unless the mailbox has the same octets: nothing is
// lost and nothing doubled, but its UID is then a new one, and reported.
//
// A special use (RFC 6154) comes with its mailbox, which keeps its name: clients go on with
// what they have. The mailbox of the new account that had the use stays, without it. Of
// several with one use, that with the name that new accounts have it under gets it.
//
// Mailboxes are carried over by several connections at once; the messages of one by
// one connection, in rising order of UIDs, because UIDs only rise. While messages are
// stored, the next ones are read.
//
// It does not know IMAP, Maildirs or mailstore: a Source brings the mail, slot.Client
// takes it. It keeps no state of its own.
package transfer
