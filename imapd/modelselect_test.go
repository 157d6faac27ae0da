package imapd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// leaveBox forgets what the client knew of its mailbox.
func (c *modelConn) leaveBox() {
	c.box, c.told, c.known, c.saved, c.keywords = nil, nil, nil, nil, nil
}

// selectBox is SELECT and EXAMINE.
func (m *model) selectBox() {
	c, b := m.awake(false), m.somewhere()
	c.enter(b, m.number("read-only", 0, 3) == 0)
}

func (c *modelConn) enter(b *modelBox, readOnly bool) {
	c.m.Helper()
	m, command := c.m, "SELECT "
	if readOnly {
		command = "EXAMINE "
	}
	c.leaveBox()
	untagged, completion := c.say(command + nameOf(b))
	if b == nil {
		c.want(completion, "NO [NONEXISTENT]")
		return
	}
	m.selections++
	c.box, c.readOnly, c.selection, c.known = b, readOnly, m.selections, map[uint32]flagSet{}
	want := "OK [READ-WRITE]"
	if readOnly {
		want = "OK [READ-ONLY]"
	}
	c.want(completion, want)
	a := c.hearSelected(untagged)
	c.checkSelected(a)
}

// hearSelected takes EXISTS, which must be told even if there is nothing.
func (c *modelConn) hearSelected(untagged []string) answer {
	c.m.Helper()
	exists := fmt.Sprintf("* %d EXISTS", len(c.box.live))
	i := slices.Index(untagged, exists)
	if i < 0 {
		c.m.Fatalf("%s selects %s and is not told %q", c.name, c.box.name, exists)
	}
	if len(c.box.live) == 0 {
		untagged = slices.Delete(untagged, i, i+1)
	}
	return c.hear(untagged, expectation{expunge: true})
}

// checkSelected compares the codes of SELECT.
func (c *modelConn) checkSelected(a answer) {
	c.m.Helper()
	all := strings.Join(a.other, "\n") + "\n"
	first, keywords := 0, newFlags(`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`)
	for i, msg := range c.box.live {
		if first == 0 && !msg.flags[`\seen`] {
			first = i + 1
		}
		for name := range msg.flags {
			keywords[name] = true
		}
	}
	if unseen := strings.Contains(all, "* OK [UNSEEN "+strconv.Itoa(first)+"]"); unseen != (first > 0 && !c.rev2) {
		c.m.Fatalf("UNSEEN: %q; the first is %d", all, first)
	}
	if c.keywords.String() != keywords.String() {
		c.m.Fatalf("FLAGS (%s) where there are (%s)", c.keywords, keywords)
	}
	if want := "* OK [UIDNEXT " + strconv.Itoa(int(c.box.next)) + "]"; !strings.Contains(all, want) {
		c.m.Fatalf("no %q in %q", want, all)
	}
	if permanent := strings.Contains(all, `\*)] `); permanent == c.readOnly || !strings.Contains(all, "* OK [PERMANENTFLAGS (") {
		c.m.Fatalf("PERMANENTFLAGS: %q, read-only: %v", all, c.readOnly)
	}
	if c.rev2 != strings.Contains(all, "* LIST (") {
		c.m.Fatalf("LIST: %q, IMAP4rev2: %v", all, c.rev2)
	}
	i := slices.IndexFunc(a.other, func(l string) bool { return strings.HasPrefix(l, "* OK [UIDVALIDITY ") })
	if i < 0 {
		c.m.Fatalf("no UIDVALIDITY in %q", all)
	}
	c.validity(c.box, a.other[i], "* OK [UIDVALIDITY ", "] ")
}

// leave is CLOSE and UNSELECT.
func (m *model) leave() {
	c := m.awake(true)
	b, readOnly := c.box, c.readOnly
	command := pick(m, "command", "CLOSE", "UNSELECT")
	untagged, completion := c.say(command)
	c.want(completion, "OK")
	if len(untagged) > 0 {
		m.Fatalf("%s told %q", command, untagged)
	}
	c.leaveBox()
	if command == "CLOSE" && !readOnly {
		b.remove(b.deleted())
	}
}

// deleted are the UIDs of messages with \Deleted.
func (b *modelBox) deleted() []uint32 {
	var out []uint32
	for _, msg := range b.live {
		if msg.flags[`\deleted`] {
			out = append(out, msg.uid)
		}
	}
	return out
}

// idle is IDLE, up to DONE: what others do meanwhile is told meanwhile.
func (m *model) idle() {
	c := m.awake(true)
	if len(slices.DeleteFunc(slices.Clone(m.conns), func(o *modelConn) bool { return o.idle != "" })) < 2 {
		m.Skip("somebody has to be awake")
	}
	c.idle = c.begin("IDLE")
	if line, err := c.p.tryResponse(); err != nil || !strings.HasPrefix(line, "+ ") {
		m.Fatalf("IDLE is answered %q, %v", line, err)
	}
}

// done ends IDLE. In which steps the news came depends on the moment, so only what
// the client makes of them is compared.
func (m *model) done() {
	i := slices.IndexFunc(m.conns, func(c *modelConn) bool { return c.idle != "" })
	if i < 0 {
		m.Skip("nobody idles")
	}
	c := m.conns[i]
	c.write("DONE\r\n")
	untagged, completion := c.hearUntil(c.idle)
	c.want(completion, "OK")
	c.idle = ""
	for _, line := range untagged {
		c.hearIdling(line)
	}
	if len(c.told) != len(c.box.live) {
		m.Fatalf("%s counts %d messages after IDLE, there are %d", c.name, len(c.told), len(c.box.live))
	}
	for i, msg := range c.box.live {
		if c.told[i] != 0 && c.told[i] != msg.uid {
			m.Fatalf("%s takes %d for UID %d after IDLE, it is %d", c.name, i+1, c.told[i], msg.uid)
		}
		c.told[i] = msg.uid
	}
	c.settled(true)
}

// hearIdling takes a response to IDLE. Of new messages the UID is not known yet.
func (c *modelConn) hearIdling(line string) {
	c.m.Helper()
	m := stateResponse.FindStringSubmatch(line)
	if m == nil {
		c.hearOther(line, &answer{})
		return
	}
	n, err := strconv.Atoi(m[1])
	what, _, _ := strings.Cut(m[2], " ")
	if err != nil || what != "EXISTS" && what != "RECENT" && (n < 1 || n > len(c.told)) {
		c.m.Fatalf("%s knows of %d messages and is told %q", c.name, len(c.told), line)
	}
	switch what {
	case "EXISTS":
		if n < len(c.told) {
			c.m.Fatalf("EXISTS fell from %d to %d", len(c.told), n)
		}
		c.told = append(c.told, make([]uint32, n-len(c.told))...)
	case "EXPUNGE":
		uid := c.told[n-1]
		c.told = slices.Delete(c.told, n-1, n)
		delete(c.known, uid)
		c.saved = slices.DeleteFunc(c.saved, func(u uint32) bool { return u == uid })
	case "FETCH":
		for _, item := range c.fetchItems(m[2]) {
			if item.name == "FLAGS" && c.told[n-1] != 0 {
				flags := newFlags(strings.Fields(item.value)...)
				delete(flags, `\recent`)
				c.known[c.told[n-1]] = flags
			}
		}
	}
}
