// Package mailbox holds the values that every other package speaks of: users,
// mailboxes, UIDs and sets of them, mod-sequences, message GUIDs, flags,
// records, states, events, and the checksum by which two copies of a mailbox
// are compared.
//
// It does no I/O, starts no goroutines and has no locks; every value may be
// copied, and every function may be called from any goroutine. It does not
// know how anything is stored or spoken: mailstore keeps these values, imapd
// and replication put them on a wire.
package mailbox
