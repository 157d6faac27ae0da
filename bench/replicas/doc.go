// Package replicas tests a store of a master and two replicas as real processes, each in a
// network of its own (bench/netns), with a line to each replica that goes bad (bench/line);
// one of them is 90 ms away. All are killed at random while mail comes, networks are unplugged,
// lines cut, half open or narrow, a replica's disk is full, and clocks are wrong. After each
// fault everything that was acknowledged is on all three, and they are equal.
package replicas
