package wire

import (
	"errors"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"teraslot/mailbox"
)

// converse runs use against a server that answers each command by answer and
// then OK, and returns the commands.
func converse(t *testing.T, caps string, answer func(w *Writer, r *Reader, c Command), use func(c *imapclient.Client)) []Command {
	t.Helper()
	near, far := net.Pipe()
	commands := make(chan []Command, 1)
	go func() { commands <- serve(t, near, caps, answer) }()
	c := imapclient.New(far, nil)
	if err := c.WaitGreeting(); err != nil {
		t.Fatal(err)
	}
	use(c)
	if err := c.Logout().Wait(); err != nil {
		t.Errorf("LOGOUT: %v", err)
	}
	got := <-commands
	c.Close()
	return got[:len(got)-1]
}

func serve(t *testing.T, conn net.Conn, caps string, answer func(w *Writer, r *Reader, c Command)) (got []Command) {
	w := NewWriter(conn)
	r := NewReader(conn, Options{Continue: func() error { w.Continue("Go on"); return w.Flush() }})
	ok := imap.StatusResponseTypeOK
	w.Untagged(Reply{imap.StatusResponseTypePreAuth, Code("CAPABILITY " + caps), "Hello"})
	w.Flush()
	for {
		req, err := r.Next()
		if err != nil {
			t.Errorf("reading: %v", err)
			conn.Close()
			return append(got, &Logout{})
		}
		got = append(got, req.Command)
		if answer != nil {
			answer(w, r, req.Command)
		}
		w.Tagged(req.Tag, Reply{Type: ok, Text: req.Command.Name() + " completed"})
		if err := w.Flush(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("writing: %v", err)
		}
		if _, ok := req.Command.(*Logout); ok {
			return got
		}
	}
}

func wantCommands(t *testing.T, got []Command, want ...Command) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("read %d commands, want %d: %v", len(got), len(want), got)
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("read %#v\nwant %#v", got[i], want[i])
		}
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		return v
	}
}

