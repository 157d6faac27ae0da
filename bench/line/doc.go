// Package line is a TCP line between two processes on this machine that can be cut,
// silenced, slowed and made to break after some octets, for tests of what happens then.
package line
