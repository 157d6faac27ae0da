// Package slot puts a slot together: it reads the configuration, opens what the
// configuration names, runs it until it is told to stop, and stops it so that
// nothing acknowledged is lost.
//
// # Files
//
// The configuration is one TOML file, which is only read. Of the conf root, this
// package owns
//
//	admin.sock   0600; slotctl asks the running slot through it (protocol.go)
//	lmtp.sock    unless lmtp.socket names another place
//	tls/         the self-signed certificate, if none is configured
//	handover     a mailbox that is on its way to another user
//	users/<hh>/<id>/mail.partition, index.partition
//	             on which partition a user's mail and index lie, unless on the slot's own
//
// and makes the roots themselves, 0700. What lies in them belongs to the packages
// that the slot is made of.
//
// # What always holds
//
//   - No root is another root or lies inside what another owns, by any name:
//     such a configuration is refused before anything is opened.
//   - Only the owner of the conf root works on it, one process at a time: the one
//     that holds slot.lock. Everything else is opened after that lock and closed
//     before it, and the admin socket is there only while it is held.
//   - A user's account is made before the mail and removed after it, so that a crash
//     leaves an account that the next start completes, or finishes removing.
//   - A user's mail is on one partition, and so is the index: where the placement file says.
//     What is on another is a leftover of a move, which the file names, for the next start.
//   - A mailbox that is given to another user is the old one's or the new one's: what a
//     crash leaves with both, the next start ends, before anybody is served.
//   - Stopping goes from the outside in: first listeners and clients, then the
//     indexer, last the sync log, which so hears of everything and closes cleanly.
//
// # Administration
//
// Client speaks to the admin socket. Where no daemon runs, Administer opens the
// slot in its own process for as long as the client lives, socket included, so
// that there is one way in which anything is done.
//
// The package takes no lock of its own around calls into others but that of
// heldGUIDs, which is taken before a user's mail is read.
package slot
