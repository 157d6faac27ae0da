// Package replicas tests a store of two slots as real processes: the master and its replica
// are killed while mail comes, the line between them is cut, silent or slow, and after each
// fault everything that was acknowledged is on both, and both are equal.
package replicas
