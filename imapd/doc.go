// Package imapd serves IMAP4rev1 (RFC 3501) with what RFC 9051 made of it: the
// sessions, their states and commands. The codec is package wire, which has no
// policy; mail, search and users are mailstore's, search's and account's.
//
// It keeps nothing on disk.
//
// # A session
//
// One goroutine reads a command, carries it out, tells what changed in the
// selected mailbox, completes the command and flushes, then reads the next. So
// commands that a client sends ahead work, one after the other. While a SEARCH
// or IDLE runs, a second goroutine reads ahead, to notice a client that goes
// away; it has ended when the command has.
//
// Of the selected mailbox a session keeps a view: the UIDs that its client
// counts, shared with the store where they agree, and the mod-sequence up to which
// the client was told. What is told is always the difference between that and the
// store, never a queue of events: a session that sleeps costs no memory, a flag
// that went to and fro is told once, and a lost event delays news but loses none.
//
// A client that is told mod-sequences (RFC 7162) may go away and come back with the last it knows. What it claims to know then is
// computed here as the client does (claim), so that it never claims more than it was told; what it has missed is once more
// the difference of two states, which mailstore tells (Missed).
//
// # Invariants
//
//   - Sequence numbers change only by EXPUNGE responses, and those are sent only
//     where RFC 9051 §7.5.1 allows it.
//   - While octets go to a client nothing of the store is held: no lock, no
//     transaction, and no user's database but an open message file.
//   - Messages are streamed. In memory are at most a batch of structures, some
//     small messages, and one buffer for each session that writes; a session that waits has none.
//   - A message that cannot be read as it was written fails the command with NO
//     and sends nothing of it.
//   - Every wait has an end: Limits. No goroutine outlives Serve.
//   - Octets that came before STARTTLS took effect, or after a refused literal, are
//     never parsed as commands.
//
// # Locks
//
// hub.mu, admission.mu, party.mu and conn.mu are leaves: nothing is called under
// them that blocks or takes another lock. None of them is on a user's mail.
package imapd
