package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"teraslot/mailbox"
)

// parse reads one command, which has the tag "a".
func parse(text string, utf8 bool) (Command, error) {
	r := NewReader(strings.NewReader("a "+text+"\r\n"), Options{})
	r.SetUTF8(utf8)
	req, err := r.Next()
	return req.Command, err
}

func ptr[T any](v T) *T { return &v }

func set(ranges ...SetRange) Set { return Set{Ranges: ranges} }

func one(n uint32) Set { return set(SetRange{n, n}) }

// parseTest is a command and what it means, or, with bad set, a part of the error's text.
type parseTest struct {
	text string
	want Command
	bad  string
}

func runParseTests(t *testing.T, tests []parseTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := parse(tt.text, false)
			if tt.bad != "" {
				var bad *SyntaxError
				if !errors.As(err, &bad) || !strings.Contains(bad.Error(), tt.bad) {
					t.Fatalf("got %#v, %v, want an error with %q", got, err, tt.bad)
				}
				if bad.Tag != "a" {
					t.Errorf("the error's tag is %q", bad.Tag)
				}
				return
			}
			if err != nil {
				t.Fatalf("got %v, want %#v", err, tt.want)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %#v\nwant %#v", got, tt.want)
			}
		})
	}
}

func TestParseSessionCommands(t *testing.T) {
	runParseTests(t, []parseTest{
		{text: "CAPABILITY", want: &Capability{}},
		{text: "noop", want: &Noop{}},
		{text: "NOOP ", want: &Noop{}},
		{text: "NOOP  ", bad: "the end of the command"},
		{text: "NOOP x", bad: "the end of the command"},
		{text: "LOGOUT", want: &Logout{}},
		{text: "STARTTLS", want: &StartTLS{}},
		{text: "UNAUTHENTICATE", want: &Unauthenticate{}},
		{text: "NAMESPACE", want: &Namespace{}},
		{text: "IDLE", want: &Idle{}},
		{text: "LOGIN alice secret", want: &Login{"alice", "secret"}},
		{text: `LOGIN "al\"ice" "se\\cret"`, want: &Login{`al"ice`, `se\cret`}},
		{text: "LOGIN {5+}\r\nalice {6}\r\nse\r\nct", want: &Login{"alice", "se\r\nct"}},
		{text: `LOGIN "" ""`, want: &Login{}},
		{text: `LOGIN a]b+c "p ä"`, want: &Login{"a]b+c", "p ä"}},
		{text: "LOGIN jos\xe9 \xff", want: &Login{"jos\xe9", "\xff"}},
		{text: `LOGIN NIL NIL`, want: &Login{"NIL", "NIL"}},
		{text: "LOGIN alice", bad: "octet 13: expected SP"},
		{text: "LOGIN", bad: "expected SP"},
		{text: "LOGIN alice secret x", bad: "the end of the command"},
		{text: "LOGIN  alice secret", bad: "an atom or a string"},
		{text: "LOGIN (alice) secret", bad: "an atom or a string"},
		{text: `LOGIN "alice secret`, bad: "the end of a quoted string"},
		{text: `LOGIN "alice\n" secret`, bad: `expected \"`},
		{text: `LOGIN alice "secret"x`, bad: "the end of the command"},
		{text: "LOGIN {3+}\r\na\x00b x", bad: "no NUL in a literal"},
		{text: "AUTHENTICATE PLAIN", want: &Authenticate{Mechanism: "PLAIN"}},
		{text: "AUTHENTICATE scram-sha-256 =", want: &Authenticate{Mechanism: "SCRAM-SHA-256", HasInitial: true, Initial: []byte{}}},
		{text: "AUTHENTICATE PLAIN AGEAYg==", want: &Authenticate{Mechanism: "PLAIN", HasInitial: true, Initial: []byte("\x00a\x00b")}},
		{text: "AUTHENTICATE PLAIN AGEAYg=", bad: "base64"},
		{text: "AUTHENTICATE PLAIN AGEAYg==x", bad: "base64"},
		{text: "AUTHENTICATE", bad: "expected SP"},
		{text: "ENABLE CONDSTORE imap4REV2 utf8=accept", want: &Enable{[]imap.Cap{imap.CapCondStore, imap.CapIMAP4rev2, imap.CapUTF8Accept}}},
		{text: "ENABLE", bad: "expected SP"},
		{text: "ENABLE (CONDSTORE)", bad: "a capability"},
		{text: "ID NIL", want: &ID{}},
		{text: "ID ()", want: &ID{Params: []Param{}}},
		{text: `ID ("name" "x" "version" NIL)`, want: &ID{Params: []Param{{"name", ptr("x")}, {"version", nil}}}},
		{text: `ID ("name")`, bad: "expected SP"},
		{text: `ID ("name" "x"`, bad: "expected SP"},
		{text: "ID", bad: "expected SP"},
		{text: "COMPRESS deflate", want: &Compress{"DEFLATE"}},
		{text: "COMPRESS", bad: "expected SP"},
		{text: "LANGUAGE", want: &Language{}},
		{text: `LANGUAGE de "en"`, want: &Language{[]string{"de", "en"}}},
		{text: "FROBNICATE x", bad: "unknown command"},
		{text: "UID NOOP", bad: "unknown command"},
		{text: "UID", bad: "expected SP"},
		{text: "UID FROB 1", bad: "unknown command"},
		{text: "(", bad: "a command"},
	})
}

