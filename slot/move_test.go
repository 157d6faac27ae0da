package slot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"teraslot/account"
	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/squatter"
)

// twoPartitions is a configuration with places for mail and indexes beside the slot's own.
const twoPartitions = "[partitions.other]\nspool = \"other/spool\"\narchive = \"other/archive\"\n" +
	"[partitions.other.tiers]\ntemp = \"other/temp\"\nmeta = \"other/meta\"\ndata = \"other/data\"\narchive = \"other/search\"\n" +
	"[partitions.spool]\nspool = \"spool2\"\n"

// below lists the user's directories that are there, without those of the conf root.
func below(t *testing.T, c *Config, u mailbox.User) (out []string) {
	t.Helper()
	for _, r := range c.roots() {
		entries, err := os.ReadDir(filepath.Join(r.path, u.Dir()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err == nil && r.key != "conf" {
			out = append(out, r.key)
			if len(entries) == 0 {
				t.Errorf("an empty directory is left below %s", r.key)
			}
		}
	}
	return out
}

func letterOf(n int) string {
	return fmt.Sprintf("From: a@example.org\r\nSubject: letter %d\r\n\r\nheron number%dq\r\n%s", n, n, strings.Repeat("filler ", 40*n))
}

// TestMoveUser: mail and index go to another partition and back, alone and together, with mail
// coming in between; nothing is left where they were, a restart finds all of it, and
// with the user all of it goes.
func TestMoveUser(t *testing.T) {
	c := newConfig(t, "[jobs]\narchive_larger = \"2KB\"\n"+twoPartitions)
	r := start(t, c, Options{})
	r.addUser("anna")
	r.addUser("brong")
	count := 0
	add := func() {
		t.Helper()
		for range 5 {
			count++
			if err := r.deliver(letterOf(count), "anna@example.org", "brong@example.org"); err != nil {
				t.Fatal(err)
			}
		}
		r.indexAll()
		if got := r.hits("anna", "heron"); got != count {
			t.Fatalf("%d messages are found, of %d", got, count)
		}
	}
	for range 5 {
		add()
	}
	a, err := r.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		move MoveUser
		want []string
		part string
	}{
		{MoveUser{To: "other"}, []string{"partitions.other.spool", "partitions.other.archive", "partitions.other.tiers.temp"}, "other"},
		{MoveUser{To: "other"}, []string{"partitions.other.spool", "partitions.other.archive", "partitions.other.tiers.temp"}, "other"},
		{MoveUser{To: "default", MailOnly: true}, []string{"spool", "archive", "partitions.other.tiers.temp"}, "default/other"},
		{MoveUser{To: "spool", MailOnly: true}, []string{"archive", "partitions.other.tiers.temp", "partitions.spool.spool"}, "spool/other"},
		{MoveUser{To: "other", MailOnly: true}, []string{"partitions.other.spool", "partitions.other.archive", "partitions.other.tiers.temp"}, "other"},
		{MoveUser{To: "default", IndexOnly: true}, []string{"tiers.temp", "partitions.other.spool", "partitions.other.archive"}, "other/default"},
		{MoveUser{To: "spool"}, []string{"archive", "tiers.temp", "partitions.spool.spool"}, "spool"},
		{MoveUser{To: "default"}, []string{"spool", "archive", "tiers.temp"}, ""},
		{MoveUser{To: "other"}, []string{"partitions.other.spool", "partitions.other.archive", "partitions.other.tiers.temp"}, "other"},
	} {
		step.move.Name = "anna"
		if err := r.client.Move(t.Context(), step.move); err != nil {
			t.Fatalf("%+v: %v", step.move, err)
		}
		if got := below(t, c, a.ID); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(step.want))) {
			t.Errorf("%+v: anna has something below %q, want %q", step.move, got, step.want)
		}
		if got := r.hits("anna", "heron"); got != count {
			t.Fatalf("%+v: %d messages are found, of %d", step.move, got, count)
		}
		add()
		users, err := r.client.Users(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range users {
			if want := map[string]string{"anna": step.part}[u.Name]; u.Partition != want || u.Trouble != "" {
				t.Errorf("%+v: %s is on %q, want %q; %s", step.move, u.Name, u.Partition, want, u.Trouble)
			}
		}
	}
	r.stop()
	r = start(t, c, Options{})
	if anna, brong := r.hits("anna", "heron"), r.hits("brong", "heron"); anna != count || brong != count {
		t.Errorf("%d and %d messages are found, of %d", anna, brong, count)
	}
	if err := r.client.Change(t.Context(), "del", ChangeUser{Name: "anna"}); err != nil {
		t.Fatal(err)
	}
	if got := below(t, c, a.ID); got != nil {
		t.Errorf("of a user who was removed there is something below %q", got)
	}
	if _, err := os.Stat(filepath.Join(c.Conf, a.ID.Dir())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a user who was removed the conf root has something: %v", err)
	}
}

