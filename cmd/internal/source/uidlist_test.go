package source

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"teraslot/cmd/internal/transfer"
	"teraslot/mailbox"
)

// TestUIDs reads a Maildir as Dovecot leaves it: version 3, extension fields, flags in
// names that are out of date, files that are not listed yet, lists of files that are gone.
func TestUIDs(t *testing.T) {
	dir := write(t, map[string]string{
		"cur/1.a,S=6,W=8:2,S":                  "A: 1\n\n",
		"cur/2.b:2,Fa":                         "B: 2\n\n",
		"new/3.c":                              "C: 3\n\n",
		"dovecot-uidlist":                      "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n7 W8 S6 :1.a,S=6,W=8\n9 :2.b:2,S\n25006 :gone\n",
		"dovecot-keywords":                     "0 work\n",
		"subscriptions":                        "V\t2\n\nINBOX\nLists\tv1.0\n",
		`.Lists.v1\2e0 \5c&-x/cur/4.d:2,`:      "D: 4\n\n",
		`.Lists.v1\2e0 \5c&-x/dovecot-uidlist`: "1 55 3\n2 4.d:2,S\n",
		".Old/cur/5.e:2,":                      "E: 5\n\n",
	})
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	from, found, err := s.UIDs()
	if err != nil || !found {
		t.Fatal(found, err)
	}
	list, err := from.List(t.Context())
	if err != nil || !list.Known || !slices.Equal(list.Subscriptions, []string{"", "Lists/v1.0"}) {
		t.Errorf("%+v, %v", list, err)
	}
	session, err := from.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range list.Mailboxes {
		box, messages, err := session.Open(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("V%d N%d", box.UIDValidity, box.UIDNext)
		err = session.Fetch(t.Context(), messages, func(m transfer.Message, body []byte, err error) error {
			if err != nil || time.Since(m.Date) > time.Hour {
				t.Errorf("%+v, %v", m, err)
			}
			text += fmt.Sprintf("; %d %q %q", m.UID, m.Flags, body[:4])
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		got[p.Here] = text
	}
	want := map[string]string{
		"":               `V1275660208 N25022; 7 "\\Seen" "A: 1"; 9 "\\Flagged work" "B: 2"; 0 "" "C: 3"`,
		`Lists/v1.0 \&x`: `V55 N3; 2 "" "D: 4"`,
		"Old":            `V0 N0; 0 "" "E: 5"`,
	}
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%q: %s\nwant %s", name, got[name], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%q", got)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}

// connected opens a Maildir with its UIDs.
func connected(t *testing.T, dir string) (*Source, transfer.Session) {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	from, _, err := s.UIDs()
	if err != nil {
		t.Fatal(err)
	}
	session, err := from.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, session
}

// TestServedAsItIs: where UIDs are kept the message is, octet by octet, the one that clients
// have under them, a line that looks like an mbox's at its top too.
func TestServedAsItIs(t *testing.T) {
	const text = "From a@b Mon Jan  6 10:20:30 2020\nA: 1\n\n>From me\n\n"
	dir := write(t, map[string]string{"cur/1.a:2,S": text, "dovecot-uidlist": "3 V5 N8\n7 :1.a:2,S\n"})
	s, session := connected(t, dir)
	_, messages, err := session.Open(t.Context(), transfer.Place{There: s.path})
	if err != nil || len(messages) != 1 {
		t.Fatal(messages, err)
	}
	err = session.Fetch(t.Context(), messages, func(m transfer.Message, body []byte, err error) error {
		if want := strings.ReplaceAll(text, "\n", "\r\n"); string(body) != want || err != nil {
			t.Errorf("%q, %v, want %q", body, err, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	// Without UIDs there is nothing to be kept, and the line is no part of the mail.
	if got := bodies(items(t, dir, Options{})); !slices.Equal(got, []string{"A: 1\n\n>From me\n\n"}) {
		t.Errorf("read as mail: %q", got)
	}
}

// TestNoUIDs: other sources have none.
func TestNoUIDs(t *testing.T) {
	dir := write(t, map[string]string{"cur/1.a:2,": "A: 1\n\n"})
	for _, o := range []Options{{}, {Format: Directory}} {
		s, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		if _, found, err := s.UIDs(); found || err != nil {
			t.Errorf("%s: %t, %v", s.Format(), found, err)
		}
	}
}

// TestFolderGone: a Maildir that changes while it is read.
func TestFolderGone(t *testing.T) {
	dir := write(t, map[string]string{"cur/1.a:2,": "A: 1\n\n", "cur/2.b:2,": "B: 1\n\n", "dovecot-uidlist": "3 V5 N3\n1 :1.a\n2 :2.b\n"})
	_, session := connected(t, dir)
	path, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, messages, err := session.Open(t.Context(), transfer.Place{There: path})
	if err != nil || len(messages) != 2 {
		t.Fatal(messages, err)
	}
	if err := os.Remove(filepath.Join(dir, "cur/1.a:2,")); err != nil {
		t.Fatal(err)
	}
	bad, good := 0, 0
	err = session.Fetch(t.Context(), messages, func(_ transfer.Message, _ []byte, err error) error {
		if err != nil {
			bad++
		} else {
			good++
		}
		return nil
	})
	if bad != 1 || good != 1 || err != nil {
		t.Errorf("%d bad, %d good, %v", bad, good, err)
	}
	if _, _, err := session.Open(t.Context(), transfer.Place{There: "elsewhere"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func FuzzUIDList(f *testing.F) {
	f.Add("3 V1 N5 Gabc\n1 W5 :a:2,S\n4 :b\n")
	f.Add("1 7 9\n3 x\n")
	f.Add("3 V1 N5\n2 :a\n1 :b\n")
	f.Add("3 V0 N0\n")
	f.Add("2 V1 N1\n")
	f.Add("3 V1 N1\n4294967295 :a\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseUIDs(bufio.NewScanner(strings.NewReader(text)))
		if err != nil {
			return
		}
		if list.UIDValidity == 0 || list.UIDNext == 0 {
			t.Errorf("%+v", list.Mailbox)
		}
		seen := map[mailbox.UID]string{}
		for name, uid := range list.uids {
			if uid == 0 || uid >= list.UIDNext || seen[uid] != "" {
				t.Errorf("UID %d of %q and %q, next %d", uid, name, seen[uid], list.UIDNext)
			}
			seen[uid] = name
		}
	})
}

// TestStorageNames are read as the exporter writes them.
func TestStorageNames(t *testing.T) {
	for path, want := range map[string]string{
		".":                    "",
		".A.B":                 "A/B",
		`.v1\2e0`:              "v1.0",
		`.a\5cb`:               `a\b`,
		`.a\2fb`:               `a\2fb`,
		`.a\00b`:               `a\00b`,
		`.a\zzb`:               `a\zzb`,
		`.a\2`:                 `a\2`,
		`.Gr&APwA3w-e &- v\2e`: "Grüße & v.",
		"A/B.C":                "A/B.C",
	} {
		if got := folderName(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