func TestTags(t *testing.T) {
	tests := []struct{ line, tag, bad string }{
		{"A001 NOOP", "A001", ""},
		{"a.b-c_d]= NOOP", "a.b-c_d]=", ""},
		{"1 NOOP", "1", ""},
		{"NOOP", "NOOP", "SP"},
		{"NOOP ", "NOOP", "a command"},
		{"a+b NOOP", "", "SP"},
		{"* NOOP", "", "a tag"},
		{"(a) NOOP", "", "a tag"},
		{`"a" NOOP`, "", "a tag"},
		{" a NOOP", "", "a tag"},
		{"ä NOOP", "", "a tag"},
		{"a\tNOOP", "", "SP"},
	}
	for _, tt := range tests {
		req, err := NewReader(strings.NewReader(tt.line+"\r\n"), Options{}).Next()
		var bad *SyntaxError
		if tt.bad == "" {
			if err != nil || req.Tag != tt.tag {
				t.Errorf("%q: got %q, %v", tt.line, req.Tag, err)
			}
		} else if !errors.As(err, &bad) || bad.Tag != tt.tag || bad.Expected != tt.bad {
			t.Errorf("%q: got %#v, want tag %q and %q", tt.line, err, tt.tag, tt.bad)
		}
	}
}

func TestParseMailboxCommands(t *testing.T) {
	runParseTests(t, []parseTest{
		{text: "SELECT inBox", want: &Select{Mailbox: "inBox"}},
		{text: `EXAMINE "a b"`, want: &Select{Mailbox: "a b", ReadOnly: true}},
		{text: "SELECT INBOX (CONDSTORE)", want: &Select{Mailbox: "INBOX", CondStore: true}},
		{text: "SELECT INBOX (QRESYNC (67890007 20050715194045000))", want: &Select{Mailbox: "INBOX",
			QResync: &QResync{UIDValidity: 67890007, ModSeq: 20050715194045000}}},
		{text: "SELECT INBOX (QRESYNC (1 2 41,43:211) CONDSTORE)", want: &Select{Mailbox: "INBOX", CondStore: true,
			QResync: &QResync{UIDValidity: 1, ModSeq: 2, Known: ptr(knownUIDs())}}},
		{text: "SELECT INBOX (QRESYNC (1 2 41,43:211 (5,9 41,60)))", want: &Select{Mailbox: "INBOX",
			QResync: &QResync{UIDValidity: 1, ModSeq: 2, Known: ptr(knownUIDs()),
				MatchNumbers: set(SetRange{5, 5}, SetRange{9, 9}), MatchUIDs: set(SetRange{41, 41}, SetRange{60, 60})}}},
		{text: "SELECT INBOX (QRESYNC (1 2 (5 41)))", want: &Select{Mailbox: "INBOX",
			QResync: &QResync{UIDValidity: 1, ModSeq: 2, MatchNumbers: one(5), MatchUIDs: one(41)}}},
		{text: "SELECT INBOX (QRESYNC (1 2 (5:6 41)))", bad: "as many UIDs as sequence numbers"},
		{text: "SELECT INBOX (QRESYNC (1 2 (6,5 41,42)))", bad: "a set in rising order"},
		{text: "SELECT INBOX (QRESYNC (1 2 (5:6 42:41)))", bad: "a set in rising order"},
		{text: "SELECT INBOX (QRESYNC (1 2 (5,5 41,41)))", bad: "a set in rising order"},
		{text: "SELECT INBOX (QRESYNC (1 2 (5 *)))", bad: "a set without * and $"},
		{text: "SELECT INBOX (QRESYNC (1 0))", bad: "a mod-sequence above 0"},
		{text: "SELECT INBOX (QRESYNC (0 1))", bad: "a number from 1"},
		{text: "SELECT INBOX (QRESYNC (1 2 1:*))", bad: "a set without * and $"},
		{text: "SELECT INBOX (QRESYNC (1 2 $))", bad: "a set without * and $"},
		{text: "SELECT INBOX (QRESYNC (1 9223372036854775808))", bad: "a mod-sequence"},
		{text: "SELECT INBOX (QRESYNC)", bad: "expected SP"},
		{text: "SELECT INBOX ()", bad: "CONDSTORE or QRESYNC"},
		{text: "SELECT INBOX (FOO)", bad: "CONDSTORE or QRESYNC"},
		{text: "SELECT", bad: "expected SP"},
		{text: "SELECT a b", bad: "a list of parameters"},
		{text: "CLOSE", want: &Close{}},
		{text: "UNSELECT", want: &Unselect{}},
		{text: "CHECK", want: &Check{}},
		{text: "CREATE Foo/", want: &Create{Mailbox: "Foo/"}},
		{text: `CREATE x (USE (\Sent \Drafts))`, want: &Create{Mailbox: "x", SpecialUse: []imap.MailboxAttr{imap.MailboxAttrSent, imap.MailboxAttrDrafts}}},
		{text: `CREATE x (USE ())`, want: &Create{Mailbox: "x"}},
		{text: `CREATE x (FOO)`, bad: "USE"},
		{text: `CREATE x (USE (Sent))`, bad: "an attribute"},
		{text: "DELETE x", want: &Delete{"x"}},
		{text: "RENAME x {1+}\r\ny", want: &Rename{"x", "y"}},
		{text: "RENAME x", bad: "expected SP"},
		{text: "SUBSCRIBE x", want: &Subscribe{"x"}},
		{text: "UNSUBSCRIBE x", want: &Unsubscribe{"x"}},
		{text: `LSUB "" *`, want: &Lsub{"", "*"}},
		{text: `LSUB "#news." "comp.%"`, want: &Lsub{"#news.", "comp.%"}},
		{text: "STATUS x (MESSAGES unseen MESSAGES)", want: &Status{"x", []StatusItem{StatusMessages, StatusUnseen}}},
		{text: "STATUS x (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ MAILBOXID APPENDLIMIT DELETED-STORAGE)",
			want: &Status{"x", statusItems}},
		{text: "STATUS x ()", bad: "a status item"},
		{text: "STATUS x MESSAGES", bad: "a list of status items"},
		{text: "STATUS x (FOO)", bad: "a known status item"},
	})
}