// indexAll has everything indexed.
func (r *running) indexAll() {
	r.t.Helper()
	for _, name := range []string{"anna", "brong"} {
		a, err := r.accounts.Lookup(r.t.Context(), name)
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := r.indexer().IndexUser(r.t.Context(), a.ID, squatter.IndexOptions{}); err != nil {
			r.t.Fatal(err)
		}
	}
}

// TestMoveRefused: to partitions that are not known or not mounted nobody moves, and those
// from where the mail has vanished are not left; then everything is as it was.
func TestMoveRefused(t *testing.T) {
	c := newConfig(t, "[jobs]\narchive_larger = \"2KB\"\n"+twoPartitions)
	r := start(t, c, Options{})
	r.addUser("anna")
	for n := range 20 {
		if err := r.deliver(letterOf(n), "anna@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	a, err := r.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	other := c.Partitions["other"]
	aside := func(path string) func() {
		return func() {
			t.Helper()
			if err := os.Rename(path, path+".aside"); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	back := func(path string) func() {
		return func() {
			t.Helper()
			if err := errors.Join(os.RemoveAll(path), os.Rename(path+".aside", path)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tc := range []struct {
		name, user, to string
		before, after  func()
		want           string
	}{
		{"nobody", "carla", "other", nil, nil, "no such"},
		{"nowhere", "anna", "third", nil, nil, `no partition "third"`},
		{"to a spool that is not mounted", "anna", "other", aside(other.Spool), back(other.Spool), "mount that partition"},
		{"to an archive that is not mounted", "anna", "other", aside(other.Archive), back(other.Archive), "mount that partition"},
		{"from a spool that is not mounted", "anna", "other", aside(c.Spool), back(c.Spool), "mount the spool"},
		{"from an archive that is not mounted", "anna", "other", aside(c.Archive), back(c.Archive), "mount that partition"},
		{"without a pack", "anna", "other", aside(filepath.Join(c.Spool, a.ID.Dir())), back(filepath.Join(c.Spool, a.ID.Dir())), "pack"},
	} {
		if tc.before != nil {
			tc.before()
		}
		err := r.client.Move(t.Context(), MoveUser{Name: tc.user, To: tc.to})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
		if tc.after != nil {
			tc.after()
		}
		if got := r.hits("anna", "heron"); got != 20 {
			t.Fatalf("%s: %d messages are found, of 20", tc.name, got)
		}
		if p, err := c.placement(a.ID, mailPlacement); err != nil || p.at != DefaultPartition {
			t.Errorf("%s: the mail is at %+v, %v", tc.name, p, err)
		}
	}
	if err := r.client.Move(t.Context(), MoveUser{Name: "anna", To: "other"}); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// TestPartitionGone: a slot whose configuration no longer has the partition on which a user
// is tells so, and loses and makes nothing.
func TestPartitionGone(t *testing.T) {
	c := newConfig(t, twoPartitions)
	r := start(t, c, Options{})
	r.addUser("anna")
	if err := r.deliver(letterOf(1), "anna@example.org"); err != nil {
		t.Fatal(err)
	}
	if err := r.client.Move(t.Context(), MoveUser{Name: "anna", To: "other"}); err != nil {
		t.Fatal(err)
	}
	r.stop()
	less := *c
	less.Partitions = nil
	s, err := Open(t.Context(), &less, Options{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	users, err := s.listUsers(t.Context())
	if err != nil || len(users) != 1 || !strings.Contains(users[0].Trouble, `no partition "other"`) {
		t.Errorf("%+v, %v", users, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := start(t, c, Options{}).hits("anna", "heron"); got != 1 {
		t.Errorf("with the partition back, %d messages are found", got)
	}
}

// TestLostPlacement: where it is lost on which partition a user's mail is, that mail is not
// touched by moves, there or anywhere, and is the user's again when the file is back.
func TestLostPlacement(t *testing.T) {
	c := newConfig(t, "[jobs]\narchive_larger = \"2KB\"\n"+twoPartitions)
	r := start(t, c, Options{})
	a := r.addMoved("anna", 20)
	path := c.placementFile(a.ID, mailPlacement)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"other", "spool"} {
		if err := r.client.Move(t.Context(), MoveUser{Name: "anna", To: to, MailOnly: true}); err == nil {
			t.Errorf("mail that is nowhere has moved to %s", to)
		}
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.store.Vacate(a.ID, c.Partitions["spool"].mail()); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if got := start(t, c, Options{}).hits("anna", "heron"); got != 20 {
		t.Errorf("with the file back, %d messages are found, of 20", got)
	}
}

// TestMoveOverUnknownMail: what lies where a user is to move to, and no move has left there, is somebody's mail: it stays, and
// so does the user.
func TestMoveOverUnknownMail(t *testing.T) {
	c := newConfig(t, twoPartitions)
	r := start(t, c, Options{})
	a := r.addMoved("anna", 3)
	packs, err := filepath.Glob(filepath.Join(c.Partitions["other"].Spool, a.ID.Dir(), "*.pack"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("no packs on the other partition: %v", err)
	}
	unknown := filepath.Join(c.Spool, a.ID.Dir(), filepath.Base(packs[0]))
	if err := os.MkdirAll(filepath.Dir(unknown), 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(packs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unknown, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.client.Move(t.Context(), MoveUser{Name: "anna", To: DefaultPartition, MailOnly: true}); err == nil {
		t.Error("a user was moved to where mail is of which nothing knows")
	}
	if got, err := os.ReadFile(unknown); err != nil || !bytes.Equal(got, b) {
		t.Errorf("the mail that lay there is not as it was: %v", err)
	}
	if got := r.hits("anna", "heron"); got != 3 {
		t.Errorf("%d messages are found, of 3", got)
	}
	if err := os.Remove(unknown); err != nil {
		t.Fatal(err)
	}
	if err := r.client.Move(t.Context(), MoveUser{Name: "anna", To: DefaultPartition, MailOnly: true}); err != nil {
		t.Errorf("with that gone: %v", err)
	}
}

// TestMoveFailsAnywhere: whichever operation of the disk fails, the mail and the index are
// here or there, whole, and with the next start nothing is left on the other side. Without
// COUNT, every fifth operation fails.
func TestMoveFailsAnywhere(t *testing.T) {
	stride := 5
	if os.Getenv("COUNT") != "" {
		stride = 1
	}
	c := newConfig(t, "[jobs]\narchive_larger = \"2KB\"\n"+twoPartitions)
	c.Hooks.Passwords = CheapPasswords
	r := start(t, c, Options{})
	r.addUser("anna")
	r.addUser("brong")
	for n := range 20 {
		if err := r.deliver(letterOf(n), "anna@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	r.indexAll()
	a, err := r.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	failed := 0
	for n := 1; failMove(t, c, a.ID, n); n += stride {
		failed++
		s := start(t, c, Options{})
		if got := s.hits("anna", "heron"); got != 20 {
			t.Fatalf("after failure %d: %d messages are found, of 20", n, got)
		}
		for _, kind := range []string{mailPlacement, indexPlacement} {
			if p, err := c.placement(a.ID, kind); err != nil || p.other != "" {
				t.Errorf("after failure %d and a start: %s is %+v, %v", n, kind, p, err)
			}
		}
		s.stop()
		onlyHis(t, c, a.ID)
	}
	if failed*stride < 40 {
		t.Errorf("only %d operations of the disk could fail", failed)
	}
	t.Logf("proof: %d operations of the disk failed, nothing was lost or left", failed)
}

// onlyHis looks that a user has something only below the roots that are his.
func onlyHis(t *testing.T, c *Config, u mailbox.User) {
	t.Helper()
	mail, err := c.mailRootsOf(u)
	if err != nil {
		t.Fatal(err)
	}
	index, err := c.tierRootsOf(u)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.roots() {
		if r.key == "conf" || r.path == mail.Spool || r.path == mail.Archive {
			continue
		}
		his := false
		for _, path := range index {
			his = his || path == r.path
		}
		if _, err := os.Stat(filepath.Join(r.path, u.Dir())); err == nil && !his {
			t.Errorf("something is left below %s", r.key)
		}
	}
}

// failMove opens the slot, moves a user from where he is with the nth operation failing that
// the move has the disk do, and reports whether it came to that.
func failMove(t *testing.T, c *Config, u mailbox.User, n int) (hit bool) {
	t.Helper()
	at, err := c.placement(u, mailPlacement)
	if err != nil {
		t.Fatal(err)
	}
	to := map[string]string{"other": DefaultPartition, DefaultPartition: "other"}[at.at]
	broken := *c
	armed := false
	fail := disk.FailAt(n, errors.New("broken disk"))
	broken.Hooks.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
		if !armed {
			return nil
		}
		err := fail(op, name)
		hit = hit || err != nil
		return err
	}})
	s, err := Open(t.Context(), &broken, Options{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	armed = true
	err = s.moveUser(t.Context(), MoveUser{Name: "anna", To: to})
	armed = false
	if err != nil && !hit {
		t.Errorf("failure without a fault: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return hit
}

// TestPlacement: what is written is read again, and nothing else is.
func TestPlacement(t *testing.T) {
	for _, text := range []string{"", "at other\n", placementHead, placementHead + "at \ncrc 00000000\n",
		placement{at: "other"}.String() + "\n", strings.Replace(placement{at: "other"}.String(), "other", "0ther", 1)} {
		if p, err := parsePlacement(text); !errors.Is(err, errPlacement) {
			t.Errorf("%q is read as %+v, %v", text, p, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := placement{at: rapid.StringMatching(partitionName.String()).Draw(t, "at"),
			other: rapid.OneOf(rapid.Just(""), rapid.StringMatching(partitionName.String())).Draw(t, "other")}
		text := p.String()
		if got, err := parsePlacement(text); err != nil || got != p {
			t.Fatalf("%+v is read as %+v, %v", p, got, err)
		}
		b := []byte(text)
		b[rapid.IntRange(0, len(b)-1).Draw(t, "place")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if got, err := parsePlacement(string(b)); err == nil {
			t.Fatalf("%q, damaged, is read as %+v", b, got)
		}
	})
}

// FuzzPlacement: nothing is read that would be written in another way.
func FuzzPlacement(f *testing.F) {
	f.Add(placement{at: "other", other: DefaultPartition}.String())
	f.Add(placement{at: "a"}.String())
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parsePlacement(text); err == nil && p.String() != text {
			t.Errorf("%q is read as %+v", text, p)
		}
	})
}

// TestPartitionsRefused: configurations with partitions that are none.
func TestPartitionsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"[partitions.default]\nspool = \"x\"\n":                                     "the name",
		"[partitions.Up]\nspool = \"x\"\n":                                          "the name",
		"[partitions.x]\n":                                                          "no root of its own",
		"[partitions.x]\nspool = \"spool\"\n":                                       "no root of its own",
		"[partitions.x]\nspool = \"archive\"\n":                                     "the same directory",
		"[partitions.x]\nspool = \"spool/users/x\"\n":                               "lies inside",
		"[partitions.x]\nspool = \"a\"\n[partitions.y]\nspool = \"a\"\n":            "the same directory",
		"[partitions.x]\nspool = \"a\"\n[partitions.y]\nspool = \"b\"\nnews = \"\"": "unknown key",
	} {
		_, err := Read(strings.NewReader("root = \".\"\nname = \"x\"\n"+text), filepath.Join(t.TempDir(), "slot.toml"))
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// addMoved adds a user who gets letters and then moves to the partition "other".
func (r *running) addMoved(name string, letters int) account.Account {
	t := r.t
	t.Helper()
	r.addUser(name)
	for n := range letters {
		if err := r.deliver(letterOf(n), name+"@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.client.Move(t.Context(), MoveUser{Name: name, To: "other"}); err != nil {
		t.Fatal(err)
	}
	a, err := r.accounts.Lookup(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
