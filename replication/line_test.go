package replication

import (
	"context"
	"testing"
	"time"

	"teraslot/bench/line"
)

// newLine is a line to an address for as long as the test runs.
func newLine(t testing.TB, to string) *line.Line {
	t.Helper()
	l, err := line.New(to)
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return l
}

// within is a context for tests of lines that are silent.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
