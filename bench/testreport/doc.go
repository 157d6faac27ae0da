// Command testreport reads the stream of `go test -json` and prints what a
// person wants of it: a line for each package, the output of what failed, the
// tests that were skipped and why, what each proof showed, and a closing line
// "N passed, N failed, N skipped". It exits 1 when anything failed.
package main
