package imapd

import (
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// modelConn is a session as its client knows it: by what it was told.
type modelConn struct {
	m    *model
	p    *peer
	name string
	rev2 bool
	idle string // the tag of an IDLE that waits for DONE

	box       *modelBox // nil: none selected
	readOnly  bool
	selection int
	told      []uint32           // UID by sequence number; 0 while it is not known
	known     map[uint32]flagSet // flags as far as they were told
	keywords  flagSet            // told by FLAGS
	saved     []uint32           // "$"
}

// connect logs in; some sessions speak IMAP4rev2.
func (m *model) connect() *modelConn {
	m.Helper()
	raw, err := net.Dial("tcp", m.h.addr)
	if err != nil {
		m.Fatal(err)
	}
	m.selections++
	c := &modelConn{m: m, p: newPeer(raw), name: "s" + strconv.Itoa(m.selections)}
	if _, err := c.p.tryResponse(); err != nil {
		m.Fatal(err)
	}
	c.plainly(`LOGIN ` + m.user + ` "` + password + `"`)
	if m.selections%3 == 0 {
		c.rev2 = true
		c.plainly("ENABLE IMAP4rev2")
	}
	return c
}

// plainly says a command that has to succeed and of which nothing is looked at.
func (c *modelConn) plainly(command string) {
	c.m.Helper()
	if _, completion := c.say(command); !strings.HasPrefix(completion, "OK") {
		c.m.Fatalf("%s: %s: %s", c.name, command, completion)
	}
}

// say says a command and returns the untagged responses and the completion.
func (c *modelConn) say(command string) (untagged []string, completion string) {
	c.m.Helper()
	tag := c.begin(command)
	return c.hearUntil(tag)
}

// begin says a command; the answer is to be read.
func (c *modelConn) begin(command string) (tag string) {
	c.m.Helper()
	c.m.commands++
	c.p.tags++
	tag = c.name + "." + strconv.Itoa(c.p.tags)
	c.write(tag + " " + command + "\r\n")
	return tag
}

func (c *modelConn) write(text string) {
	c.m.Helper()
	c.m.Logf("%s C: %q", c.name, text)
	c.p.conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.p.conn, text); err != nil {
		c.m.Fatalf("%s: %v", c.name, err)
	}
}

func (c *modelConn) hearUntil(tag string) (untagged []string, completion string) {
	c.m.Helper()
	for {
		line, err := c.p.tryResponse()
		if err != nil {
			c.m.Fatalf("%s: %v after %q", c.name, err, line)
		}
		c.m.Logf("%s S: %q", c.name, line)
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			return untagged, rest
		}
		untagged = append(untagged, line)
	}
}

// last is the highest UID told, for "*".
func (c *modelConn) last() uint32 {
	if len(c.told) == 0 {
		return 0
	}
	return c.told[len(c.told)-1]
}

// there are the told messages that are still there.
func (c *modelConn) there(uids []uint32) []uint32 {
	return slices.DeleteFunc(slices.Clone(uids), func(uid uint32) bool { return c.box.find(uid) == nil })
}

// answer is what a command's responses told.
type answer struct {
	flags   map[uint32]bool // messages whose flags were told
	fetched map[uint32][]fetchedItem
	other   []string // responses that are not of the mailbox's state
}

// expectation is what may be told during a command.
type expectation struct {
	before  []uint32                 // arrivals that are told before the command is carried out
	expunge bool                     // EXPUNGE may be told
	old     map[uint32]*modelMessage // messages as they were before the command
	asked   bool                     // FETCH responses were asked for
	uid     bool                     // a UID command: each FETCH response has the UID
}

// snapshot is every message as it is.
func (b *modelBox) snapshot() map[uint32]*modelMessage {
	out := make(map[uint32]*modelMessage, len(b.live))
	for _, m := range b.live {
		c := *m
		c.flags = maps.Clone(m.flags)
		out[m.uid] = &c
	}
	return out
}

var stateResponse = regexp.MustCompile(`(?s)^\* (\d+) (EXISTS|RECENT|EXPUNGE|FETCH \(.*\))$`)