func TestClientListsMailboxes(t *testing.T) {
	answer := func(w *Writer, _ *Reader, c Command) {
		switch c.(type) {
		case *List:
			w.List(&ListEntry{Attrs: []imap.MailboxAttr{imap.MailboxAttrSent}, Delimiter: '/', Mailbox: `Entwürfe & "Co"/日本`, ChildInfo: []string{"SUBSCRIBED"}})
			w.Status(`Entwürfe & "Co"/日本`, []StatusValue{{Item: StatusMessages, Number: 7}})
		case *Status:
			w.Status("INBOX", []StatusValue{{Item: StatusMessages, Number: 17}, {Item: StatusUIDNext, Number: 4294967295}, {Item: StatusSize, Number: 1 << 40}, {Item: StatusHighestModSeq, Number: 9}})
		case *Namespace:
			w.Namespace([]NamespaceEntry{{"", '/'}}, nil, []NamespaceEntry{{"#shared/", '/'}})
		}
	}
	got := converse(t, "IMAP4rev1 LIST-EXTENDED LIST-STATUS NAMESPACE CONDSTORE", answer, func(c *imapclient.Client) {
		list := must[[]*imap.ListData](t)(c.List("", "Entwürfe/%", &imap.ListOptions{SelectSubscribed: true, SelectRecursiveMatch: true, ReturnChildren: true, ReturnStatus: &imap.StatusOptions{NumMessages: true}}).Collect())
		if len(list) != 1 || list[0].Mailbox != `Entwürfe & "Co"/日本` || list[0].Delim != '/' || list[0].ChildInfo == nil || !list[0].ChildInfo.Subscribed ||
			list[0].Status == nil || *list[0].Status.NumMessages != 7 || list[0].Attrs[0] != imap.MailboxAttrSent {
			t.Errorf("LIST: %+v", list)
		}
		st := must[*imap.StatusData](t)(c.Status("INBOX", &imap.StatusOptions{NumMessages: true, UIDNext: true, Size: true}).Wait())
		if *st.NumMessages != 17 || st.UIDNext != 4294967295 || *st.Size != 1<<40 {
			t.Errorf("STATUS: %+v", st)
		}
		ns := must[*imap.NamespaceData](t)(c.Namespace().Wait())
		if len(ns.Personal) != 1 || len(ns.Other) != 0 || ns.Shared[0].Prefix != "#shared/" {
			t.Errorf("NAMESPACE: %+v", ns)
		}
		for _, err := range []error{c.Create("R&D", nil).Wait(), c.Rename("R&D", "日本", nil).Wait(), c.Subscribe("日本").Wait(), c.Unsubscribe("日本").Wait(), c.Delete("日本").Wait()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	if st, ok := got[1].(*Status); ok {
		slices.Sort(st.Items) // the client has no order
	}
	wantCommands(t, got,
		&List{Patterns: []string{"Entwürfe/%"}, Extended: true, Select: ListSelect{Subscribed: true, RecursiveMatch: true}, Return: ListReturn{Children: true, Status: []StatusItem{StatusMessages}}},
		&Status{"INBOX", []StatusItem{StatusMessages, StatusSize, StatusUIDNext}}, &Namespace{},
		&Create{Mailbox: "R&D"}, &Rename{"R&D", "日本"}, &Subscribe{"日本"}, &Unsubscribe{"日本"}, &Delete{"日本"})
}

func TestClientSelects(t *testing.T) {
	ok := imap.StatusResponseTypeOK
	answer := func(w *Writer, _ *Reader, c Command) {
		if _, selects := c.(*Select); !selects {
			return
		}
		w.Exists(172)
		w.Flags([]string{`\Seen`, "$x"})
		w.Untagged(Reply{ok, UIDValidityCode(3857529045), ""})
		w.Untagged(Reply{ok, UIDNextCode(4392), ""})
		w.Untagged(Reply{ok, HighestModSeqCode(715194045007), ""})
		w.Untagged(Reply{ok, PermanentFlagsCode([]string{`\Deleted`, `\*`}), ""})
	}
	got := converse(t, "IMAP4rev1 CONDSTORE UNSELECT", answer, func(c *imapclient.Client) {
		d := must[*imap.SelectData](t)(c.Select("INBOX", &imap.SelectOptions{ReadOnly: true, CondStore: true}).Wait())
		want := &imap.SelectData{Flags: []imap.Flag{imap.FlagSeen, "$x"}, PermanentFlags: []imap.Flag{imap.FlagDeleted, imap.FlagWildcard},
			NumMessages: 172, UIDNext: 4392, UIDValidity: 3857529045, HighestModSeq: 715194045007}
		if !reflect.DeepEqual(d, want) {
			t.Errorf("SELECT: %+v", d)
		}
		if err := c.Unselect().Wait(); err != nil {
			t.Error(err)
		}
	})
	wantCommands(t, got, &Select{Mailbox: "INBOX", ReadOnly: true, CondStore: true}, &Unselect{})
}

func TestClientSearches(t *testing.T) {
	answer := func(w *Writer, _ *Reader, c Command) {
		switch s := c.(type) {
		case *Search:
			if s.Return != nil {
				w.ESearch(&ESearchResult{Tag: "T2", UID: s.UID, Min: 2, Max: 84, Count: ptr(uint32(3)), All: mailbox.UIDs(2, 84, 85)})
				return
			}
			w.Numbers("SEARCH", slices.Values([]uint32{2, 84, 882}), 0)
		case *Sort:
			w.Numbers("SORT", slices.Values([]uint32{84, 2}), 0)
		case *Thread:
			w.Threads(threads())
		}
	}
	criteria := &imap.SearchCriteria{
		UID: []imap.UIDSet{{{Start: 1, Stop: 0}}}, Since: time.Date(1994, 2, 1, 0, 0, 0, 0, time.UTC),
		Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "a b"}, {Key: "X-Y", Value: ""}},
		Body:   []string{"schön"}, Flag: []imap.Flag{imap.FlagSeen}, NotFlag: []imap.Flag{"kw"}, Larger: 10,
		Not: []imap.SearchCriteria{{Text: []string{"x"}}}, Or: [][2]imap.SearchCriteria{{{Smaller: 5}, {Flag: []imap.Flag{"kw2"}}}},
	}
	got := converse(t, "IMAP4rev1 ESEARCH SORT THREAD=REFERENCES", answer, func(c *imapclient.Client) {
		if d := must[*imap.SearchData](t)(c.Search(&imap.SearchCriteria{}, nil).Wait()); !slices.Equal(d.AllSeqNums(), []uint32{2, 84, 882}) {
			t.Errorf("SEARCH: %+v", d)
		}
		d := must[*imap.SearchData](t)(c.UIDSearch(criteria, &imap.SearchOptions{ReturnAll: true, ReturnMin: true, ReturnMax: true, ReturnCount: true}).Wait())
		if d.Min != 2 || d.Max != 84 || d.Count != 3 || d.All.String() != "2,84:85" {
			t.Errorf("ESEARCH: %+v", d)
		}
		sorted := must[[]uint32](t)(c.UIDSort(&imapclient.SortOptions{SortCriteria: []imapclient.SortCriterion{{Key: imapclient.SortKeyDate, Reverse: true}}, SearchCriteria: &imap.SearchCriteria{}}).Wait())
		if !slices.Equal(sorted, []uint32{84, 2}) {
			t.Errorf("SORT: %v", sorted)
		}
		th := must[[]imapclient.ThreadData](t)(c.Thread(&imapclient.ThreadOptions{Algorithm: imap.ThreadReferences, SearchCriteria: &imap.SearchCriteria{}}).Wait())
		if len(th) != 2 || !slices.Equal(th[1].Chain, []uint32{3, 6}) || len(th[1].SubThreads) != 2 {
			t.Errorf("THREAD: %+v", th)
		}
	})
	all := And{All{}}
	if len(got) != 4 {
		t.Fatalf("read %v", got)
	}
	wantCommands(t, slices.Delete(slices.Clone(got), 1, 2), &Search{Criteria: Criteria{Key: all}},
		&Sort{UID: true, By: []SortKey{{"DATE", true}}, Criteria: Criteria{"UTF-8", all}}, &Thread{Algorithm: imap.ThreadReferences, Criteria: Criteria{"UTF-8", all}})
	s := got[1].(*Search)
	for _, want := range []SearchKey{
		UIDs{set(SetRange{1, Star})}, Day{Rel: Since, Date: dayOf(1994, 2, 1)}, Text{Field: TextSubject, Value: "a b"},
		Text{Field: TextHeader, Name: "X-Y"}, Text{Field: TextBody, Value: "schön"}, HasFlag{`\Seen`}, Not{HasFlag{"kw"}}, Larger{10},
		Not{Text{Value: "x"}}, Or{Smaller{5}, HasFlag{"kw2"}},
	} {
		if !slices.ContainsFunc(s.Key, func(k SearchKey) bool { return reflect.DeepEqual(k, want) }) {
			t.Errorf("%#v is not in %#v", want, s.Key)
		}
	}
	if s.Charset != "UTF-8" || !reflect.DeepEqual(s.Return, &Return{Min: true, Max: true, All: true, Count: true}) {
		t.Errorf("%q, %+v", s.Charset, s.Return)
	}
}

func TestClientFetches(t *testing.T) {
	st := parsed(t, crlf(oddMail))
	date := mailbox.Date{Unix: 837596665, Zone: -420}
	answer := func(w *Writer, _ *Reader, c Command) {
		f, ok := c.(*Fetch)
		if !ok {
			return
		}
		out := w.Fetch(12)
		out.UID(7)
		out.Flags(mailbox.MakeFlags(`\Seen`, "$x"), false)
		out.InternalDate(date)
		out.Size(st.Size)
		out.ModSeq(99)
		out.Envelope(st.Envelope)
		out.BodyStructure(st)
		for i := range f.Items {
			switch f.Items[i].Attr {
			case FetchSection, FetchBinary:
				out.Section(&f.Items[i], 5, strings.NewReader("hello"))
			case FetchBinarySize:
				out.BinarySize(&f.Items[i], 5)
			}
		}
		out.End()
	}
	fields := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, Part: []int{1, 2}, HeaderFields: []string{"From", "To"}, Peek: true}
	span := &imap.FetchItemBodySection{Partial: &imap.SectionPartial{Offset: 3, Size: 5}}
	binary := &imap.FetchItemBinarySection{Part: []int{2}, Peek: true}
	got := converse(t, "IMAP4rev1 CONDSTORE BINARY", answer, func(c *imapclient.Client) {
		messages := must[[]*imapclient.FetchMessageBuffer](t)(c.Fetch(imap.UIDSetNum(7), &imap.FetchOptions{
			Envelope: true, Flags: true, InternalDate: true, RFC822Size: true, UID: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
			BodySection: []*imap.FetchItemBodySection{fields, span}, BinarySection: []*imap.FetchItemBinarySection{binary},
			BinarySectionSize: []*imap.FetchItemBinarySectionSize{{Part: []int{2}}}, ModSeq: true, ChangedSince: 5}).Collect())
		if len(messages) != 1 {
			t.Fatalf("%d messages", len(messages))
		}
		m := messages[0]
		if m.SeqNum != 12 || m.UID != 7 || m.ModSeq != 99 || m.RFC822Size != st.Size || !m.InternalDate.Equal(date.Time()) || len(m.Flags) != 2 {
			t.Errorf("%+v", m)
		}
		if e := m.Envelope; e.Subject != `café "quoted"` || e.From[0].Name != `Terry "T" Gray` || !e.To[0].IsGroupStart() || e.To[4].Mailbox != "nobody" {
			t.Errorf("ENVELOPE: %+v", e)
		}
		if b := m.BodyStructure.(*imap.BodyStructureMultiPart); len(b.Children) != 3 || b.Subtype != "mixed" || b.Children[0].Disposition().Params["filename"] != "x.txt" {
			t.Errorf("BODYSTRUCTURE: %+v", b)
		}
		if string(m.FindBodySection(fields)) != "hello" || string(m.FindBodySection(span)) != "hello" || string(m.FindBinarySection(binary)) != "hello" {
			t.Errorf("sections: %+v, %+v", m.BodySection, m.BinarySection)
		}
	})
	f := got[0].(*Fetch)
	if !f.UID || f.ChangedSince != 5 || !reflect.DeepEqual(f.Set, one(7)) {
		t.Errorf("read %+v", f)
	}
	for _, want := range []FetchItem{
		{Attr: FetchSection, Peek: true, Section: Section{Part: []uint32{1, 2}, Text: SectionHeaderFields, Fields: []string{"From", "To"}}},
		{Attr: FetchSection, Span: &Span{3, 5}}, {Attr: FetchBinary, Peek: true, Section: Section{Part: []uint32{2}}},
		{Attr: FetchBinarySize, Peek: true, Section: Section{Part: []uint32{2}}}, {Attr: FetchModSeq, Peek: true},
	} {
		if !slices.ContainsFunc(f.Items, func(i FetchItem) bool { return reflect.DeepEqual(i, want) }) {
			t.Errorf("%+v is not among %+v", want, f.Items)
		}
	}
}

