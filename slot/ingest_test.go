package slot

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// records returns what a mailbox holds.
func (r *running) records(user, box string) []mailbox.Record {
	r.t.Helper()
	var out []mailbox.Record
	err := r.withMail(r.t.Context(), user, func(m *mailstore.Mail) error {
		st, err := m.MailboxNamed(r.t.Context(), box)
		if err != nil {
			return err
		}
		v, err := m.View(r.t.Context(), st.ID)
		if err == nil {
			out = v.Records
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func TestImport(t *testing.T) {
	r := start(t, newConfig(t, "max_message = \"10kB\"\n"), Options{})
	r.addUser("anna")
	b := &Batch{}
	given := time.Date(2011, 2, 3, 4, 5, 6, 0, time.FixedZone("", 7200))
	flags := mailbox.MakeFlags(`\Seen`, "work")
	for _, x := range []struct {
		box, body string
		date      time.Time
	}{
		{"INBOX", "A: given\r\n\r\n", given},
		{"Old/Deep", "Received: from a by b;\r\n\tWed, 5 May 2010 10:00:00 +0100\r\nReceived: from x by a; Tue, 4 May 2010 10:00:00 +0100\r\nDate: Mon, 3 May 2010 10:00:00 +0100\r\n\r\n", time.Time{}},
		{"INBOX", "Date: Mon, 3 May 2010 10:00:00 +0100\r\n\r\n", time.Time{}},
		{"INBOX", strings.Repeat("too big\r\n", 2000), time.Time{}},
		{"bad\x01name", "A: 5\r\n\r\n", time.Time{}},
		{"INBOX", "A: nothing known\r\n\r\n", time.Time{}},
	} {
		if err := b.Add(x.box, flags, Incoming{Date: x.date}, []byte(x.body)); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now().Add(-time.Second)
	outcomes, err := r.client.Import(t.Context(), "anna", b, false)
	if err != nil || len(outcomes) != 6 {
		t.Fatalf("%v, %v", outcomes, err)
	}
	for i, o := range outcomes {
		if bad := i == 3 || i == 4; bad != (o.Error != "") || bad != (o.UID == 0) || o.Skipped {
			t.Errorf("message %d: %+v", i, o)
		}
	}
	inbox, old := r.records("anna", "INBOX"), r.records("anna", "Old/Deep")
	if len(inbox) != 3 || len(old) != 1 {
		t.Fatalf("%d and %d messages", len(inbox), len(old))
	}
	if d := inbox[0].InternalDate.Time(); !d.Equal(given) || inbox[0].InternalDate.Zone != 120 || inbox[0].Flags != flags {
		t.Errorf("%+v", inbox[0])
	}
	if d := old[0].InternalDate.Time(); !d.Equal(time.Date(2010, 5, 5, 9, 0, 0, 0, time.UTC)) {
		t.Errorf("of the topmost Received: %v", d)
	}
	if d := inbox[1].InternalDate.Time(); !d.Equal(time.Date(2010, 5, 3, 9, 0, 0, 0, time.UTC)) {
		t.Errorf("of Date: %v", d)
	}
	if d := inbox[2].InternalDate.Time(); d.Before(begun) {
		t.Errorf("of now: %v", d)
	}
}

func TestImportSkipsExisting(t *testing.T) {
	r := start(t, newConfig(t, ""), Options{})
	r.addUser("anna")
	run := func(skip bool, box string, bodies ...string) (stored, skipped int) {
		t.Helper()
		outcomes, err := r.client.Import(t.Context(), "anna", batch(t, Incoming{Mailbox: box}, mailbox.Flags{}, bodies...), skip)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outcomes {
			if o.Skipped {
				skipped++
			} else if o.UID > 0 {
				stored++
			}
		}
		return stored, skipped
	}
	for i, x := range []struct {
		skip            bool
		box             string
		bodies          []string
		stored, skipped int
	}{
		{true, "INBOX", []string{"a", "b", "a"}, 2, 1},
		{true, "INBOX", []string{"b", "c"}, 1, 1},
		{true, "Other", []string{"a"}, 1, 0},
		{false, "INBOX", []string{"a"}, 1, 0},
		{true, "INBOX", []string{"a", "b", "c", "d"}, 1, 3},
	} {
		if stored, skipped := run(x.skip, x.box, x.bodies...); stored != x.stored || skipped != x.skipped {
			t.Errorf("step %d: %d stored, %d skipped", i, stored, skipped)
		}
	}
	// What was expunged may come again; of two copies, one still counts.
	err := r.withMail(t.Context(), "anna", func(m *mailstore.Mail) error {
		st, err := m.MailboxNamed(t.Context(), "INBOX")
		if err != nil {
			return err
		}
		gone := mailbox.UIDs(1, 2) // a copy of "a", and "b"
		if _, err := m.StoreFlags(t.Context(), "", st.ID, gone, mailstore.AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
			return err
		}
		_, _, err = m.Expunge(t.Context(), "", st.ID, &gone)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if stored, skipped := run(true, "INBOX", "a", "b"); stored != 1 || skipped != 1 {
		t.Errorf("after expunge: %d stored, %d skipped", stored, skipped)
	}
}

func TestImportOverQuotaStoresWhatFits(t *testing.T) {
	r := start(t, newConfig(t, ""), Options{})
	if err := r.client.AddUser(t.Context(), AddUser{Name: "anna", Password: "x", Quota: &account.Quota{Messages: 3}}); err != nil {
		t.Fatal(err)
	}
	outcomes, err := r.client.Import(t.Context(), "anna", batch(t, Incoming{Mailbox: "INBOX"}, mailbox.Flags{}, "a", "b", "c", "d", "e"), false)
	if err == nil || !strings.Contains(err.Error(), mailstore.ErrOverQuota.Error()) || len(outcomes) != 3 {
		t.Errorf("%v, %v", outcomes, err)
	}
	if n := len(r.records("anna", "INBOX")); n != 3 {
		t.Errorf("%d messages", n)
	}
}

func TestImportForNobody(t *testing.T) {
	r := start(t, newConfig(t, ""), Options{})
	_, err := r.client.Import(t.Context(), "nobody", batch(t, Incoming{Mailbox: "INBOX"}, mailbox.Flags{}, "a"), false)
	var remote *RemoteError
	if !errors.As(err, &remote) || remote.Status != http.StatusNotFound {
		t.Errorf("%v", err)
	}
}

// TestImportCutShort: a request that ends in the middle of a message stores the
// whole ones before it at most, and never a part.
func TestImportCutShort(t *testing.T) {
	r := start(t, newConfig(t, ""), Options{})
	r.addUser("anna")
	b := batch(t, Incoming{Mailbox: "INBOX"}, mailbox.Flags{}, "first message", "second message")
	whole := b.body.Bytes()
	for _, n := range []int{0, 5, len(whole) - 40, len(whole) - 1} {
		before := len(r.records("anna", "INBOX"))
		body, err := r.client.ask(t.Context(), http.MethodPost, "/import?user=anna", bytes.NewReader(whole[:n]))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil {
			t.Fatal(err)
		}
		if cut := strings.Contains(string(text), `"Error":"`) && !strings.Contains(string(text), `"Error":""`); cut != (n > 0) {
			t.Errorf("%d bytes: %s", n, text)
		}
		for _, rec := range r.records("anna", "INBOX")[before:] {
			if rec.GUID != mailbox.GUIDOf([]byte("first message")) {
				t.Errorf("%d bytes: a message of %d bytes", n, rec.Size)
			}
		}
	}
}

func FuzzReadIncoming(f *testing.F) {
	f.Add([]byte("{\"Mailbox\":\"INBOX\",\"Size\":3}\nabc"))
	f.Add([]byte("{}\n"))
	f.Add([]byte("{\"Size\":-1}\n"))
	f.Add([]byte("null\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		for {
			in, err := readIncoming(r)
			if err != nil {
				return
			}
			if in.Size < 0 {
				t.Fatalf("size %d", in.Size)
			}
			if n, _ := io.CopyN(io.Discard, r, in.Size); n < in.Size {
				return
			}
		}
	})
}
