package search_test

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"teraslot/mailbox"
	"teraslot/message"
	"teraslot/search"
	"teraslot/text"
	"teraslot/tiers"
)

// hostileMails is mail made to go over every limit there is on structure, header and
// what an index takes. All have "needle" in a body, UIDs 1 to 7.
func hostileMails() (mails []*mail) {
	const mixed = "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	for _, raw := range []string{
		"Subject: evil\r\n" + strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 102) + "needle x",
		"Subject: deep\r\n" + strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 5000) + "Subject: x\r\n\r\nneedle deepword2\r\n",
		"Subject: fields\r\n" + strings.Repeat("X: y\r\n", 100_000) + "X-Last: a =?utf-8?q?needl=65?=\r\n\tfolded\r\n\r\nzbody needle\r\n",
		"Subject: header\r\nX-Big: " + strings.Repeat("h", 10<<20) + " hneedle\r\nX-Last: needle folded\r\n\r\nneedle\r\n",
		"Subject: parts\r\n" + mixed + strings.Repeat("--b\r\n\r\nx\r\n", 60_000) + "--b\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
			base64.StdEncoding.EncodeToString([]byte("needle decoded")) + "\r\n--b--\r\n",
		"Subject: images\r\n" + mixed + strings.Repeat("--b\r\nContent-Type: image/png\r\n\r\nx\r\n", 12_000) + "--b\r\n\r\nneedle\r\n--b--\r\n",
		"Subject: inner\r\nContent-Type: message/rfc822\r\n\r\n" + strings.Repeat("X: y\r\n", 60_000) + "X-Inner: word\r\n\r\nneedle\r\n",
	} {
		mails = append(mails, &mail{raw: []byte(raw)})
	}
	return mails
}

// TestHostileMessages: such mail is found by all that can be read of it, whether it
// is in the index, refused by it or unknown to it, and the mail beside it as if it
// were not there.
func TestHostileMessages(t *testing.T) {
	f := newFixture(t, search.Options{})
	hostile, ordinary := hostileMails(), plain("lunch", "at noon, needless to say")
	f.deliver(hostile...)
	f.deliver(ordinary)
	all := []mailbox.UID{1, 2, 3, 4, 5, 6, 7}
	check := func(unknown int) {
		t.Helper()
		for _, c := range []struct {
			q    search.Query
			want []mailbox.UID
		}{
			{search.Header("Subject", "lunch"), []mailbox.UID{8}},
			{search.Body("noon"), []mailbox.UID{8}},
			{search.Header("To", "nobody"), []mailbox.UID{}},
			{search.Or{search.Body("needless"), search.Body("needle")}, append(all, 8)},
			{search.And{search.Body("needle"), search.Not{Key: search.Anywhere("noon")}}, all},
			{search.And{search.Not{Key: search.Body("needle")}, search.Not{Key: search.Body("noon")}}, []mailbox.UID{}},
			{search.And{search.Header("X-Last", "needle folded"), search.Anywhere("")}, []mailbox.UID{3, 4}},
			{search.Header("x-last", ""), []mailbox.UID{3, 4}},
			{search.Header("X-Big", "hneedle"), []mailbox.UID{4}},
			{search.Or{search.Body("zbody"), search.Body("deepword2"), search.Body("needle decoded")}, []mailbox.UID{2, 3, 5}},
			{search.Body("X-Inner: word"), []mailbox.UID{7}},
			{search.Body("hneedle"), []mailbox.UID{}},
		} {
			res, err := f.find(c.q)
			f.must(err)
			if !slices.Equal(res.UIDs, c.want) || res.Stats.Scanned != unknown {
				t.Errorf("%+v: got %v and %+v, want %v and %d scanned", c.q, res.UIDs, res.Stats, c.want, unknown)
			}
		}
	}
	check(8)
	f.index(ordinary)
	check(7)
	var docs []tiers.Doc
	refused := 0
	for _, m := range hostile {
		x, err := message.Extract(t.Context(), bytes.NewReader(m.raw), int64(len(m.raw)), message.Limits{})
		f.must(err)
		if !x.Complete {
			refused++
		}
		docs = append(docs, tiers.Doc{GUID: m.guid, Complete: x.Complete, Units: x.Units})
	}
	f.must(f.tiers.User(user).Commit(t.Context(), docs))
	if refused != 3 {
		t.Errorf("the index refuses %d of the messages, want those with too many units: 3", refused)
	}
	check(refused)
}

// TestManyKeysOfHostileMessage asks many keys of a message that is scanned in one
// pass, also such as match everything or meet only some of its units.
func TestManyKeysOfHostileMessage(t *testing.T) {
	f := newFixture(t, search.Options{})
	f.deliver(&mail{raw: []byte(strings.Repeat("X: y\r\nY: x\r\n", 30_000) + "\r\nend")})
	keys := search.And{search.Anywhere("")}
	for _, k := range []text.Key{text.NewKey(text.InHeader, "x", "y"), text.NewKey(text.InHeader, "y", "x"), text.NewKey(text.InBody, "", "end")} {
		keys = append(keys, search.Text{Key: k}, search.Not{Key: search.Text{Key: text.NewKey(k.Scope, k.Name, k.Pattern+"z")}})
	}
	for _, c := range []struct {
		q    search.Query
		want int
	}{{keys, 1}, {search.Not{Key: keys}, 0}, {search.Not{Key: search.Body("")}, 0}} {
		res, err := f.find(c.q)
		f.must(err)
		if len(res.UIDs) != c.want {
			t.Errorf("%+v: %v", c.q, res.UIDs)
		}
	}
}
