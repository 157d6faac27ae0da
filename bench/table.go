package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// figure is what was measured of one thing. Empty cells are not printed.
type figure struct {
	ours, p99, worst string // a median, or a rate
	cpu              string // processor time of the server for each
	peer, peer99     string
	peerCPU          string
	ratio            string // how many times the peer's: above 1 is better
	n, hits          string // how often, and how many messages were found by all
	equal, peerEqual string // answers that are the oracle's
	wanted           string
}

func (f figure) cells() []string {
	return []string{f.ours, f.p99, f.worst, f.cpu, f.peer, f.peer99, f.peerCPU, f.ratio, f.n, f.hits, f.equal, f.peerEqual, f.wanted}
}

// widths of the columns in plain text.
var widths = []int{9, 8, 8, 8, 9, 8, 8, 7, 6, 9, 11, 11, 8}

// nameWidth is that of the first column.
const nameWidth = 44

// table prints figures as they come, one table for a run.
type table struct {
	out      io.Writer
	markdown bool
	peer     string // "": none
}

// begin prints the heads of the columns under a title.
func (t *table) begin(title string) {
	peer := t.peer
	if peer == "" {
		peer = "peer"
	}
	head := figure{ours: "ours", p99: "p99", worst: "worst", cpu: "cpu", peer: peer, peer99: "p99", peerCPU: "cpu", ratio: "ratio",
		n: "n", hits: "hits", equal: "equal", peerEqual: "peer's", wanted: "wanted"}
	if !t.markdown {
		fmt.Fprintf(t.out, "\n## %s\n", title)
		t.row("", head)
		return
	}
	fmt.Fprintf(t.out, "\n%s\n\n", title)
	t.row("", head)
	fmt.Fprintln(t.out, "|---|"+strings.Repeat("--:|", len(widths)))
}

// row prints one figure.
func (t *table) row(what string, f figure) {
	if t.markdown {
		fmt.Fprintf(t.out, "| %s | %s |\n", what, strings.Join(f.cells(), " | "))
		return
	}
	var b strings.Builder
	b.WriteString(pad(what, -nameWidth))
	for i, c := range f.cells() {
		b.WriteString(" " + pad(c, widths[i]))
	}
	fmt.Fprintln(t.out, strings.TrimRight(b.String(), " "))
}

// note prints what is no figure of the table.
func (t *table) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if t.markdown {
		fmt.Fprintf(t.out, "| %s |\n", text)
		return
	}
	fmt.Fprintln(t.out, "  "+text)
}

// pad makes s at least as wide as |width|; negative: blanks behind it.
func pad(s string, width int) string {
	blanks := strings.Repeat(" ", max(0, max(width, -width)-utf8.RuneCountInString(s)))
	if width < 0 {
		return s + blanks
	}
	return blanks + s
}

// millis writes a time in milliseconds, with as many digits as mean something.
func millis(d time.Duration) string {
	switch v := ms(d); {
	case v < 0.1:
		return fmt.Sprintf("%.3f ms", v)
	case v >= 100:
		return fmt.Sprintf("%.0f ms", v)
	case v >= 10:
		return fmt.Sprintf("%.1f ms", v)
	default:
		return fmt.Sprintf("%.2f ms", v)
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func mb(n int64) float64 { return float64(n) / 1e6 }

// ratio writes how many times b is of a; "" where there is none.
func ratio(a, b float64) string {
	if a <= 0 || b <= 0 {
		return ""
	}
	r := b / a
	switch {
	case r >= 100:
		return fmt.Sprintf("%.0f×", r)
	case r >= 10:
		return fmt.Sprintf("%.1f×", r)
	default:
		return fmt.Sprintf("%.2f×", r)
	}
}

// perEach is processor time divided by how many things it was for.
func perEach(cpu time.Duration, n int) string {
	if n == 0 || cpu <= 0 {
		return ""
	}
	return millis(cpu / time.Duration(n))
}

// count writes a number, 0 as nothing.
func count(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// timed prints times of ours and of the peer's; either may be empty.
func (b *bench) timed(what string, ours, theirs durations, f figure) {
	if len(ours) > 0 {
		f.ours, f.p99, f.worst, f.n = millis(ours.at(0.5)), millis(ours.at(0.99)), millis(ours.at(1)), count(len(ours))
	}
	if len(theirs) > 0 {
		f.peer, f.peer99 = millis(theirs.at(0.5)), millis(theirs.at(0.99))
	}
	if len(ours) > 0 && len(theirs) > 0 && f.ratio == "" {
		f.ratio = ratio(float64(ours.at(0.5)), float64(theirs.at(0.5)))
	}
	b.table.row(what, f)
}

// work is so many things in so long; the zero value is work that was not done.
type work struct {
	n    int
	took time.Duration
}

func (w work) rate() float64 {
	if w.took <= 0 {
		return 0
	}
	return float64(w.n) / w.took.Seconds()
}

// rate prints work in things a second.
func (b *bench) rate(what string, ours, theirs work, wanted string) {
	b.rated(what, ours, theirs, figure{wanted: wanted})
}

// rated is rate with more cells.
func (b *bench) rated(what string, ours, theirs work, f figure) {
	f.n, f.ratio = count(ours.n), ratio(theirs.rate(), ours.rate())
	if ours.n > 0 {
		f.ours = fmt.Sprintf("%.0f/s", ours.rate())
	}
	if theirs.n > 0 {
		f.peer = fmt.Sprintf("%.0f/s", theirs.rate())
	}
	b.table.row(what, f)
}
