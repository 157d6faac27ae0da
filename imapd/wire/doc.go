// Package wire is the codec of IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051)
// with their extensions, as a server speaks it: a Reader makes commands of what a
// client sends, a Writer makes responses of a server's values. It holds no policy:
// which command is allowed when, which capability is offered and what a
// mailbox name means is decided by package imapd.
//
// # Reading
//
// Reader.Next reads one command and returns it as a Request: a tag and one of
// the command structs of this package. Text and literals are read into a buffer
// that Limits bounds; the parser pulls a literal only when the grammar allows one where it
// stands, so a client is never told "+" for a command that is wrong already. The
// message literals of APPEND and REPLACE are not read: the caller gets the
// arguments before, then takes the message as a stream (Reader.Message) or refuses it.
//
// Invariants:
//
//   - A line whose last octets have the form of a literal's announcement announces a
//     literal, wherever it stands. Octets of a literal that was refused are never parsed as a
//     command: those of a non-synchronizing one are discarded, and where they are too many, or a
//     client sent those of a synchronizing one unasked, the Reader breaks
//     (ErrBroken) and the connection has to be closed.
//   - Only CRLF ends a line. A line feed alone breaks the Reader: whatever came
//     after it could be text that somebody else wrote.
//   - Memory is bounded by Limits whatever is sent; "1:*" and "1:4294967295" cost
//     one range each.
//   - No input panics.
//
// The grammar is applied strictly, one space where it says SP, but for these,
// which clients in use need and which cannot change a meaning:
//
//   - empty lines between commands are skipped;
//   - one space before the end of a command is let pass;
//   - octets above 127 are accepted in an astring without quotes, and in quoted
//     strings without UTF8=ACCEPT: user names, passwords, search keys;
//   - a mailbox name in UTF-8 is accepted where modified UTF-7 is expected, which
//     has no octet above 127;
//   - "]" is accepted in flags, keywords and capabilities: "[Gmail]" is one;
//   - the day of a date-time may have one digit without the space before it;
//   - a charset may be any astring;
//   - GETMETADATA's options may stand behind the mailbox, as in the RFC's examples;
//   - a data item of FETCH, or an option, that is repeated counts once.
//
// # Writing
//
// Writer appends to a buffer and writes it out when it is full or at Flush; the
// first error sticks and is returned by Flush. Strings become quoted where they may, literals
// where they must. A literal is streamed from a reader of known size.
//
// Neither Reader nor Writer is safe for concurrent use; each has one goroutine
// at a time. They start none, and hold no locks. This package does no I/O
// but through the io.Reader and io.Writer that it was given.
package wire
