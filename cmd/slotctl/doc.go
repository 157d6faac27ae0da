// Command slotctl administers a slot: its users, and what mail they have. It
// asks the running daemon, or opens the slot itself where none runs.
package main