func knownUIDs() mailbox.UIDSet {
	s := mailbox.UIDs(41)
	s.AddRange(43, 211)
	return s
}

func TestParseList(t *testing.T) {
	runParseTests(t, []parseTest{
		{text: `LIST "" ""`, want: &List{Patterns: []string{""}}},
		{text: `LIST "" %`, want: &List{Patterns: []string{"%"}}},
		{text: `LIST ~/Mail/ *x]%`, want: &List{Reference: "~/Mail/", Patterns: []string{"*x]%"}}},
		{text: `LIST "" {1+}` + "\r\n*", want: &List{Patterns: []string{"*"}}},
		{text: `LIST () "" *`, want: &List{Patterns: []string{"*"}, Extended: true}},
		{text: `LIST (SUBSCRIBED REMOTE RECURSIVEMATCH SPECIAL-USE) "" *`, want: &List{Patterns: []string{"*"}, Extended: true,
			Select: ListSelect{true, true, true, true}}},
		{text: `LIST "" (INBOX Drafts "a b/%")`, want: &List{Patterns: []string{"INBOX", "Drafts", "a b/%"}, Extended: true}},
		{text: `LIST "" % RETURN (CHILDREN SUBSCRIBED SPECIAL-USE MYRIGHTS STATUS (MESSAGES UNSEEN))`, want: &List{Patterns: []string{"%"}, Extended: true,
			Return: ListReturn{Children: true, Subscribed: true, SpecialUse: true, MyRights: true, Status: []StatusItem{StatusMessages, StatusUnseen}}}},
		{text: `LIST "" % RETURN ()`, want: &List{Patterns: []string{"%"}, Extended: true}},
		{text: `LIST "" % RETURN (METADATA ("/shared/comment"))`, want: &List{Patterns: []string{"%"}, Extended: true, Return: ListReturn{Metadata: []string{"/shared/comment"}}}},
		{text: `LIST (RECURSIVEMATCH) "" *`, bad: "SUBSCRIBED with RECURSIVEMATCH"},
		{text: `LIST (FOO) "" *`, bad: "a known selection option"},
		{text: `LIST "" % RETURN (FOO)`, bad: "a known return option"},
		{text: `LIST "" % RETURN`, bad: "expected SP"},
		{text: `LIST "" % RETRUN ()`, bad: "RETURN"},
		{text: `LIST "" % RETURN (STATUS)`, bad: "expected SP"},
		{text: `LIST "" ()`, bad: "a mailbox pattern"},
		{text: `LIST ""`, bad: "expected SP"},
		{text: `LIST "" (a b`, bad: "expected SP"},
		{text: `LIST * ""`, bad: "an atom or a string"},
	})
}

