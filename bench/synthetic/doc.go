// Package synthetic makes a corpus of any size for measurements: a mailing list
// with threads, quotes, patches, hashes, signatures in its headers, several
// languages and scripts, and attachments. Every message says that it is synthetic
// (Label), and whoever prints figures of it has to say so as well.
//
// Its vocabulary grows as that of a real list does: words read against distinct
// words, of bodies and of headers, lie within a fifth of the kernel list's, which
// a test holds at several points. So an index of it is as large, and its words
// are as rare, as those of real mail; package sample, whose mail is true to life
// in its forms, has a few hundred sentences only.
//
// The same options give the same octets, and message n does not depend on how
// many follow. Messages come one after another; what is kept of earlier ones is
// bounded. It reads no files and writes none. A generator is used by one goroutine.
package synthetic
