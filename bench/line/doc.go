// Package line is a TCP line between two processes that can be cut, half open, late,
// narrow, or break after some octets, for tests of what happens then. It is a proxy of
// github.com/Shopify/toxiproxy, and stands in the network of the process that makes it:
// bench/netns gives each end a network of its own.
//
// A fault is a proxy made anew at the same address. Toxiproxy can change a proxy that
// carries something, but waits for ever where an end of it has just gone away; and what
// was on the way to somebody who went keeps three goroutines of it (goleak.IgnoreAnyFunction
// with Remains).
package line