func TestMailboxNames(t *testing.T) {
	tests := []struct {
		sent string
		utf8 bool
		want string // "" for an error
	}{
		{"&AOQ-", false, "ä"},
		{`"&AOQ-"`, false, "ä"},
		{"{5+}\r\n&AOQ-", false, "ä"},
		{"&AOQ-", true, "&AOQ-"},
		{"ä", true, "ä"},
		{`"ä b"`, true, "ä b"},
		{"ä", false, "ä"},
		{"a&-b", false, "a&b"},
		{"a&-b", true, "a&-b"},
		{"inbox", true, "inbox"},
		{`"iNbOx"`, false, "iNbOx"},
		{"&AEkATgBCAE8AWA-", false, ""}, // INBOX in base64: printable ASCII may not be
		{"inbox/x", false, "inbox/x"},
		{"a&b", false, ""},
		{"&AOQ", false, ""},
		{"\xff", false, ""},
		{"\xff", true, ""},
	}
	for _, tt := range tests {
		c, err := parse("DELETE "+tt.sent, tt.utf8)
		if tt.want == "" {
			if err == nil {
				t.Errorf("%q, UTF-8 %v: got %q, want an error", tt.sent, tt.utf8, c)
			}
			continue
		}
		if err != nil || c.(*Delete).Mailbox != tt.want {
			t.Errorf("%q, UTF-8 %v: got %v, %v, want %q", tt.sent, tt.utf8, c, err, tt.want)
		}
	}
	if c, err := parse(`LIST "" &AOQ-/%*`, false); err != nil || c.(*List).Patterns[0] != "ä/%*" {
		t.Errorf("a pattern: got %v, %v", c, err)
	}
}