// hear takes the responses to a command that was carried out in the model, and
// checks that the client knows all in the end.
func (c *modelConn) hear(untagged []string, e expectation) answer {
	c.m.Helper()
	a := answer{flags: map[uint32]bool{}, fetched: map[uint32][]fetchedItem{}}
	arrivals := [][]uint32{e.before}
	last := max(c.last(), slices.Max(append(e.before, 0)))
	if c.box != nil {
		arrivals = append(arrivals, c.box.above(last))
	}
	for _, line := range untagged {
		m := stateResponse.FindStringSubmatch(line)
		if m == nil {
			c.hearOther(line, &a)
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			c.m.Fatal(err)
		}
		switch what, _, _ := strings.Cut(m[2], " "); what {
		case "EXISTS":
			arrivals = c.hearExists(n, arrivals)
		case "EXPUNGE":
			c.hearExpunge(n, e)
		case "FETCH":
			c.hearFetch(n, m[2], e, &a)
		case "RECENT":
			if c.rev2 {
				c.m.Fatalf("%s speaks IMAP4rev2 and is told %q", c.name, line)
			}
		}
	}
	for _, list := range arrivals {
		if len(list) > 0 {
			c.m.Fatalf("%s was not told of the new UIDs %v", c.name, list)
		}
	}
	c.settled(e.expunge)
	return a
}

// hearExists takes the next new messages.
func (c *modelConn) hearExists(n int, arrivals [][]uint32) [][]uint32 {
	c.m.Helper()
	for len(arrivals) > 0 && len(arrivals[0]) == 0 {
		arrivals = arrivals[1:]
	}
	if len(arrivals) == 0 || n != len(c.told)+len(arrivals[0]) {
		c.m.Fatalf("%s is told %d EXISTS, knew of %v, and new are %v", c.name, n, c.told, arrivals)
	}
	c.told = append(c.told, arrivals[0]...)
	return arrivals[1:]
}

func (c *modelConn) hearExpunge(n int, e expectation) {
	c.m.Helper()
	if !e.expunge {
		c.m.Fatalf("%s is told of an EXPUNGE where none may be told", c.name)
	}
	if n < 1 || n > len(c.told) {
		c.m.Fatalf("%s is told that %d of %d is expunged", c.name, n, len(c.told))
	}
	uid := c.told[n-1]
	if c.box.find(uid) != nil {
		c.m.Fatalf("%s is told that %d, UID %d, is expunged, which is there", c.name, n, uid)
	}
	c.told = slices.Delete(c.told, n-1, n)
	delete(c.known, uid)
	c.saved = slices.DeleteFunc(c.saved, func(u uint32) bool { return u == uid })
}

// hearOther takes FLAGS, and keeps the rest for the command's own check.
func (c *modelConn) hearOther(line string, a *answer) {
	if list, ok := strings.CutPrefix(line, "* FLAGS ("); ok {
		c.keywords = newFlags(strings.Fields(strings.TrimSuffix(list, ")"))...)
		return
	}
	a.other = append(a.other, line)
}

// settled checks that nothing is left to be told.
func (c *modelConn) settled(expunged bool) {
	c.m.Helper()
	if c.box == nil {
		return
	}
	for i, uid := range c.told {
		msg := c.box.find(uid)
		if msg == nil && expunged {
			c.m.Fatalf("%s was not told that %d, UID %d, is expunged", c.name, i+1, uid)
		}
		if msg == nil || c.known[uid] == nil {
			continue
		}
		if !maps.Equal(c.known[uid], msg.flags) {
			c.m.Fatalf("%s takes the flags of %d, UID %d, for (%s), they are (%s)", c.name, i+1, uid, c.known[uid], msg.flags)
		}
	}
	if expunged && len(c.told) != len(c.box.live) {
		c.m.Fatalf("%s counts %d messages, there are %d", c.name, len(c.told), len(c.box.live))
	}
}

// fetchedItem is a data item of a FETCH response.
type fetchedItem struct{ name, value string }

var fetchName = regexp.MustCompile(`^ ?([A-Z0-9.]+(?:\[[^\]]*\])?(?:<\d+>)?) `)

// fetchItems takes a FETCH response apart.
func (c *modelConn) fetchItems(text string) []fetchedItem {
	c.m.Helper()
	items, err := cutItems(text)
	if err != nil {
		c.m.Fatal(err)
	}
	return items
}

// cutItems takes a FETCH response apart.
func cutItems(text string) (items []fetchedItem, err error) {
	rest := strings.TrimSuffix(strings.TrimPrefix(text, "FETCH ("), ")")
	for rest != "" {
		name := fetchName.FindStringSubmatch(rest)
		if name == nil || len(rest) == len(name[0]) {
			return nil, fmt.Errorf("no data item: %q", rest)
		}
		rest = rest[len(name[0]):]
		value, end, err := cutValue(rest)
		if err != nil {
			return nil, err
		}
		items = append(items, fetchedItem{name[1], value})
		rest = rest[end:]
	}
	return items, nil
}

