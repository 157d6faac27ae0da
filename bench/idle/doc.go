// Package idle is the workload of many users who each have a mailbox selected and
// wait for mail, under TLS: what it costs the server, and whether each is told.
package idle
