// Package lmtp takes mail from a mail transfer agent (RFC 2033) and stores it.
//
// A message is spooled once and appended for each recipient; a recipient's
// reply is written only after the store has committed, so a 250 is a promise
// that a power cut does not break. Recipients of one message are served at the
// same time, and each gets its own reply.
//
// One goroutine reads a client, stores its messages and answers. Replies are sent
// together when the client has said all it wants to (RFC 2920), those to a message
// at once. The dialogue is our own: docs/decisions/0004-lmtp-dialogue.md.
//
// # What is added
//
// This is final delivery (RFC 5321 §4.4): a Return-Path and a Received field go
// on top of the message. Return-Path fields that stood on top are replaced, and
// an mbox "From " line before the header, which some agents leave there, is
// taken off. Delivered-To is not added: the message stays the same for all its
// recipients, and no blind recipient shows.
//
// # Recipients
//
// user@domain and user are looked up among the login names as they are, then
// without the domain, then without +folder (the separator is configurable). The
// postmaster without an account of that name is who Options say. The
// folder is a mailbox of the user: of that very name, or else the only one of
// that name in any case. Delivery never creates a mailbox: if the folder is not
// there, the message goes to INBOX. Two recipients that are the same mailbox
// get one copy and two replies.
//
// # Duplicates
//
// With Options.Duplicates, a Message-ID that was stored in the same mailbox
// within that time is acknowledged and not stored again. The memory of it is
// bounded and lost with the process: a message may come twice, never be lost.
//
// # Stopping
//
// When the context of Serve ends, no more connections or commands are taken;
// messages whose DATA or BDAT has begun are received, stored and answered
// within Options.Grace.
//
// There is no authentication: whoever reaches the socket delivers mail.
package lmtp