func TestClientAppends(t *testing.T) {
	var body string
	answer := func(w *Writer, r *Reader, c Command) {
		if _, ok := c.(*Append); !ok {
			return
		}
		src, err := r.Message()
		if err != nil {
			t.Error(err)
			return
		}
		data, err := io.ReadAll(src)
		if err != nil || string(data) != body {
			t.Errorf("%d octets, %v", len(data), err)
		}
		if m, err := r.More(); m != nil || err != nil {
			t.Errorf("More: %v, %v", m, err)
		}
	}
	when := time.Date(2024, 2, 29, 23, 59, 58, 0, time.FixedZone("", -9000))
	use := func(c *imapclient.Client) {
		cmd := c.Append("Gelöscht", int64(len(body)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen, "$x"}, Time: when})
		if _, err := io.WriteString(cmd, body); err != nil {
			t.Error(err)
		}
		if err := cmd.Close(); err != nil {
			t.Error(err)
		}
		if _, err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	for _, tt := range []struct {
		caps    string
		lines   int
		nonSync bool
	}{{"IMAP4rev1", 20000, false}, {"IMAP4rev1", 1, false}, {"IMAP4rev1 LITERAL-", 100, true}} {
		body = strings.Repeat("a line of text\r\n", tt.lines)
		wantCommands(t, converse(t, tt.caps, answer, use), &Append{"Gelöscht", AppendMessage{Flags: []string{`\Seen`, "$x"},
			Date: ptr(mailbox.DateOf(when)), Literal: Literal{Size: int64(len(body)), NonSync: tt.nonSync}}})
	}
}

