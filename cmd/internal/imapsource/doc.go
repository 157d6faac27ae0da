// Package imapsource reads a user's mail from an IMAP server, for transfer. It
// selects nothing but for reading and changes nothing there: messages stay unseen.
//
// The server is verified by its certificate unless Options say otherwise, and no
// password goes over a connection without TLS unless they do.
//
// Mailboxes of the user's own namespace are read, their names without its prefix:
// "INBOX.Sent" of a server that puts all below INBOX is "Sent" here. Levels are parted
// by "/" here; a "/" within a level becomes "_", and is reported.
//
// Special uses (RFC 6154) are taken where a server tells them, asked or not. Subscriptions
// take LIST-EXTENDED (RFC 5258) or LSUB (RFC 3501).
package imapsource
