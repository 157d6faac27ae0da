package search_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/message"
	"teraslot/search"
	"teraslot/text"
)

var criteria = []search.Criterion{search.ByArrival, search.ByCc, search.ByDate, search.ByFrom, search.BySize, search.BySubject,
	search.ByTo, search.ByDisplayFrom, search.ByDisplayTo}

// compare compares two messages by a criterion as RFC 5256 and RFC 5957 say, from the
// messages themselves.
func (k sortStrings) compare(t testing.TB, by search.Criterion, a, b *mail) int {
	switch by {
	case search.ByArrival:
		return a.internal.Truncate(time.Second).Compare(b.internal.Truncate(time.Second))
	case search.ByDate:
		return a.sent.Truncate(time.Second).Compare(b.sent.Truncate(time.Second))
	case search.BySize:
		return len(a.raw) - len(b.raw)
	}
	return strings.Compare(k.of(t, by, a), k.of(t, by, b))
}

// sortStrings are those that were made already.
type sortStrings map[search.Criterion]map[*mail]string

func (k sortStrings) of(t testing.TB, by search.Criterion, m *mail) string {
	if k[by] == nil {
		k[by] = map[*mail]string{}
	}
	if _, made := k[by][m]; !made {
		k[by][m] = sortString(t, by, m)
	}
	return k[by][m]
}

func sortString(t testing.TB, by search.Criterion, m *mail) string {
	s, err := message.Parse(bytes.NewReader(m.raw), int64(len(m.raw)))
	if err != nil {
		t.Fatal(err)
	}
	e := s.Envelope
	list := map[search.Criterion][]message.Address{search.ByCc: e.Cc, search.ByFrom: e.From, search.ByTo: e.To,
		search.ByDisplayFrom: e.From, search.ByDisplayTo: e.To}[by]
	value := ""
	switch {
	case by == search.BySubject:
		value, _ = message.BaseSubject(message.DecodeHeader(e.Subject))
	case len(list) == 0:
	case by == search.ByDisplayFrom || by == search.ByDisplayTo:
		if value = message.DecodeHeader(list[0].Name); value == "" {
			value = list[0].Mailbox + "@" + list[0].Host
		}
	default:
		value = list[0].Mailbox
	}
	return string(text.Fold(nil, value))
}

