package squatter

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// leaving is a squatter that has nothing but a conf root.
func leaving(t *testing.T) *Squatter {
	t.Helper()
	return New(Options{Conf: t.TempDir()})
}

// TestLeft: what several leave at once, while another takes it, is taken once; the file is
// gone then, and its bad lines are told of and keep no good one from being counted.
func TestLeft(t *testing.T) {
	q := leaving(t)
	name := filepath.Join(q.o.Conf, leftFile)
	want := deed{What: deedCompaction, Tier: "data", Rule: RuleQuiet, Outcome: outcomeDone, Seconds: 1.5, Bytes: 7}
	const writers, each = 4, 25
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if err := q.leave(t.Context(), want); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var all []byte
	take := func() {
		b, err := q.takeLeft(t.Context())
		if err != nil {
			t.Error(err)
		}
		all = append(all, b...)
	}
	for range 20 {
		take()
	}
	wg.Wait()
	take()
	deeds, err := decodeLeft(all)
	if err != nil || len(deeds) != writers*each || deeds[0] != want || deeds[len(deeds)-1] != want {
		t.Errorf("%d deeds, %v", len(deeds), err)
	}
	if _, err := os.Stat(name); !os.IsNotExist(err) {
		t.Errorf("the file is left: %v", err)
	}
	registry := prometheus.NewRegistry()
	s := q.NewSchedule(ScheduleOptions{Registerer: registry})
	if err := q.leave(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b = append([]byte("nonsense\n{\"what\":\"compaction\",\"tier\":\"data\",\"rule\":\"none\",\"outcome\":\"done\"}\n"), b...)
	if err := os.WriteFile(name, append(b, b[:9]...), fs.FileMode(0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.TakeIn(t.Context()); err == nil {
		t.Error("bad lines are not told of")
	}
	if err := s.TakeIn(t.Context()); err != nil {
		t.Errorf("once more: %v", err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "teraslot_compaction_seconds" {
			if h := f.GetMetric()[0].GetHistogram(); h.GetSampleCount() != 1 || h.GetSampleSum() != 1.5 {
				t.Errorf("durations: %v", h)
			}
		}
	}
}

// TestLeftIsBounded: a file that nobody takes begins anew.
func TestLeftIsBounded(t *testing.T) {
	q := leaving(t)
	name := filepath.Join(q.o.Conf, leftFile)
	if err := os.WriteFile(name, bytes.Repeat([]byte("x"), maxLeft), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := q.leave(t.Context(), deed{What: deedRound, Outcome: outcomeFailed}); err != nil {
		t.Fatal(err)
	}
	if b, err := q.takeLeft(t.Context()); err != nil || len(b) > 100 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// FuzzLeft: whatever lies in the file, what is read of it can be counted, and is read again
// of what it would be written as.
func FuzzLeft(f *testing.F) {
	f.Add([]byte(`{"what":"compaction","tier":"data","rule":"quiet","outcome":"done","seconds":1,"bytes":2}` + "\n" + `{"what":"pause"}`))
	f.Add([]byte("nonsense\n"))
	m := newScheduleMetrics(nil, Policy{}.withDefaults())
	f.Fuzz(func(t *testing.T, b []byte) {
		deeds, _ := decodeLeft(b)
		for _, d := range deeds {
			if d.What == deedCompaction && len(d.Tier) > 10 {
				continue // no more labels than a fuzzer can remember
			}
			m.count(d)
			line, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := decodeLeft(line); err != nil || len(again) != 1 || again[0] != d {
				t.Errorf("%+v comes back as %+v, %v", d, again, err)
			}
		}
	})
}
