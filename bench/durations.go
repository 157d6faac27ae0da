package main

import (
	"math"
	"slices"
	"time"
)

// durations are times that were measured, in the order of the measurements.
type durations []time.Duration

// at is the quantile q, from 0 (the least) to 1 (the worst), by nearest rank: a
// time that was measured, never one between two. It is 0 of none.
func (d durations) at(q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}
