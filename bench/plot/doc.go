// Package plot draws a chart of lines, both axes logarithmic, as SVG: search time
// against mailbox size for docs/performance.md. The same series give the same
// octets. It reads no files and writes none; the functions may be called from any
// goroutine.
package plot
