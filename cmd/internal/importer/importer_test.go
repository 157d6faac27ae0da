package importer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"teraslot/cmd/internal/source"
	"teraslot/mailbox"
	"teraslot/slot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient opens a slot with the user anna.
func newClient(t *testing.T) *slot.Client {
	t.Helper()
	c, err := slot.Read(strings.NewReader("root = \".\"\n[tiers]\ntemp = \"temp\"\n"), filepath.Join(t.TempDir(), "slot.toml"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := slot.Administer(t.Context(), c, slot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := client.Verify(ctx, nil, func(f slot.Finding) { t.Errorf("verify: %v", f) }); err != nil {
			t.Error(err)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := client.AddUser(t.Context(), slot.AddUser{Name: "anna", Password: "secret"}); err != nil {
		t.Fatal(err)
	}
	return client
}

// stored is how many messages anna has.
func stored(t *testing.T, c *slot.Client) int64 {
	t.Helper()
	users, err := c.Users(t.Context())
	if err != nil || len(users) != 1 {
		t.Fatal(users, err)
	}
	return users[0].Usage.Messages
}

// letters are n messages; those of bad have an error.
func letters(n int, bad ...int) iter.Seq[source.Item] {
	return func(yield func(source.Item) bool) {
		for i := range n {
			it := source.Item{Key: fmt.Sprint(i), Place: fmt.Sprintf("place %d", i), Read: 10, Flags: mailbox.MakeFlags(`\Seen`)}
			if slices.Contains(bad, i) {
				it.Err = source.ErrEmpty
			} else {
				it.Body = fmt.Appendf(nil, "Subject: %d\r\n\r\nbody\r\n", i)
			}
			if !yield(it) {
				return
			}
		}
	}
}

func TestBadMessagesAreReportedAndStopNothing(t *testing.T) {
	c := newClient(t)
	var places []string
	var last Result
	result, err := Run(t.Context(), c, letters(1300, 0, 600, 1299), Options{
		User:     "anna",
		Report:   func(place string, err error) { places = append(places, place+": "+err.Error()) },
		Progress: func(r Result) { last = r },
	})
	if err != nil || result.Stored != 1297 || result.Failed != 3 || result.Read != 13000 || result != last {
		t.Errorf("%+v, %v; last progress %+v", result, err, last)
	}
	if want := []string{"place 0: message is empty", "place 600: message is empty", "place 1299: message is empty"}; !slices.Equal(places, want) {
		t.Errorf("%q", places)
	}
	if n := stored(t, c); n != 1297 {
		t.Errorf("%d stored", n)
	}
}

func TestTargets(t *testing.T) {
	for _, x := range []struct{ option, of, want string }{
		{"", "", "INBOX"}, {"", "Lists/Go", "Lists/Go"}, {"Old", "", "Old"}, {"Old", "Lists", "Old/Lists"},
	} {
		if got := (Options{Mailbox: x.option}).target(x.of); got != x.want {
			t.Errorf("%q in %q is %q, want %q", x.of, x.option, got, x.want)
		}
	}
}

// TestJournal: an import that is interrupted after any group, and even between a
// group's commit and the journal, goes on without loss or doubles.
func TestJournal(t *testing.T) {
	c := newClient(t)
	journalFile := filepath.Join(t.TempDir(), "journal")
	const total = 3*groupMessages + 7
	o := Options{User: "anna", Journal: journalFile}
	ctx, cancel := context.WithCancel(t.Context())
	groups := 0
	o.Progress = func(Result) {
		// The second group is stored, and the journal not yet written.
		if groups++; groups == 2 {
			cancel()
			if err := os.Rename(journalFile, journalFile+".old"); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := Run(ctx, c, letters(total), o); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if err := os.Rename(journalFile+".old", journalFile); err != nil {
		t.Fatal(err)
	}
	before := stored(t, c)
	o.Progress = nil
	result, err := Run(t.Context(), c, letters(total), o)
	if err != nil || result.Skipped == 0 {
		t.Errorf("%+v, %v: nothing was done twice", result, err)
	}
	if n := stored(t, c); n != total || before+int64(result.Stored) != total {
		t.Errorf("%d stored before and %d after, of %d", before, n, total)
	}
	if _, err := os.Stat(journalFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the journal is left: %v", err)
	}
}

func TestJournalOfAnotherSource(t *testing.T) {
	c := newClient(t)
	file := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(file, []byte(`{"Key":"elsewhere"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), c, letters(3), Options{User: "anna", Journal: file}); !errors.Is(err, ErrJournal) {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(file, []byte(`not a journal`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), c, letters(3), Options{User: "anna", Journal: file}); err == nil {
		t.Error("a broken journal was taken")
	}
	if n := stored(t, c); n != 0 {
		t.Errorf("%d stored", n)
	}
}

// TestSourceFails: what came before the failure is stored, and the error says so.
func TestSourceFails(t *testing.T) {
	c := newClient(t)
	broken := func(yield func(source.Item) bool) {
		for it := range letters(5) {
			if !yield(it) {
				return
			}
		}
		yield(source.Item{Place: "the disk", Err: os.ErrPermission})
	}
	result, err := Run(t.Context(), c, broken, Options{User: "anna"})
	if !errors.Is(err, os.ErrPermission) || result.Stored != 5 {
		t.Errorf("%+v, %v", result, err)
	}
}
