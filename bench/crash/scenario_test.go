package crash

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"teraslot/account"
	"teraslot/bench/daemon"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/squatter"
	"teraslot/tiers"
)

// slotOfSteps is the configuration of slots for steps: the daemon indexes at once,
// and what is large goes to the archive.
const slotOfSteps = "[squatter]\ndelay = \"1ms\"\nbatch = 3\n[jobs]\narchive_larger = \"20KB\"\n" +
	"[partitions.other]\nspool = \"other/spool\"\narchive = \"other/archive\"\n" +
	"[partitions.other.tiers]\ntemp = \"other/temp\"\ndata = \"other/data\"\narchive = \"other/search\"\n"

// scenario is something that a process does when it is killed.
type scenario struct {
	name   string // of what is going on
	victim string // imapd, squatter or slotctl
	before func(p *preparation)
	// act is what imapd is asked for. It ends when that is done, or imapd has.
	act func(t *testing.T, w *world, run int)
	// args are those of another victim, who runs beside a daemon or alone.
	args  func(w *world) []string
	alone bool
	// until, for a victim that does not end by itself, tells when it has done its work.
	until func(k *checker, users []account.Account) (bool, error)
	// after looks at what the victim has left; may be nil.
	after func(t *testing.T, w *world)
}

func squatterArgs(args ...string) func(*world) []string {
	return func(*world) []string { return append(args, "-u", "anna") }
}

var scenarios = []scenario{
	{name: "mail is delivered", victim: "imapd", act: delivery},
	{name: "mail is delivered, copied, moved and expunged", victim: "imapd", act: mailWork},
	{name: "mailboxes are made, renamed and deleted", victim: "imapd", act: mailboxWork},
	{name: "users are made, renamed and removed", victim: "imapd", act: userWork},
	{name: "a user moves to another partition and back", victim: "imapd", before: (*preparation).halfGone, act: moves},
	{name: "a mailbox changes its owner", victim: "imapd", act: handover},
	{name: "messages are indexed", victim: "squatter", before: (*preparation).piled, args: squatterArgs("-i"), alone: true},
	{name: "mail is indexed as it comes", victim: "squatter", before: (*preparation).mail, args: func(*world) []string { return []string{"-R"} }, alone: true, until: indexedAll},
	{name: "temp is compacted to data", victim: "squatter", before: (*preparation).indexed, args: squatterArgs("-z", "data", "-t", "temp,data")},
	{name: "all is compacted to archive", victim: "squatter", before: (*preparation).halfGone, args: squatterArgs("-z", "archive", "-t", "temp,meta,data,archive", "-F")},
	{name: "an index is made anew", victim: "squatter", before: (*preparation).indexed, args: squatterArgs("-z", "data", "-t", "temp,data,archive", "-X")},
	{name: "an index is repaired", victim: "squatter", before: (*preparation).mail, args: squatterArgs("-A", "--repair"), alone: true},
	{name: "mail is archived", victim: "imapd", before: (*preparation).mail, act: job("archive", "--all")},
	{name: "expunged mail is forgotten and packs are rewritten", victim: "imapd", before: (*preparation).halfGone, act: jobs(job("expire", "--all"), job("repack", "--all"))},
	{name: "mail is purged", victim: "imapd", before: (*preparation).halfGone, act: job("purge")},
	{name: "databases are saved", victim: "imapd", before: (*preparation).mail, act: job("snapshot")},
	{name: "a backup is made and older ones are removed", victim: "slotctl", before: (*preparation).backedUp,
		args: backupArgs, after: func(t *testing.T, w *world) { verifyAll(t, backupDir(w)) }},
	{name: "a user's mail is put back from a backup", victim: "slotctl", before: (*preparation).lost,
		args: restoreArgs, alone: true, after: putBack(restoreArgs)},
	{name: "a user's mail is made anew from the nightly copy", victim: "slotctl", before: (*preparation).saved,
		args: reconstructArgs, alone: true, after: putBack(reconstructArgs)},
}

func restoreArgs(w *world) []string { return []string{"restore", backupDir(w), "anna", "--replace"} }

func reconstructArgs(*world) []string { return []string{"reconstruct", "--force", "anna"} }

// putBack looks at mail that was to be put back: there is none, or what there was before,
// or what is marked as put back. Then it is put back by a run that nobody kills.
func putBack(args func(*world) []string) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		t.Helper()
		there := w.recordsOf(t, "anna")
		if there.inode != 0 && there.inode != w.records.inode && there.renewal == w.records.renewal {
			t.Errorf("mail.db of anna is another, and not marked as put back")
		}
		out, err := exec.Command(daemon.Bin(t, "slotctl"), append([]string{"-C", w.slot.Config}, args(w)...)...).CombinedOutput()
		if err != nil {
			t.Errorf("a second time: %v\n%s", err, out)
		}
	}
}

