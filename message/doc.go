// Package message reads mail as it really is: the MIME structure of a message
// as byte offsets, what IMAP's ENVELOPE and BODYSTRUCTURE say of it, and the
// text that a search looks at.
//
// Nothing here fails on bad mail. A broken message has a structure too, as near
// to what its sender meant as its bytes allow; the only errors are those of the
// io.ReaderAt a message is read from, of a context, and of an encoded structure
// that is damaged. Work is bounded on any input: time is linear in the message's
// size. In a Structure, nesting ends at 100 levels, a message has at most 10,000
// parts, at most 4 MiB of one header are interpreted, and at most 8 MiB of strings
// are kept; where a limit cut something short, Truncated says so. The text that a
// search looks at is never cut: Scan gives all of it, whatever the number of parts
// and fields, and what is nested too deep as it stands. Extract, which collects it
// for an index, stops at its Limits, and Extraction.Complete says so.
//
// # Invariants
//
//   - Offsets nest: HeaderStart ≤ BodyStart ≤ End, children lie in their parent's
//     body, in order. BODY[HEADER] and BODY[TEXT] together are BODY[].
//   - A part has Children if, and only if, its Type is "multipart", and a Message
//     if, and only if, it is message/rfc822 or message/global. A part declared as
//     one of these that cannot be taken apart is presented as a leaf and Degraded.
//   - Extract gives the same units for the same octets until ExtractVersion rises;
//     a golden test holds it to that. The index and the scan stand on this.
//
// The package writes no files; the encoded form of a Structure, which mailstore
// keeps beside each record, is drawn in docs/formats.md. It holds no state and no
// locks: every function may be called from any goroutine, and a Structure may be
// read by many once it is made. It does not know flags, mailboxes or the protocol
// (mailbox, imapd), nor what a match is (text).
package message