func TestParseMessageCommands(t *testing.T) {
	all := set(SetRange{1, Star})
	runParseTests(t, []parseTest{
		{text: "EXPUNGE", want: &Expunge{}},
		{text: "UID EXPUNGE 1:*", want: &Expunge{UIDs: &all}},
		{text: "EXPUNGE 1", bad: "the end of the command"},
		{text: "UID EXPUNGE", bad: "expected SP"},
		{text: "COPY 1:* x", want: &Copy{Set: all, Mailbox: "x"}},
		{text: "UID COPY 4,2:1 inbox", want: &Copy{UID: true, Set: set(SetRange{4, 4}, SetRange{2, 1}), Mailbox: "inbox"}},
		{text: "MOVE $ x", want: &Move{Set: Set{Saved: true}, Mailbox: "x"}},
		{text: "UID MOVE * x", want: &Move{UID: true, Set: one(Star), Mailbox: "x"}},
		{text: "COPY 1", bad: "expected SP"},
		{text: "COPY x y", bad: "a set of numbers"},
		{text: `STORE 1 FLAGS (\Seen $x)`, want: &Store{Set: one(1), Flags: []string{`\Seen`, "$x"}}},
		{text: `STORE 1 FLAGS ()`, want: &Store{Set: one(1), Flags: []string{}}},
		{text: `UID STORE 1 +flags.silent \Seen \Deleted`, want: &Store{UID: true, Set: one(1), Op: StoreAdd, Silent: true, Flags: []string{`\Seen`, `\Deleted`}}},
		{text: `STORE 1 -FLAGS ([Gmail]/x)`, want: &Store{Set: one(1), Op: StoreRemove, Flags: []string{"[Gmail]/x"}}},
		{text: `STORE 1 (UNCHANGEDSINCE 0) FLAGS x`, want: &Store{Set: one(1), Flags: []string{"x"}, UnchangedSince: ptr(uint64(0))}},
		{text: `STORE 1 (UNCHANGEDSINCE 9223372036854775807) FLAGS x`, want: &Store{Set: one(1), Flags: []string{"x"}, UnchangedSince: ptr(uint64(1<<63 - 1))}},
		{text: `STORE 1 (UNCHANGEDSINCE 1 UNCHANGEDSINCE 1) FLAGS x`, bad: "UNCHANGEDSINCE, once"},
		{text: `STORE 1 (FOO 1) FLAGS x`, bad: "UNCHANGEDSINCE, once"},
		{text: `STORE 1 () FLAGS x`, bad: "UNCHANGEDSINCE"},
		{text: `STORE 1 FLAGS`, bad: "expected SP"},
		{text: `STORE 1 FLAGS `, bad: "a flag"},
		{text: `STORE 1 FLAG x`, bad: "FLAGS, +FLAGS or -FLAGS"},
		{text: `STORE 1 FLAGS (\Seen \)`, bad: "a flag"},
		{text: `STORE 1 FLAGS (\Seen`, bad: "expected SP"},
		{text: `STORE 1 FLAGS ("x")`, bad: "a flag"},
	})
}

func TestSets(t *testing.T) {
	runParseTests(t, []parseTest{
		{text: "UID COPY 1:4294967295,*:4294967295 x", want: &Copy{UID: true, Mailbox: "x",
			Set: set(SetRange{1, 4294967295}, SetRange{Star, 4294967295})}},
		{text: "COPY 0 x", bad: "a number from 1"},
		{text: "COPY 01 x", bad: "a number from 1"},
		{text: "COPY 1:0 x", bad: "a number from 1"},
		{text: "COPY 4294967296 x", bad: "a number from 1"},
		{text: "COPY 1, x", bad: "a set of numbers"},
		{text: "COPY ,1 x", bad: "a set of numbers"},
		{text: "COPY 1: x", bad: "a set of numbers"},
		{text: "COPY 1:2:3 x", bad: "expected SP"},
		{text: "COPY $,1 x", bad: "expected SP"},
		{text: "COPY 1,$ x", bad: "a set of numbers"},
		{text: "COPY -1 x", bad: "a set of numbers"},
	})
}