// records is which mail.db a user has.
type records struct {
	inode   uint64 // 0: none
	renewal string // the mark of its last renewal
}

// recordsOf looks at a user's mail.db.
func (w *world) recordsOf(t *testing.T, name string) (out records) {
	t.Helper()
	k := w.checker(t)
	defer k.close()
	a, err := k.accounts.Lookup(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	path := k.config.MailstoreOptions().DatabaseFile(a.ID)
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return out
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.QueryRow("SELECT hex(id) FROM renewal").Scan(&out.renewal)
	if err != nil && !strings.Contains(err.Error(), "no such table") {
		t.Fatal(err)
	}
	out.inode = st.Ino
	return out
}

// indexedAll reports whether nothing of the users' mail waits to be indexed.
func indexedAll(k *checker, users []account.Account) (bool, error) {
	for _, a := range users {
		audit, err := k.squatter.Audit(context.Background(), a.ID)
		if err != nil || len(audit.Missing) > 0 {
			return false, err
		}
	}
	return true, nil
}

func backupArgs(w *world) []string { return []string{"backup", backupDir(w), "--keep", "1"} }

func backupDir(w *world) string { return filepath.Join(filepath.Dir(w.slot.Root), "backups") }

// preparation changes a slot that does not run, in this process.
type preparation struct {
	t     *testing.T
	w     *world
	run   int
	store *mailstore.Store
	k     *checker
	users []account.Account
}

func (w *world) prepare(t *testing.T, run int, before func(*preparation)) {
	t.Helper()
	if before == nil {
		return
	}
	k := w.checker(t)
	defer k.close()
	store, err := mailstore.Open(t.Context(), k.config.MailstoreOptions())
	if err != nil {
		t.Fatal(err)
	}
	p := &preparation{t, w, run, store, k, nil}
	if p.users, err = k.accounts.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	before(p)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// must ends the test on an error.
func (p *preparation) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// mail is new mail for everyone.
func (p *preparation) mail() { p.some(0, 12) }

// some appends messages with the numbers from..to-1 for everyone.
func (p *preparation) some(from, to int) {
	p.each(func(a account.Account, m *mailstore.Mail, inbox mailbox.ID) {
		for i := from; i < to; i++ {
			token, n := fmt.Sprintf("run%dx%sx%dq", p.run, a.Name, i), i*7
			l := p.w.letter(a.Name, token, n)
			msg, err := p.store.Spool(p.t.Context(), strings.NewReader(string(message(token, n))))
			p.must(err)
			_, err = m.Append(p.t.Context(), "", mailstore.Append{Mailbox: inbox, Message: msg})
			p.must(errors.Join(err, msg.Close()))
			l.acked = true
		}
	})
}

// each calls fn for the users who were there from the start.
func (p *preparation) each(fn func(account.Account, *mailstore.Mail, mailbox.ID)) {
	for _, a := range p.users {
		if a.Name != "anna" && a.Name != "brong" {
			continue
		}
		m, err := p.store.Acquire(p.t.Context(), a.ID)
		p.must(err)
		inbox, err := m.MailboxNamed(p.t.Context(), "INBOX")
		p.must(err)
		fn(a, m, inbox.ID)
		m.Release()
	}
}

// indexed is mail that is in the index.
func (p *preparation) indexed() {
	p.mail()
	p.index()
}

func (p *preparation) index() {
	q := squatter.New(squatter.Options{Store: p.store, Tiers: p.k.tiers, Conf: p.k.config.Conf})
	for _, a := range p.users {
		_, err := q.IndexUser(p.t.Context(), a.ID, squatter.IndexOptions{})
		p.must(err)
	}
}

// piled is mail in so many small segments that the next commit merges them.
func (p *preparation) piled() {
	for _, a := range p.users { // so that there are none yet
		_, err := p.k.tiers.User(a.ID).Compact(p.t.Context(), tiers.CompactOptions{Sources: []string{"temp"}, Dest: "data"})
		p.must(err)
	}
	for i := range 7 {
		p.some(i, i+1)
		p.index()
	}
	p.some(7, 9)
}

// backedUp is halfGone, and as it is in a backup.
func (p *preparation) backedUp() {
	p.halfGone()
	cmd := exec.Command(daemon.Bin(p.t, "slotctl"), append([]string{"-C", p.w.slot.Config}, backupArgs(p.w)...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("backup: %v\n%s", err, out)
	}
}

// lost is mail as it is in a backup, which is to be put in its place.
func (p *preparation) lost() {
	p.backedUp()
	p.noteRecords()
}

// saved is mail of which there is a copy of mail.db that has all of it.
func (p *preparation) saved() {
	p.mail()
	p.each(func(_ account.Account, m *mailstore.Mail, _ mailbox.ID) {
		_, err := m.SaveDatabase(p.t.Context())
		p.must(err)
	})
	p.noteRecords()
}

// noteRecords notes which mail.db anna has.
func (p *preparation) noteRecords() { p.w.records = p.w.recordsOf(p.t, "anna") }

// halfGone is indexed mail of which half was expunged.
func (p *preparation) halfGone() {
	p.indexed()
	p.each(func(a account.Account, m *mailstore.Mail, inbox mailbox.ID) {
		view, err := m.View(p.t.Context(), inbox)
		p.must(err)
		var uids []mailbox.UID
		for i, rec := range view.Records {
			if i%2 == 0 {
				content, err := m.Open(p.t.Context(), inbox, rec)
				p.must(err)
				raw := make([]byte, rec.Size)
				_, err = content.ReadAt(raw, 0)
				p.must(errors.Join(err, content.Close()))
				l := p.w.letters[tokenOf(string(raw))]
				l.doomed, l.expunged = true, !l.copied
				uids = append(uids, rec.UID)
			}
		}
		set := mailbox.UIDs(uids...)
		_, err = m.StoreFlags(p.t.Context(), "", inbox, set, mailstore.AddFlags, mailbox.MakeFlags(`\Deleted`), nil)
		p.must(err)
		_, _, err = m.Expunge(p.t.Context(), "", inbox, &set)
		p.must(err)
	})
}

// deliverMeanwhile delivers until stop is called, or the daemon ends.
func (w *world) deliverMeanwhile(t *testing.T, run int) (stop func()) {
	d, err := daemon.DialLMTP(w.slot.LMTP)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	done := make(chan struct{})
	running.Go(func() {
		for n := 0; n < 40; n++ {
			select {
			case <-done:
				return
			default:
			}
			if w.send(d, w.users[n%len(w.users)], fmt.Sprintf("beside%dx%dq", run, n), n) != nil {
				return
			}
		}
	})
	return func() {
		close(done)
		running.Wait()
		d.Close()
	}
}

// delivery delivers to both users.
func delivery(_ *testing.T, w *world, run int) {
	d, err := daemon.DialLMTP(w.slot.LMTP)
	if err != nil {
		return
	}
	defer d.Close()
	for n, number := range []int{0, 7, spooled, 14, 21, 28, 35, 49} {
		if w.send(d, w.users[n%2], fmt.Sprintf("work%dx%dq", run, n), number) != nil {
			return
		}
	}
}

// mailWork delivers, appends, copies, moves and expunges.
func mailWork(t *testing.T, w *world, run int) {
	delivery(t, w, run)
	c, err := w.open("anna")
	if err != nil {
		return
	}
	defer c.Close()
	if w.appendTo(c, fmt.Sprintf("appended%dq", run)) != nil {
		return
	}
	box := fmt.Sprintf("Work%d", run)
	if c.Create(box, nil).Wait() != nil || c.Noop().Wait() != nil {
		return
	}
	last := c.Mailbox().NumMessages
	tokens, err := subjects(c, last, last)
	if err != nil || len(tokens) != 1 {
		return
	}
	l := w.letters[tokens[0]]
	w.change(l, func() { l.copied = true })
	if _, err := c.Copy(imap.SeqSetNum(last), box).Wait(); err != nil {
		return
	}
	if _, err := c.Move(imap.SeqSetNum(last-1), box).Wait(); err != nil {
		return
	}
	if w.expungeSeq(c, 1, 2) != nil {
		return
	}
	w.awaitIndex(c)
}

// awaitIndex searches a few times, which wakes the indexer.
func (w *world) awaitIndex(c *imapclient.Client) {
	for range 5 {
		if _, err := c.UIDSearch(&imap.SearchCriteria{Body: []string{unsent}}, nil).Wait(); err != nil {
			return
		}
	}
}

func (w *world) appendTo(c *imapclient.Client, token string) error {
	l := w.letter("anna", token, 3)
	raw := message(token, 3)
	cmd := c.Append("INBOX", int64(len(raw)), nil)
	if _, err := cmd.Write(raw); err != nil {
		return err
	}
	if err := cmd.Close(); err != nil {
		return err
	}
	if _, err := cmd.Wait(); err != nil {
		return err
	}
	w.change(l, func() { l.acked = true })
	return nil
}

// dial has somebody deliver, and anna look at her mail, until hangUp.
func (w *world) dial() (d *daemon.Deliverer, c *imapclient.Client, hangUp func(), err error) {
	if d, err = daemon.DialLMTP(w.slot.LMTP); err != nil {
		return nil, nil, nil, err
	}
	if c, err = w.slot.DialIMAP("anna", password); err != nil {
		d.Close()
		return nil, nil, nil, err
	}
	return d, c, func() { c.Close(); d.Close() }, nil
}

// mailboxWork makes, fills, renames and deletes a mailbox.
func mailboxWork(t *testing.T, w *world, run int) {
	d, c, hangUp, err := w.dial()
	if err != nil {
		return
	}
	defer hangUp()
	box, token := fmt.Sprintf("Box%d", run), fmt.Sprintf("boxed%dq", run)
	if c.Create(box, nil).Wait() != nil || c.Subscribe(box).Wait() != nil {
		return
	}
	l := w.letter("anna", token, 1)
	if d.Deliver("anna+"+box+"@example.org", message(token, 1)) != nil {
		return
	}
	w.change(l, func() { l.acked = true })
	if c.Rename(box, box+"/renamed", nil).Wait() == nil && c.Rename(box+"/renamed", box+"x", nil).Wait() != nil {
		return
	}
	w.change(l, func() { l.doomed = true })
	if c.Delete(box+"x").Wait() != nil {
		return
	}
	w.change(l, func() { l.expunged = true })
}

// userWork makes, fills, renames and removes a user.
func userWork(t *testing.T, w *world, run int) {
	guest := fmt.Sprintf("guest%d", run)
	ask := func(stdin string, args ...string) error {
		cmd := exec.Command(daemon.Bin(t, "slotctl"), append([]string{"-C", w.slot.Config, "user"}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		return cmd.Run()
	}
	if ask(password+"\n", "add", guest) != nil {
		return
	}
	w.names[guest] = true
	d, err := daemon.DialLMTP(w.slot.LMTP)
	if err != nil {
		return
	}
	defer d.Close()
	token := fmt.Sprintf("guest%dq", run)
	if w.send(d, guest, token, 1) != nil {
		return
	}
	delete(w.names, guest)
	if ask("", "rename", guest, guest+"x") != nil {
		return
	}
	w.names[guest], w.names[guest+"x"] = false, true
	delete(w.names, guest+"x")
	w.letters[token].doomed = true
	if ask("", "del", guest+"x") != nil {
		return
	}
	w.names[guest+"x"], w.letters[token].expunged = false, true
}

// moves has a user move, with mail coming meanwhile. Every other time the user stays there,
// for whatever is done next.
func moves(t *testing.T, w *world, run int) {
	defer w.deliverMeanwhile(t, run)()
	job("user", "move", "anna", "other")(t, w, run)
	if run%2 == 0 {
		job("user", "move", "anna", "default")(t, w, run)
	}
}

// handover gives a mailbox with a message to another user: whatever comes between, one of them has it.
func handover(t *testing.T, w *world, run int) {
	d, c, hangUp, err := w.dial()
	if err != nil {
		return
	}
	defer hangUp()
	box, token := fmt.Sprintf("Given%d", run), fmt.Sprintf("given%dq", run)
	if c.Create(box, nil).Wait() != nil {
		return
	}
	l := w.letter("anna", token, 1)
	if d.Deliver("anna+"+box+"@example.org", message(token, 1)) != nil {
		return
	}
	w.change(l, func() { l.acked = true })
	job("mailbox", "move", "anna", box, "brong")(t, w, run)
}

// job has the daemon do a job by slotctl.
func job(args ...string) func(*testing.T, *world, int) {
	return func(t *testing.T, w *world, _ int) {
		cmd := exec.Command(daemon.Bin(t, "slotctl"), append([]string{"-C", w.slot.Config}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Logf("slotctl %s: %v: %.200s", strings.Join(args, " "), err, out) // as a rule, imapd was killed
		}
	}
}

// jobs does one after the other.
func jobs(all ...func(*testing.T, *world, int)) func(*testing.T, *world, int) {
	return func(t *testing.T, w *world, run int) {
		for _, do := range all {
			do(t, w, run)
		}
	}
}