// checkSort sorts what a query finds by random keys and compares.
func (f *fixture) checkSort(g generator, made sortStrings, q search.Query) {
	f.t.Helper()
	var by []search.SortKey
	for range 1 + g.IntN(3) {
		by = append(by, search.SortKey{By: pick(g, criteria), Reverse: g.IntN(2) == 0})
	}
	found := f.expect(q)
	want := slices.DeleteFunc(slices.Clone(f.mails), func(m *mail) bool { return !slices.Contains(found, m.uid) })
	slices.SortFunc(want, func(a, b *mail) int {
		for _, k := range by {
			c := made.compare(f.t, k.By, a, b)
			if k.Reverse {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return int(a.uid) - int(b.uid)
	})
	res, err := f.s.Sort(f.t.Context(), search.Request{User: user, Mailbox: f.inbox, Query: q}, by)
	f.must(err)
	var uids []mailbox.UID
	for _, m := range want {
		uids = append(uids, m.uid)
	}
	if !slices.Equal(res.UIDs, uids) {
		f.t.Fatalf("sorted by %v: %v, want %v", by, res.UIDs, uids)
	}
}

// TestSortAgreesWithTheMessages sorts mailboxes to which mail comes and from which it
// goes, with room to keep what is compared and without.
func TestSortAgreesWithTheMessages(t *testing.T) {
	for round := range envInt(t, "COUNT", 6) {
		made := sortStrings{}
		g := newGenerator(uint64(envInt(t, "SEED", 1)*1000 + round))
		f := newFixture(t, search.Options{HeadingBytes: []int64{0, 1, 20_000}[round%3]})
		for range 6 {
			f.deliver(randomMail(g, g.IntN(40), f.mails)...)
			for range 12 {
				f.checkSort(g, made, search.All{})
				f.checkSort(g, made, search.SystemFlag{Flags: mailbox.Seen})
				f.checkSort(g, made, search.UIDs{Set: mailbox.UIDRange(mailbox.UID(1+g.IntN(100)), mailbox.UID(1+g.IntN(100)))})
			}
			f.expunge(g)
		}
	}
}

// TestThreadOverTheStore: threads over the store hold what was found, once each,
// and follow references across deliveries and expunges.
func TestThreadOverTheStore(t *testing.T) {
	f := newFixture(t, search.Options{})
	letter := func(n int, more string) *mail {
		m := plain("letter", "text")
		m.raw = append(fmt.Appendf(nil, "Message-ID: <%d@example.org>\r\n%s", n, more), m.raw...)
		return m
	}
	threads := func(q search.Query) string {
		res, err := f.s.Thread(t.Context(), search.Request{User: user, Mailbox: f.inbox, Query: q}, search.Refs)
		f.must(err)
		var b strings.Builder
		for _, n := range res.Nodes {
			fmt.Fprintf(&b, "%d:%d ", n.UID, n.Children)
		}
		return b.String()
	}
	expect := func(q search.Query, want string) {
		t.Helper()
		if got := threads(q); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	expect(search.All{}, "")
	f.deliver(letter(1, ""), letter(2, "References: <1@example.org>\r\n"))
	expect(search.All{}, "1:1 2:0 ")
	f.deliver(letter(3, "In-Reply-To: <2@example.org>\r\n"), letter(4, "References: <1@example.org>\r\n <2@example.org>\r\n"))
	expect(search.All{}, "1:1 2:2 3:0 4:0 ")
	expect(search.UIDs{Set: mailbox.UIDs(3, 4)}, "0:2 3:0 4:0 ")
	gone := mailbox.UIDs(2)
	_, err := f.mail.StoreFlags(t.Context(), "", f.inbox, gone, mailstore.AddFlags, mailbox.MakeFlags(`\Deleted`), nil)
	f.must(err)
	_, _, err = f.mail.Expunge(t.Context(), "", f.inbox, &gone)
	f.must(err)
	f.mails = slices.Delete(f.mails, 1, 2)
	expect(search.All{}, "1:2 3:0 4:0 ")
}

// TestSearchSeveral: the answers are those of a search of each, and the limits those of
// one search.
func TestSearchSeveral(t *testing.T) {
	f := newFixture(t, search.Options{Limits: search.Limits{Messages: 3}})
	g := newGenerator(7)
	boxes := []mailbox.ID{f.inbox}
	for _, name := range []string{"a", "b"} {
		state, err := f.mail.Create(t.Context(), "", name, "")
		f.must(err)
		boxes = append(boxes, state.ID)
	}
	mails := randomMail(g, 60, nil)
	inbox := f.inbox
	for i, part := range [][]*mail{mails[:20], mails[20:40], mails[40:]} {
		f.inbox = boxes[i]
		f.deliver(part...)
	}
	f.inbox = inbox
	f.index(mails...)
	several := func(q search.Query, ids ...mailbox.ID) ([]*search.Result, error) {
		return f.s.SearchSeveral(t.Context(), search.Several{User: user, Mailboxes: ids,
			Query: func(*mailstore.View) (search.Query, error) { return q, nil }})
	}
	for _, q := range []search.Query{search.All{}, search.Body("a"), search.Anywhere("re"), search.Not{Key: search.Header("subject", "e")},
		search.Fuzzy{Key: search.Anywhere("invoice meet")}, search.Or{search.Fuzzy{Key: search.Body("the")}, search.Not{Key: search.Fuzzy{Key: search.Body("the")}}},
		search.And{search.SystemFlag{Flags: mailbox.Seen}, search.Or{search.Body("b"), search.Larger{Bytes: 900}}}} {
		results, err := several(q, boxes...)
		f.must(err)
		for i, id := range boxes {
			one, err := f.s.Search(t.Context(), search.Request{User: user, Mailbox: id, Query: q})
			f.must(err)
			if !slices.Equal(results[i].UIDs, one.UIDs) {
				t.Errorf("mailbox %d: %v, alone %v", i, results[i].UIDs, one.UIDs)
			}
		}
	}
	results, err := several(search.All{}, boxes[1], "Mnothere", boxes[1])
	if err != nil || results[1] != nil || len(results[0].UIDs) != 20 || len(results[2].UIDs) != 20 {
		t.Errorf("%+v, %v", results, err)
	}
	for i := range 2 {
		f.inbox = boxes[i]
		f.deliver(plain("new", "plover"), plain("newer", "plover"))
	}
	f.inbox = inbox
	if _, err := several(search.Body("plover"), boxes[:2]...); !errors.Is(err, search.ErrLimit) {
		t.Errorf("four messages to be read of at most three: %v", err)
	}
	if results, err := several(search.Body("plover"), boxes[1]); err != nil || len(results[0].UIDs) != 2 {
		t.Errorf("%+v, %v", results, err)
	}
	if _, err := several(search.All{}); err != nil {
		t.Error(err)
	}
	f.sameRelevance(boxes[1:], search.Fuzzy{Key: search.Anywhere("examples org")})
	failure := errors.New("no query")
	_, err = f.s.SearchSeveral(t.Context(), search.Several{User: user, Mailboxes: boxes,
		Query: func(*mailstore.View) (search.Query, error) { return nil, failure }})
	if !errors.Is(err, failure) {
		t.Errorf("%v", err)
	}
}

// sameRelevance: the messages of each mailbox are as relevant as in a search of it alone.
func (f *fixture) sameRelevance(boxes []mailbox.ID, q search.Query) {
	f.t.Helper()
	results, err := f.s.SearchSeveral(f.t.Context(), search.Several{User: user, Mailboxes: boxes, Relevance: true,
		Query: func(*mailstore.View) (search.Query, error) { return q, nil }})
	f.must(err)
	for i, id := range boxes {
		one, err := f.s.Search(f.t.Context(), search.Request{User: user, Mailbox: id, Query: q, Relevance: true})
		f.must(err)
		if !slices.Equal(results[i].UIDs, one.UIDs) || !slices.Equal(results[i].Relevance, one.Relevance) || len(one.UIDs) == 0 {
			f.t.Errorf("mailbox %d: %v %v, alone %v %v", i, results[i].UIDs, results[i].Relevance, one.UIDs, one.Relevance)
		}
	}
}

// TestSortWhileMailComes: sessions that sort and thread while mail comes and goes see
// each message of their view once, in order.
func TestSortWhileMailComes(t *testing.T) {
	f := newFixture(t, search.Options{HeadingBytes: 30_000})
	g := newGenerator(11)
	f.deliver(randomMail(g, 50, nil)...)
	done := make(chan struct{})
	var group errgroup.Group
	for range 3 {
		group.Go(func() error {
			for {
				select {
				case <-done:
					return nil
				default:
				}
				r := search.Request{User: user, Mailbox: f.inbox}
				res, err := f.s.Sort(t.Context(), r, []search.SortKey{{By: search.BySubject}, {By: search.ByFrom}})
				if err != nil {
					return err
				}
				slices.Sort(res.UIDs)
				if len(res.UIDs) != len(res.View.Records) || len(slices.Compact(res.UIDs)) != len(res.View.Records) {
					return fmt.Errorf("%d of %d messages", len(res.UIDs), len(res.View.Records))
				}
				threads, err := f.s.Thread(t.Context(), r, search.References)
				if err != nil {
					return err
				}
				n := 0
				for _, node := range threads.Nodes {
					if node.UID != 0 {
						n++
					}
				}
				if n != len(threads.View.Records) {
					return fmt.Errorf("%d of %d messages in threads", n, len(threads.View.Records))
				}
			}
		})
	}
	for range 15 {
		f.deliver(randomMail(g, 6, f.mails)...)
		f.expunge(g)
	}
	close(done)
	f.must(group.Wait())
}

// TestHeadingsOfOldStructures: what was kept before References were, or is damaged, is
// made from the messages, and the answers are the same.
func TestHeadingsOfOldStructures(t *testing.T) {
	f := newFixture(t, search.Options{})
	for i := range 4 {
		m := plain(fmt.Sprint("letter ", 9-i), "text")
		m.raw = append(fmt.Appendf(nil, "Message-ID: <%d@example.org>\r\nReferences: <%d@example.org>\r\n", i, i-1), m.raw...)
		f.deliver(m)
	}
	f.makeOld()
	view, err := f.mail.View(t.Context(), f.inbox)
	f.must(err)
	encoded, err := f.mail.EncodedStructures(t.Context(), view.Records)
	f.must(err)
	if err := new(message.Heading).Decode(encoded[0]); !errors.Is(err, message.ErrStructure) {
		t.Fatalf("the old structure gives a heading: %v", err)
	}
	r := search.Request{User: user, Mailbox: f.inbox}
	res, err := f.s.Sort(t.Context(), r, []search.SortKey{{By: search.BySubject}})
	if err != nil || !slices.Equal(res.UIDs, []mailbox.UID{4, 3, 2, 1}) {
		t.Errorf("%v, %v", res, err)
	}
	threads, err := f.s.Thread(t.Context(), r, search.Refs)
	if err != nil || !slices.Equal(threads.Nodes, []search.ThreadNode{{UID: 1, Children: 1}, {UID: 2, Children: 1}, {UID: 3, Children: 1}, {UID: 4}}) {
		t.Errorf("%v, %v", threads, err)
	}
}

// makeOld rewrites the kept structures as version 1 had them, but for the last, which it
// damages.
func (f *fixture) makeOld() {
	f.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(f.dir, "conf", user.Dir(), "mail.db"))
	f.must(err)
	defer db.Close()
	for num, m := range f.mails {
		s, err := message.Parse(bytes.NewReader(m.raw), int64(len(m.raw)))
		f.must(err)
		with, err := s.AppendBinary(nil)
		f.must(err)
		s.References = nil
		without, err := s.AppendBinary(nil)
		f.must(err)
		// The empty list of references is one octet, where the two begin to differ.
		at := 0
		for with[at] == without[at] {
			at++
		}
		old := slices.Concat([]byte{1}, without[1:at], without[at+1:])
		_, err = message.UnmarshalStructure(old)
		f.must(err)
		key := binary.BigEndian.AppendUint64(nil, uint64(num+1))
		crc := crc32.Checksum(append(key, old...), crc32.MakeTable(crc32.Castagnoli))
		if num == len(f.mails)-1 {
			crc++
		}
		done, err := db.Exec("UPDATE structure SET data = ?, crc = ? WHERE num = ?", old, int64(crc), num+1)
		f.must(err)
		if n, err := done.RowsAffected(); n != 1 || err != nil {
			f.t.Fatalf("structure %d: %d rows, %v", num+1, n, err)
		}
	}
	f.spoiled = true
}

// TestDamagedRecordIsNoMiss: a message whose record is damaged fails every search of its
// mailbox, alone or with others, and none of another.
func TestDamagedRecordIsNoMiss(t *testing.T) {
	f := newFixture(t, search.Options{})
	f.deliver(plain("a", "x"), plain("b", "x"))
	other, err := f.mail.Create(t.Context(), "", "other", "")
	f.must(err)
	db, err := sql.Open("sqlite", filepath.Join(f.dir, "conf", user.Dir(), "mail.db"))
	f.must(err)
	defer db.Close()
	_, err = db.Exec("UPDATE message SET crc = crc + 1 WHERE id & 0xFFFFFFFF = 1")
	f.must(err)
	f.spoiled = true
	r := search.Request{User: user, Mailbox: f.inbox}
	var damage *mailstore.Damage
	if _, err := f.s.Sort(t.Context(), r, []search.SortKey{{By: search.ByDate}}); !errors.As(err, &damage) || damage.UID != 1 {
		t.Errorf("SORT: %v", err)
	}
	if _, err := f.s.Thread(t.Context(), r, search.Refs); !errors.As(err, &damage) || damage.UID != 1 {
		t.Errorf("THREAD: %v", err)
	}
	several := search.Several{User: user, Mailboxes: []mailbox.ID{other.ID, f.inbox},
		Query: func(*mailstore.View) (search.Query, error) { return search.All{}, nil }}
	if res, err := f.s.SearchSeveral(t.Context(), several); !errors.As(err, &damage) || damage.UID != 1 {
		t.Errorf("several: %v, %v", res, err)
	}
	several.Mailboxes = several.Mailboxes[:1]
	if _, err := f.s.SearchSeveral(t.Context(), several); err != nil {
		t.Errorf("the other mailbox: %v", err)
	}
}

// TestSortByRelevancy: the best match comes first (RFC 6203 §6), equal ones in the order
// of the mailbox, and each keeps its score.
func TestSortByRelevancy(t *testing.T) {
	f := newFixture(t, search.Options{})
	var mails []*mail
	for i := range 30 {
		mails = append(mails, plain(strings.Repeat("running ", i%3), strings.Repeat("words ", i)+strings.Repeat("runs ", i%4)))
	}
	f.deliver(mails...)
	f.index(mails[:20]...)
	r := search.Request{User: user, Mailbox: f.inbox, Query: search.Fuzzy{Key: search.Anywhere("running")}, Relevance: true}
	found, err := f.s.Search(t.Context(), r)
	f.must(err)
	score := map[mailbox.UID]float32{}
	for i, uid := range found.UIDs {
		score[uid] = found.Relevance[i]
	}
	r.Relevance = false // asked for by the key
	for _, reverse := range []bool{false, true} {
		res, err := f.s.Sort(t.Context(), r, []search.SortKey{{By: search.ByRelevancy, Reverse: reverse}})
		f.must(err)
		if len(res.UIDs) != len(found.UIDs) || len(res.Relevance) != len(res.UIDs) || len(res.UIDs) < 20 {
			t.Fatalf("%d messages with %d scores, of %d", len(res.UIDs), len(res.Relevance), len(found.UIDs))
		}
		for i, uid := range res.UIDs {
			if res.Relevance[i] != score[uid] {
				t.Errorf("UID %d has the score %v, found with %v", uid, res.Relevance[i], score[uid])
			}
			if i == 0 {
				continue
			}
			before := res.Relevance[i-1]
			if better := before > res.Relevance[i]; before != res.Relevance[i] && better == reverse || before == res.Relevance[i] && res.UIDs[i-1] > uid {
				t.Errorf("reverse %t: UID %d with %v before UID %d with %v", reverse, res.UIDs[i-1], before, uid, res.Relevance[i])
			}
		}
	}
}

// TestSortIsCutShort: no answer comes of a sort whose client has gone or whose time is
// over.
func TestSortIsCutShort(t *testing.T) {
	f := newFixture(t, search.Options{Limits: search.Limits{Time: time.Nanosecond}})
	f.deliver(plain("a", "x"), plain("b", "x"))
	r := search.Request{User: user, Mailbox: f.inbox}
	if res, err := f.s.Sort(t.Context(), r, []search.SortKey{{By: search.BySubject}}); !errors.Is(err, search.ErrLimit) {
		t.Errorf("%v, %v", res, err)
	}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if res, err := f.s.Thread(ctx, r, search.References); !errors.Is(err, gone) {
		t.Errorf("%v, %v", res, err)
	}
}