func TestClientAdministers(t *testing.T) {
	answer := func(w *Writer, _ *Reader, c Command) {
		switch c.(type) {
		case *GetQuotaRoot:
			w.QuotaRoot("INBOX", []string{""})
			w.Quota("", []QuotaUse{{imap.QuotaResourceStorage, 10, 512}})
		case *MyRights:
			w.MyRights("INBOX", "lrs")
		case *GetACL:
			w.ACL("INBOX", []ACLEntry{{"fred", "lr"}})
		case *GetMetadata:
			w.Metadata("INBOX", []MetadataEntry{{"/private/comment", []byte("my \"own\"")}})
		case *ID:
			w.ID([]Param{{"name", ptr("Teraslot")}})
		}
	}
	got := converse(t, "IMAP4rev1 QUOTA ACL METADATA ID MOVE UIDPLUS ENABLE", answer, func(c *imapclient.Client) {
		q := must[[]imapclient.QuotaData](t)(c.GetQuotaRoot("INBOX").Wait())
		if len(q) != 1 || q[0].Resources[imap.QuotaResourceStorage].Limit != 512 {
			t.Errorf("QUOTA: %+v", q)
		}
		if r := must[*imapclient.MyRightsData](t)(c.MyRights("INBOX").Wait()); r.Rights.String() != "lrs" {
			t.Errorf("MYRIGHTS: %+v", r)
		}
		if a := must[*imapclient.GetACLData](t)(c.GetACL("INBOX").Wait()); a.Rights["fred"].String() != "lr" {
			t.Errorf("ACL: %+v", a)
		}
		if m := must[*imapclient.GetMetadataData](t)(c.GetMetadata("INBOX", []string{"/private/comment"}, nil).Wait()); string(*m.Entries["/private/comment"]) != `my "own"` {
			t.Errorf("METADATA: %+v", m)
		}
		if id := must[*imap.IDData](t)(c.ID(&imap.IDData{Name: "me"}).Wait()); id.Name != "Teraslot" {
			t.Errorf("ID: %+v", id)
		}
		value := []byte("x\r\ny")
		for _, err := range []error{c.SetQuota("", map[imap.QuotaResourceType]int64{imap.QuotaResourceStorage: 5}).Wait(),
			c.SetMetadata("INBOX", map[string]*[]byte{"/private/a": &value}).Wait(), c.SetACL("INBOX", "fred", imap.RightModificationAdd, imap.RightSet("lr")).Wait()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	wantCommands(t, got, &GetQuotaRoot{"INBOX"}, &MyRights{"INBOX"}, &GetACL{"INBOX"}, &GetMetadata{Mailbox: "INBOX", Entries: []string{"/private/comment"}},
		&ID{Params: []Param{{"name", ptr("me")}}}, &SetQuota{"", []QuotaLimit{{imap.QuotaResourceStorage, 5}}},
		&SetMetadata{"INBOX", []MetadataEntry{{"/private/a", []byte("x\r\ny")}}}, &SetACL{"INBOX", "fred", imap.RightModificationAdd, "lr"})
}

func TestClientStores(t *testing.T) {
	got := converse(t, "IMAP4rev1 MOVE UIDPLUS CONDSTORE", nil, func(c *imapclient.Client) {
		uids := imap.UIDSet{{Start: 1, Stop: 0}}
		for _, err := range []error{
			c.Store(uids, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted, "kw"}}, &imap.StoreOptions{UnchangedSince: 7}).Close(),
			c.UIDExpunge(uids).Close(),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		must[*imap.CopyData](t)(c.Copy(imap.SeqSetNum(1, 2, 3), "Trash").Wait())
		must[*imapclient.MoveData](t)(c.Move(uids, "Trash").Wait())
	})
	all := set(SetRange{1, Star})
	wantCommands(t, got, &Store{UID: true, Set: all, Op: StoreAdd, Silent: true, Flags: []string{`\Deleted`, "kw"}, UnchangedSince: ptr(uint64(7))},
		&Expunge{UIDs: &all}, &Copy{Set: set(SetRange{1, 3}), Mailbox: "Trash"}, &Move{UID: true, Set: all, Mailbox: "Trash"})
}
