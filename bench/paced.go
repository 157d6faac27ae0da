package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// paced calls do n times at a steady rate a second, from several lines at once: call
// i begins i/rate after the start, or when its line is free again. The times count
// from when a call should have begun, so that one that is held up is not forgotten;
// late counts those that began more than 100 ms late.
func (b *bench) paced(n, rate, lines int, do func(line, i int)) (late int, times durations) {
	times = make(durations, n)
	var behind atomic.Int64
	start := time.Now()
	var wg sync.WaitGroup
	for line := range lines {
		wg.Go(func() {
			for i := line; i < n; i += lines {
				due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
				if wait := time.Until(due); wait > 0 {
					time.Sleep(wait)
				} else if wait < -100*time.Millisecond {
					behind.Add(1)
				}
				do(line, i)
				times[i] = time.Since(due)
			}
		})
	}
	wg.Wait()
	return int(behind.Load()), times
}
