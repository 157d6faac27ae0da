package slot

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// prepared asks for a mailbox and fails the test on an error.
func (r *running) prepared(p PrepareMailbox) (Prepared, []Known) {
	r.t.Helper()
	p.User = "anna"
	out, known, err := r.client.Prepare(r.t.Context(), p)
	if err != nil {
		r.t.Fatal(err)
	}
	return out, known
}

// take imports messages under UIDs.
func (r *running) take(box string, uids ...mailbox.UID) []Outcome {
	r.t.Helper()
	b := &Batch{}
	for i, uid := range uids {
		in := Incoming{UID: uid, Date: time.Unix(1_000_000+int64(uid), 0)}
		if err := b.Add(box, mailbox.MakeFlags("k"), in, fmt.Appendf(nil, "Subject: %d.%d\r\n\r\n", uid, i)); err != nil {
			r.t.Fatal(err)
		}
	}
	out, err := r.client.Import(r.t.Context(), "anna", b, false)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func uidsOf(recs []mailbox.Record) (out []mailbox.UID) {
	for _, r := range recs {
		out = append(out, r.UID)
	}
	return out
}

// TestTransfer takes a mailbox of another server over, in two runs.
func TestTransfer(t *testing.T) {
	r := start(t, newConfig(t, ""), Options{})
	r.addUser("anna")
	p := PrepareMailbox{Name: "Work/Plans", UIDValidity: 4711, HighestModSeq: 1000}
	dry := p
	dry.DryRun = true
	if out, known := r.prepared(dry); !out.Missing || !out.Kept || len(known) > 0 {
		t.Errorf("dry run: %+v, %v", out, known)
	}
	if out, _ := r.prepared(p); !out.Missing || !out.Kept || out.UIDNext != 1 {
		t.Errorf("the first run: %+v", out)
	}
	for i, o := range r.take("Work/Plans", 3, 7, 8) {
		if want := []mailbox.UID{3, 7, 8}[i]; o.UID != want {
			t.Errorf("%+v, want UID %d", o, want)
		}
	}
	if err := r.client.SetFlags(t.Context(), "anna", "Work/Plans", []FlagSet{{"3,8", []string{`\Seen`, "new"}}, {"7", nil}}); err != nil {
		t.Fatal(err)
	}
	if err := r.client.Finish(t.Context(), FinishMailbox{User: "anna", Name: "Work/Plans", UIDNext: 20, Expunge: "8"}); err != nil {
		t.Fatal(err)
	}
	out, known := r.prepared(p)
	if out.Missing || !out.Kept || out.UIDNext != 20 || len(known) != 3 {
		t.Fatalf("the second run: %+v, %+v", out, known)
	}
	for i, want := range []Known{{UID: 3, Flags: []string{`\Seen`, "new"}}, {UID: 7}, {UID: 8, Deleted: true}} {
		got := known[i]
		if got.UID != want.UID || got.Deleted != want.Deleted || !want.Deleted && !slices.Equal(got.Flags, want.Flags) ||
			got.Date != 1_000_000+int64(got.UID) || got.Size == 0 || got.MayBeDelivered() {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	// UIDs that are taken: those messages get others, and nothing is lost.
	outcomes := r.take("Work/Plans", 19, 20, 21)
	if got := uidsOf(r.records("anna", "Work/Plans")); !slices.Equal(got, []mailbox.UID{3, 7, 20, 21, 22}) {
		t.Errorf("UIDs %v, outcomes %+v", got, outcomes)
	}
	if outcomes[0].UID != 20 || outcomes[1].UID != 21 || outcomes[2].UID != 22 {
		t.Errorf("%+v", outcomes)
	}
	if err := r.client.Subscribe(t.Context(), Subscribe{"anna", []string{"Work/Plans", "None"}, []string{"Trash"}}); err != nil {
		t.Fatal(err)
	}
	err := r.withMail(t.Context(), "anna", func(m *mailstore.Mail) error {
		names, err := m.Subscriptions(t.Context())
		if !slices.Contains(names, "Work/Plans") || !slices.Contains(names, "None") || slices.Contains(names, "Trash") {
			t.Errorf("subscriptions %q", names)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestTransferSpecialUse: the use comes along, and no other mailbox keeps it.
func TestTransferSpecialUse(t *testing.T) {
	r := start(t, newConfig(t, ""), Options{})
	r.addUser("anna")
	withSent := func() (names []string) {
		err := r.withMail(t.Context(), "anna", func(m *mailstore.Mail) error {
			all, err := m.Mailboxes(t.Context())
			for _, b := range all {
				if b.SpecialUse == `\Sent` {
					names = append(names, b.Name)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	for _, step := range []struct {
		dry  bool
		name string
		want string
	}{{true, "Trash", "Sent"}, {false, "Sent Items", "Sent Items"}, {false, "Sent", "Sent"}, {false, "Sent", "Sent"}} {
		r.prepared(PrepareMailbox{Name: step.name, UIDValidity: 9, SpecialUse: `\Sent`, DryRun: step.dry})
		if got := withSent(); !slices.Equal(got, []string{step.want}) {
			t.Errorf("%+v: %q", step, got)
		}
	}
	if _, _, err := r.client.Prepare(t.Context(), PrepareMailbox{User: "anna", Name: "x", UIDValidity: 1, SpecialUse: `\All`}); err == nil {
		t.Error("a use that no mailbox has is taken")
	}
}

// TestTransferRefuses: what cannot be kept is said, and nothing is changed by it.
func TestTransferRefuses(t *testing.T) {
	r := start(t, newConfig(t, ""), Options{})
	r.addUser("anna")
	r.take("INBOX", 0)
	before := r.records("anna", "INBOX")
	for _, dry := range []bool{true, false} {
		out, known := r.prepared(PrepareMailbox{Name: "INBOX", UIDValidity: 5, DryRun: dry})
		if out.Kept || out.Reason == "" || len(known) != 1 {
			t.Errorf("%+v, %v", out, known)
		}
	}
	if got := r.records("anna", "INBOX"); !slices.Equal(got, before) {
		t.Errorf("%v, before %v", got, before)
	}
	for name, p := range map[string]PrepareMailbox{
		"a name":  {User: "anna", Name: "a\x01b", UIDValidity: 1},
		"a user":  {User: "nobody", Name: "INBOX", UIDValidity: 1},
		"dry run": {User: "anna", Name: "a\x01b", UIDValidity: 1, DryRun: true},
	} {
		if _, _, err := r.client.Prepare(t.Context(), p); err == nil {
			t.Errorf("%s that cannot be is taken", name)
		}
	}
	if err := r.client.SetFlags(t.Context(), "anna", "INBOX", []FlagSet{{UIDs: "1:x"}}); err == nil {
		t.Error("no set of UIDs is taken for one")
	}
	if err := r.client.Finish(t.Context(), FinishMailbox{User: "anna", Name: "INBOX", Expunge: "*"}); err == nil {
		t.Error("no set of UIDs is taken for one")
	}
}

// TestManyFlagSets are more than one request takes.
func TestManyFlagSets(t *testing.T) {
	r := start(t, newConfig(t, ""), Options{})
	r.addUser("anna")
	r.take("INBOX", 0)
	var sets []FlagSet
	for i := range 20_000 {
		sets = append(sets, FlagSet{UIDs: fmt.Sprint(100 + i), Flags: []string{fmt.Sprintf("a-keyword-of-some-length-for-message-%d", i)}})
	}
	sets = append(sets, FlagSet{UIDs: "1", Flags: []string{"last"}})
	if err := r.client.SetFlags(t.Context(), "anna", "INBOX", sets); err != nil {
		t.Fatal(err)
	}
	if got := r.records("anna", "INBOX")[0].Flags.String(); got != "last" {
		t.Errorf("flags %q", got)
	}
}

// TestSkipExistingAfterForget: what was expunged, and is forgotten, is not there.
func TestSkipExistingAfterForget(t *testing.T) {
	r := start(t, newConfig(t, ""), Options{})
	r.addUser("anna")
	again := func() Outcome {
		b := &Batch{}
		if err := b.Add("INBOX", mailbox.Flags{}, Incoming{}, []byte("Subject: once\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		out, err := r.client.Import(t.Context(), "anna", b, true)
		if err != nil {
			t.Fatal(err)
		}
		return out[0]
	}
	if first, second := again(), again(); first.UID != 1 || !second.Skipped {
		t.Fatalf("%+v, %+v", first, second)
	}
	err := r.withMail(t.Context(), "anna", func(m *mailstore.Mail) error {
		b, err := m.MailboxNamed(t.Context(), "INBOX")
		if err != nil {
			return err
		}
		all := mailbox.UIDRange(1, math.MaxUint32)
		if _, err := m.StoreFlags(t.Context(), "", b.ID, all, mailstore.AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
			return err
		}
		if _, _, err := m.Expunge(t.Context(), "", b.ID, nil); err != nil {
			return err
		}
		n, err := m.Forget(t.Context(), time.Now().Add(time.Hour))
		if n != 1 {
			t.Errorf("%d records forgotten", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if third := again(); third.Skipped || third.UID != 2 {
		t.Errorf("the message is nowhere, and %+v", third)
	}
}