func TestParseOtherCommands(t *testing.T) {
	runParseTests(t, []parseTest{
		{text: "GETACL x", want: &GetACL{"x"}},
		{text: "MYRIGHTS x", want: &MyRights{"x"}},
		{text: "SETACL x fred lrs", want: &SetACL{Mailbox: "x", Identifier: "fred", Rights: "lrs"}},
		{text: "SETACL x fred +lrs", want: &SetACL{Mailbox: "x", Identifier: "fred", Rights: "lrs", Modification: imap.RightModificationAdd}},
		{text: `SETACL x -fred "-"`, want: &SetACL{Mailbox: "x", Identifier: "-fred", Modification: imap.RightModificationRemove}},
		{text: `SETACL x fred ""`, want: &SetACL{Mailbox: "x", Identifier: "fred"}},
		{text: "SETACL x fred", bad: "expected SP"},
		{text: "DELETEACL x fred", want: &DeleteACL{"x", "fred"}},
		{text: "LISTRIGHTS x fred", want: &ListRights{"x", "fred"}},
		{text: `GETQUOTA ""`, want: &GetQuota{""}},
		{text: "GETQUOTAROOT inbox", want: &GetQuotaRoot{"inbox"}},
		{text: `SETQUOTA "" (storage 512 MESSAGE 9)`, want: &SetQuota{"", []QuotaLimit{{imap.QuotaResourceStorage, 512}, {imap.QuotaResourceMessage, 9}}}},
		{text: `SETQUOTA r ()`, want: &SetQuota{Root: "r"}},
		{text: `SETQUOTA r (STORAGE)`, bad: "expected SP"},
		{text: `SETQUOTA r (STORAGE -1)`, bad: "a number"},
		{text: "GETMETADATA INBOX /private/comment", want: &GetMetadata{Mailbox: "INBOX", Entries: []string{"/private/comment"}}},
		{text: `GETMETADATA "" (/shared/comment "/shared/x")`, want: &GetMetadata{Entries: []string{"/shared/comment", "/shared/x"}}},
		{text: `GETMETADATA (DEPTH infinity MAXSIZE 1024) INBOX (/a)`, want: &GetMetadata{Mailbox: "INBOX", Entries: []string{"/a"}, MaxSize: ptr(uint32(1024)), Depth: DepthInfinity}},
		{text: `GETMETADATA INBOX (MAXSIZE 0) /a`, want: &GetMetadata{Mailbox: "INBOX", Entries: []string{"/a"}, MaxSize: ptr(uint32(0))}},
		{text: `GETMETADATA (DEPTH 1) INBOX (/a)`, want: &GetMetadata{Mailbox: "INBOX", Entries: []string{"/a"}, Depth: 1}},
		{text: `GETMETADATA (DEPTH 0) INBOX (/a)`, want: &GetMetadata{Mailbox: "INBOX", Entries: []string{"/a"}}},
		{text: `GETMETADATA (DEPTH 2) INBOX (/a)`, bad: "0, 1 or infinity"},
		{text: `GETMETADATA (FOO 2) INBOX (/a)`, bad: "MAXSIZE or DEPTH"},
		{text: `GETMETADATA INBOX a`, bad: "an entry"},
		{text: `GETMETADATA INBOX ()`, bad: "an atom or a string"},
		{text: `SETMETADATA INBOX (/a "x" /b NIL)`, want: &SetMetadata{"INBOX", []MetadataEntry{{"/a", []byte("x")}, {"/b", nil}}}},
		{text: "SETMETADATA INBOX (/a ~{3+}\r\n\x00bc /b {0+}\r\n)", want: &SetMetadata{"INBOX", []MetadataEntry{{"/a", []byte("\x00bc")}, {"/b", []byte{}}}}},
		{text: `SETMETADATA INBOX (/a)`, bad: "expected SP"},
		{text: `SETMETADATA INBOX (/a x)`, bad: "a string"},
		{text: `SETMETADATA INBOX (a "x")`, bad: "an entry"},
		{text: "NOTIFY NONE", want: &Notify{}},
		{text: "NOTIFY SET (selected (MessageNew MessageExpunge))", want: &Notify{Groups: []EventGroup{
			{Filter: Filter{Kind: FilterSelected}, Events: []NotifyEvent{{Name: "MessageNew"}, {Name: "MessageExpunge"}}}}}},
		{text: "NOTIFY SET STATUS (Selected-Delayed (MessageNew (UID BODY.PEEK[HEADER]) FlagChange)) (subtree (Lists a) NONE) (mailboxes x (MailboxName))",
			want: &Notify{Status: true, Groups: []EventGroup{
				{Filter: Filter{Kind: FilterSelectedDelayed}, Events: []NotifyEvent{
					{Name: "MessageNew", Fetch: []FetchItem{{Attr: FetchUID, Peek: true}, {Attr: FetchSection, Peek: true, Section: Section{Text: SectionHeader}}}},
					{Name: "FlagChange"}}},
				{Filter: Filter{Kind: FilterSubtree, Mailboxes: []string{"Lists", "a"}}},
				{Filter: Filter{Kind: FilterMailboxes, Mailboxes: []string{"x"}}, Events: []NotifyEvent{{Name: "MailboxName"}}},
			}}},
		{text: "NOTIFY SET", bad: "expected SP"},
		{text: "NOTIFY FOO", bad: "SET or NONE"},
		{text: "NOTIFY SET (selected)", bad: "expected SP"},
		{text: "NOTIFY SET (somewhere NONE)", bad: "a known mailbox filter"},
		{text: "NOTIFY SET (selected ())", bad: "an event"},
		{text: "NOTIFY SET (mailboxes NONE)", bad: "expected SP"},
	})
}

