package message

import (
	"bytes"
	"testing"
)

// TestRealMail takes every message of the corpora apart and holds the result to
// what the package promises.
func TestRealMail(t *testing.T) {
	for _, archive := range archives {
		t.Run(archive, func(t *testing.T) {
			messages, incomplete := 0, 0
			corpus(t, archive, func(name string, raw []byte) {
				messages++
				s, err := check(raw)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				x, err := Extract(t.Context(), bytes.NewReader(raw), int64(len(raw)), Limits{})
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if err := checkUnits(x.Units); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if !x.Complete || s.Truncated {
					incomplete++
				}
			})
			if incomplete > 0 {
				t.Errorf("%d of %d messages were cut short", incomplete, messages)
			}
		})
	}
}
