// Package exporter writes a user's mail to a directory in a form that other
// programs read: one Maildir++ tree as Dovecot lays it out, or one mbox per
// mailbox.
//
// # Files
//
//	<dir>/teraslot-export.json   what the directory is an export of, and how far it is
//	<dir>/teraslot-export.lock   flock, held while an export runs
//
// A Maildir has INBOX at its top and every other mailbox in .Level.Level, each
// level in modified UTF-7 with "." and "\" written \2e and \5c, as Dovecot's
// listescape has it. Beside the messages, each folder has
//
//	dovecot-uidlist    version 3: UIDVALIDITY, next UID, mailbox GUID, each UID's file
//	dovecot-keywords   what the letters a to z in file names mean
//	maildirfolder      in folders below the top
//	teraslot-zones     the zones of internal dates, but for UTC
//	teraslot-name      the mailbox's name, where the folder's is not all of it
//
// and the top has subscriptions. A message is cur/<name>,S=<size>,W=<size with
// CRLF>:2,<flags>; its time of modification is the internal date. The name is made
// of what never changes about the message, so a later run finds it again.
//
// In the form mbox, the mailbox A/B is the file A/B.mbox, in the mboxrd form:
// every line of ">"s and "From " gets one more ">". Levels have "%", a dot in
// front, and the dot of an ending that this package uses written as %25 and %2E.
//
// Names of files have 255 octets at most, those of mailboxes up to 1024, which modified
// UTF-7 makes more of. What is too long, the folder's name or a level's, is cut, and
// ends in "\7e" or "%7E" and the first half of the SHA-256 of all of it.
//
// # The bytes
//
// A message is written with LF for CRLF, which is how programs that read these
// forms expect it, if CRLF for LF gives exactly its bytes again. Otherwise (it has
// an LF without CR, or two CR before an LF) it is written octet by octet. An mbox
// cannot hold a message whose last line does not end: there, the line is ended.
//
// # Invariants
//
//   - A message's file has its name only when all of it is on disk: it is written
//     in tmp, synced, and renamed; the folder's directories are synced before its
//     uidlist is written. An mbox is replaced whole.
//   - What an earlier run finished is kept, and the result of any number of runs,
//     broken off anywhere, is that of one run.
//   - Nothing is written to a directory that holds anything else, or the export of
//     another user or form. Only files that this package named are removed: those
//     of messages that are gone. Folders of mailboxes that are gone are told of,
//     not removed.
//   - A damaged message is reported and left out; the file of it that an earlier
//     run wrote stays.
//
// # Concurrency
//
// Run reads a store that is open for reading, beside the process that owns the
// slot. Each mailbox is exported as it is at one moment. Messages of a folder are
// written by a few goroutines at once, which end before Run does. The only lock is
// that of the directory.
//
// # What it does not do
//
// Special uses, annotations and MODSEQ have no place in these forms, nor has the zone of an
// internal date in an mbox. A Maildir has 26 keywords a folder: what is left out is reported.
package exporter
