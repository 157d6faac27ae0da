// Package replication keeps the users of two slots equal: a master, where clients write,
// and a replica, which takes over the master's states. docs/decisions/0005-replication.md
// says what is compared, and what becomes of changes on both sides.
//
// The master's side is a Channel for each replica: a sync log that names whom to compare,
// workers that make one user after the other equal (Client.Sync), and the users that are
// held up, each with its own delay. There are many workers for users of whom little is to be
// sent, so that the distance to a replica costs each only once, and few for the others, whose
// changes take memory on both sides. The replica's side is a Server.
//
// # The wire
//
// gRPC over TLS 1.3 with certificates on both sides: a peer without a certificate of our
// authority, or whose name is not among those configured, does not get beyond the
// handshake. Messages are frames of at most 1 MiB, written by hand (frames.go); what is larger
// comes in several. docs/formats.md draws them.
//
// # What always holds
//
//   - a replica's user is a state that the master's user had, or that of the last sync;
//   - a sync that was cut off at any point is repeated, and finds the messages that
//     arrived before;
//   - bytes of a message are sent only after they were checked, and taken only when they
//     have the GUID under which they were offered;
//   - a user who cannot be made equal holds up nobody else;
//   - a log is done with only when each of its users is equal, or is written down as owed.
//
// Locks: Channel.mu guards who is queued, running and held up; no call goes out under it.
// Channel.skipping orders what is written down of users left out. One sync at a time works on a user of a channel. The package makes no decision about
// who is master.
package replication