// cutValue reads the value that rest begins with, and says where it ends.
func cutValue(rest string) (value string, end int, err error) {
	switch rest[0] {
	case '(':
		end = strings.IndexByte(rest, ')') + 1
		return rest[1 : end-1], end, nil
	case '"':
		end = strings.IndexByte(rest[1:], '"') + 2
		return rest[1 : end-1], end, nil
	case '{':
		size, data, _ := strings.Cut(rest[1:], "}\r\n")
		n, err := strconv.Atoi(size)
		if err != nil || n > len(data) {
			return "", 0, fmt.Errorf("no literal: %q", rest)
		}
		return data[:n], len(rest) - len(data) + n, nil
	}
	if end = strings.IndexByte(rest, ' '); end < 0 {
		end = len(rest)
	}
	return rest[:end], end, nil
}

// hearFetch compares all that a FETCH response says of a message.
func (c *modelConn) hearFetch(n int, text string, e expectation, a *answer) {
	c.m.Helper()
	if n < 1 || n > len(c.told) {
		c.m.Fatalf("%s is told of message %d of %d", c.name, n, len(c.told))
	}
	uid := c.told[n-1]
	was, is := e.old[uid], c.box.find(uid)
	if was == nil {
		was = is
	}
	if is == nil {
		is = was
	}
	if is == nil {
		c.m.Fatalf("%s is told of %d, UID %d, which is gone", c.name, n, uid)
	}
	items := c.fetchItems(text)
	if (e.uid || c.rev2 && !e.asked) && !slices.ContainsFunc(items, func(i fetchedItem) bool { return i.name == "UID" }) {
		c.m.Fatalf("%s is not told the UID in %q", c.name, text)
	}
	for _, item := range items {
		c.hearItem(uid, item, was, is)
		if item.name == "FLAGS" {
			a.flags[uid] = true
		}
	}
	a.fetched[uid] = append(a.fetched[uid], items...)
}

// hearItem compares an item with the message as it was before the command or is.
func (c *modelConn) hearItem(uid uint32, item fetchedItem, was, is *modelMessage) {
	c.m.Helper()
	want := ""
	switch item.name {
	case "FLAGS":
		c.hearFlags(uid, item.value, was, is)
		return
	case "UID":
		want = strconv.Itoa(int(uid))
	case "RFC822.SIZE":
		want = strconv.Itoa(len(is.text))
	case "INTERNALDATE":
		want = time.Date(2023, 11, is.date, 22, 13, 20, 0, time.UTC).Format("_2-Jan-2006 15:04:05 -0700")
	case "BODY[]":
		want = is.text
	case "BODY[TEXT]":
		_, want, _ = strings.Cut(is.text, "\r\n\r\n")
	case "BODY[]<3>":
		want = is.text[3:min(3+40, len(is.text))]
	case "BODY[HEADER.FIELDS (SUBJECT)]":
		header, _, _ := strings.Cut(is.text, "\r\n\r\n")
		_, subject, _ := strings.Cut(header, "Subject: ")
		want = "Subject: " + subject + "\r\n\r\n"
	default:
		c.m.Fatalf("unasked item %s", item.name)
	}
	if item.value != want {
		c.m.Fatalf("%s of UID %d is %q, not %q", item.name, uid, item.value, want)
	}
}

func (c *modelConn) hearFlags(uid uint32, list string, was, is *modelMessage) {
	c.m.Helper()
	flags := newFlags(strings.Fields(list)...)
	if flags[`\recent`] {
		delete(flags, `\recent`)
		if c.rev2 || !c.readOnly && is.recentIn != 0 && is.recentIn != c.selection {
			c.m.Fatalf("UID %d is recent in a second session, or for IMAP4rev2", uid)
		}
		if !c.readOnly {
			is.recentIn = c.selection
		}
	}
	if !maps.Equal(flags, is.flags) && !maps.Equal(flags, was.flags) {
		c.m.Fatalf("%s is told that UID %d has (%s), it had (%s) and has (%s)", c.name, uid, flags, was.flags, is.flags)
	}
	for name := range flags {
		if !c.keywords[name] {
			c.m.Fatalf("%s was never told of the keyword %s", c.name, name)
		}
	}
	c.known[uid] = flags
}
