package tiers

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"teraslot/text"
)

func TestCaught(t *testing.T) {
	var none []int
	for name, c := range map[string]struct {
		fn  func() error
		bug bool
	}{
		"index":          {func() error { _ = none[len(name(none))]; return nil }, true},
		"text":           {func() error { panic("what") }, true},
		"error":          {func() error { panic(errors.New("what")) }, true},
		"damage":         {func() error { panic(fmt.Errorf("%w: a table", errIndex)) }, false},
		"nil, a field's": {func() error { var h *handle; _ = h.dir; return nil }, true},
	} {
		err := guard(c.fn)
		bug, is := errors.AsType[*Bug](err)
		if !errors.Is(err, errFault) || is != c.bug {
			t.Errorf("%s: %v is a bug: %v", name, err, is)
		}
		if is && !bytes.Contains(bug.Stack, []byte("TestCaught")) {
			t.Errorf("%s: the stack does not lead here:\n%s", name, bug.Stack)
		}
	}
	if err := guard(func() error { return errIndex }); err != errIndex {
		t.Error(err)
	}
}

func name(s []int) []int { return s }

// A bug in reading is told as one, the messages are candidates, and the database is
// asked again. The same panic over damaged files is damage.
func TestBugIsNoDamage(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		t.Run(fmt.Sprint("damaged ", damaged), func(t *testing.T) {
			var log bytes.Buffer
			o := testOptions(t.TempDir())
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			x := newSet(t, o).User(testUser)
			commit(t, x, docsOf(0, 5)...)
			s := snapshot(t, x)
			h := s.segments[0].h
			blocks := h.index.blocks
			h.index.blocks = nil // as if the code had lost its way
			if damaged {
				spoil(t, segmentFile(h.dir, h.info.Number, textExt))
			}
			sure, maybe, err := s.Match(t.Context(), text.NewKey(text.InBody, "", "common"))
			if err != nil || !sure.IsEmpty() || maybe.GetCardinality() != 5 {
				t.Errorf("%v are sure and %v candidates, %v", sure, maybe, err)
			}
			h.index.blocks = blocks
			told := log.String()
			if strings.Contains(told, "kind=bug") == damaged || strings.Contains(told, "bug_test.go") == damaged || strings.Contains(told, "index damaged") != damaged {
				t.Errorf("told: %s", told)
			}
			again := snapshot(t, x)
			if given := len(again.Damaged()) > 0; given != damaged {
				t.Errorf("the database is given up: %v", given)
			}
			if got := search(t, again, text.NewKey(text.InBody, "", "common")); !damaged && !slices.Equal(got, numbers(0, 5)) {
				t.Errorf("found again: %v", got)
			}
		})
	}
}

// spoil changes an octet of a file, in place.
func spoil(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0x40
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
