// Package source reads mail that other programs keep: mbox files, Maildirs, and
// directories of messages. It yields one message after another with what the
// store of origin knew about it: mailbox, flags, keywords, date.
//
// It only reads. A message that cannot be read is yielded with an error and its
// place, and the next one follows. Bare line feeds become CRLF, because that is
// how mail is stored here; no other octet of a message is changed, but an mbox
// "From " line before a message and one level of quoting (">From ") in an mbox
// are taken off: from a file of one message too, if that line has a date, and never from
// a Maildir whose UIDs are kept, since clients have seen its messages as they are.
//
// Memory: one message at a time, at most Options.MaxMessage.
package source