// TestEveryCommandHasItsOwnName goes through the table of commands: an example of
// each is read and has the name by which it was found, and one with more after it is refused.
func TestEveryCommandHasItsOwnName(t *testing.T) {
	examples := map[string]string{
		"LOGIN": "x y", "AUTHENTICATE": "PLAIN", "ENABLE": "X", "ID": "NIL", "COMPRESS": "X", "SELECT": "x", "EXAMINE": "x",
		"CREATE": "x", "DELETE": "x", "RENAME": "x y", "SUBSCRIBE": "x", "UNSUBSCRIBE": "x", "LIST": "x y", "LSUB": "x y",
		"STATUS": "x (SIZE)", "APPEND": "x {1}", "REPLACE": "1 x {1}", "FETCH": "1 ALL", "STORE": "1 FLAGS x", "COPY": "1 x",
		"MOVE": "1 x", "SEARCH": "ALL", "SORT": "(DATE) X ALL", "THREAD": "X Y ALL", "ESEARCH": "ALL", "NOTIFY": "NONE",
		"GETMETADATA": "x /y", "SETMETADATA": `x (/y NIL)`, "GETACL": "x", "SETACL": "x y z", "DELETEACL": "x y",
		"LISTRIGHTS": "x y", "MYRIGHTS": "x", "GETQUOTA": "x", "GETQUOTAROOT": "x", "SETQUOTA": "x ()",
	}
	for name, g := range commands {
		text := strings.TrimSpace(name + " " + examples[name])
		if c, err := parse(text, false); err != nil || c.Name() != name {
			t.Errorf("%s: got %v, %v", text, c, err)
		}
		if _, err := parse(text+" (", false); err == nil && name != "LANGUAGE" {
			t.Errorf("%s (: no error", text)
		}
		if !g.uid {
			continue
		}
		text = "UID " + name + " " + examples[name]
		if name == "EXPUNGE" {
			text += "1"
		}
		if c, err := parse(text, false); err != nil || c.Name() != "UID "+name {
			t.Errorf("%s: got %v, %v", text, c, err)
		}
	}
}
