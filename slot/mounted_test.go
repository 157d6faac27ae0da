package slot

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestArchiveMounted: an archive partition that is not mounted, or another slot's, is
// noticed before anything is done; a slot from before there were marks gets them.
func TestArchiveMounted(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	r.addUser("anna")
	r.stop()
	refused := func(when string) {
		t.Helper()
		s, err := Open(t.Context(), c, Options{})
		if err == nil {
			t.Fatal(errors.Join(errors.New(when), s.Close()))
		}
		if !errors.Is(err, ErrMissing) {
			t.Errorf("%s: %v", when, err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	away := c.Archive + ".away"
	must(os.Rename(c.Archive, away))
	refused("no mount point")
	must(os.Mkdir(c.Archive, 0o700))
	refused("an empty mount point")
	must(writeMark(filepath.Join(c.Archive, markName), "0123456789abcdef0123456789abcdef"))
	refused("another slot's")
	must(os.RemoveAll(c.Archive))
	must(os.Rename(away, c.Archive))
	start(t, c, Options{}).stop()

	// As an older program left it; and as a crash between the two.
	mark := filepath.Join(c.Archive, markName)
	copied := filepath.Join(c.Conf, archiveCopy)
	before, err := readMark(mark)
	must(err)
	must(os.Remove(copied))
	start(t, c, Options{}).stop()
	if now, err := readMark(copied); err != nil || now != before {
		t.Errorf("the mark that was there is not taken: %s, %v", now, err)
	}
	must(os.Remove(copied))
	must(os.Remove(mark))
	start(t, c, Options{}).stop()
	must(os.Rename(mark, mark+".away"))
	refused("without the mark")
	must(os.WriteFile(mark, []byte("nonsense\n"), 0o600))
	if _, err := Open(t.Context(), c, Options{}); err == nil {
		t.Error("a damaged mark is taken")
	}
	must(os.Rename(mark+".away", mark))
}
