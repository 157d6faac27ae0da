package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"teraslot/bench/plot"
	"teraslot/bench/queries"
)

// point is one line of a growth file: server, messages, kind of query, median, 99th
// percentile and worst in ms, number of queries, between tabs.
type point struct {
	server          string
	messages        int
	kind            queries.Kind
	p50, p99, worst float64
	queries         int
}

func pointOf(server string, messages int, kind queries.Kind, times durations) point {
	return point{server, messages, kind, ms(times.at(0.5)), ms(times.at(0.99)), ms(times.at(1)), len(times)}
}

func (p point) String() string {
	return fmt.Sprintf("%s\t%d\t%s\t%.3f\t%.3f\t%.3f\t%d", p.server, p.messages, p.kind, p.p50, p.p99, p.worst, p.queries)
}

// parsePoint reads what String wrote.
func parsePoint(line string) (p point, err error) {
	f := strings.Split(line, "\t")
	if len(f) != 7 {
		return p, fmt.Errorf("%q has %d fields, not 7", line, len(f))
	}
	p.server, p.kind = f[0], queries.Kind(f[2])
	if p.messages, err = strconv.Atoi(f[1]); err != nil {
		return p, fmt.Errorf("messages: %w", err)
	}
	for i, to := range []*float64{&p.p50, &p.p99, &p.worst} {
		if *to, err = strconv.ParseFloat(f[3+i], 64); err != nil {
			return p, fmt.Errorf("milliseconds: %w", err)
		}
	}
	if p.queries, err = strconv.Atoi(f[6]); err != nil {
		return p, fmt.Errorf("queries: %w", err)
	}
	return p, nil
}

// readPoints reads a growth file. What was measured again replaces what was there.
func readPoints(r io.Reader) (all []point, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if lines.Text() == "" {
			continue
		}
		p, err := parsePoint(lines.Text())
		if err != nil {
			return nil, err
		}
		same := func(o point) bool { return o.server == p.server && o.messages == p.messages && o.kind == p.kind }
		all = append(slices.DeleteFunc(all, same), p)
	}
	return all, lines.Err()
}

// appendPoints adds points to a growth file.
func appendPoints(name string, points []point) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	for _, p := range points {
		if p.queries == 0 {
			continue
		}
		if _, err := fmt.Fprintln(f, p); err != nil {
			f.Close()
			return err
		}
	}
	return f.Close()
}

// plotted are the kinds that the chart shows.
var plotted = []queries.Kind{queries.Word, queries.Phrase, queries.Frequent, queries.Anywhere}

// chart is search time against mailbox size: a line for each server and kind.
func chart(points []point) plot.Chart {
	c := plot.Chart{Title: "Search over the wire, median of distinct queries", XLabel: "messages in the mailbox (synthetic mail)", YLabel: "ms"}
	var servers []string
	for _, p := range points {
		if !slices.Contains(servers, p.server) {
			servers = append(servers, p.server)
		}
	}
	slices.SortFunc(servers, func(a, b string) int { return strings.Compare(b, a) }) // ours first
	for _, server := range servers {
		for _, kind := range plotted {
			s := plot.Series{Name: server + ": " + string(kind), Dashed: server != "Teraslot"}
			for _, p := range points {
				if p.server == server && p.kind == kind {
					s.Points = append(s.Points, plot.Point{X: float64(p.messages), Y: p.p50})
				}
			}
			slices.SortFunc(s.Points, func(a, b plot.Point) int { return int(a.X - b.X) })
			if len(s.Points) > 0 {
				c.Series = append(c.Series, s)
			}
		}
	}
	return c
}

// drawGrowth draws a growth file.
func drawGrowth(name string, w io.Writer) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	points, err := readPoints(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	svg, err := chart(points).SVG()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	_, err = io.WriteString(w, svg)
	return err
}
