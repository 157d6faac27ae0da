// Command imapd runs a slot: IMAP, LMTP, the rolling indexer and the admin
// socket.
package main
