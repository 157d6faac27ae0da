package imapd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pgregory.net/rapid"
)

// pick draws one of a list.
func pick[T any](m *model, what string, list ...T) T {
	return rapid.SampledFrom(list).Draw(m.T, what)
}

func (m *model) number(what string, low, high int) int {
	return rapid.IntRange(low, high).Draw(m.T, what)
}

func (m *model) yes(what string) bool { return rapid.Bool().Draw(m.T, what) }

// awake draws a session that does not idle; with a mailbox selected if that is needed.
func (m *model) awake(selected bool) *modelConn {
	var fit []*modelConn
	for _, c := range m.conns {
		if c.idle == "" && (c.box != nil || !selected) {
			fit = append(fit, c)
		}
	}
	if len(fit) == 0 {
		m.Skip("no session can")
	}
	return pick(m, "session", fit...)
}

// somewhere draws a mailbox, mostly one of the first; rarely one that is not there, which
// is nil.
func (m *model) somewhere() *modelBox {
	some := []*modelBox{m.boxes[0], m.boxes[0], m.boxes[0], m.boxes[1], m.boxes[1], m.boxes[1]}
	return pick(m, "mailbox", append(append(some, m.boxes[2:]...), nil)...)
}

func nameOf(b *modelBox) string {
	if b == nil {
		return "nowhere"
	}
	return `"` + b.name + `"`
}

// want checks how a completion begins.
func (c *modelConn) want(completion, start string) {
	c.m.Helper()
	if !strings.HasPrefix(completion, start) {
		c.m.Fatalf("%s: the completion is %q, not %s", c.name, completion, start)
	}
}

// news is a command whose only responses are the news.
func (c *modelConn) news(command, completion string, expunge bool) answer {
	c.m.Helper()
	untagged, got := c.say(command)
	c.want(got, completion)
	return c.hear(untagged, expectation{expunge: expunge})
}

var modelFlags = []string{`\Seen`, `\Flagged`, `\Deleted`, `\Deleted`, `\Answered`, `\Draft`, "work", "$Forwarded", "Later"}

func (m *model) someFlags() []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(modelFlags), 0, 3, rapid.ID[string]).Draw(m.T, "flags")
}

var modelWords = []string{"alpha", "beta", "gamma", "alphabet", "delta delta"}

func (m *model) someText() string {
	return mail(strings.Join(rapid.SliceOfN(rapid.SampledFrom(modelWords), 0, 3).Draw(m.T, "words"), " ") +
		strings.Repeat(" x", 10*m.number("length", 0, 5)))
}

func (m *model) noop() {
	c := m.awake(false)
	command := "NOOP"
	if c.box != nil {
		command = pick(m, "command", "NOOP", "CHECK")
	}
	c.news(command, "OK", true)
}

func (m *model) deliverSome() {
	m.deliver(pick(m, "mailbox", m.boxes...), strings.Join(rapid.SliceOfN(rapid.SampledFrom(modelWords), 0, 3).Draw(m.T, "words"), " "))
}

// appendMessages is APPEND of one or several messages.
func (m *model) appendMessages() {
	c, b := m.awake(false), m.somewhere()
	var command strings.Builder
	command.WriteString("APPEND " + nameOf(b))
	var uids []string
	for range m.number("messages", 1, 3) {
		flags, text, day := m.someFlags(), m.someText(), m.number("day", 1, 30)
		fmt.Fprintf(&command, ` (%s) "%2d-Nov-2023 22:13:20 +0000" {%d+}%s`, strings.Join(flags, " "), day, len(text), "\r\n"+text)
		if b != nil {
			uids = append(uids, strconv.Itoa(int(b.add(newFlags(flags...), text, day))))
		}
	}
	if b == nil {
		c.news(command.String(), "NO [TRYCREATE]", true)
		return
	}
	set := uids[0]
	if n := len(uids); n > 1 {
		set += ":" + uids[n-1]
	}
	untagged, completion := c.say(command.String())
	c.hear(untagged, expectation{expunge: true})
	c.validity(b, completion, "OK [APPENDUID ", " "+set+"]")
}

// validity checks a code that has a mailbox's UIDVALIDITY in it.
func (c *modelConn) validity(b *modelBox, text, before, after string) {
	c.m.Helper()
	rest, ok := strings.CutPrefix(text, before)
	v, _, _ := strings.Cut(rest, strings.TrimSuffix(after, after[1:]))
	if b.validity == "" {
		b.validity = v
		if other := c.m.held[b.name+" "+v]; other != nil {
			c.m.Fatalf("UIDVALIDITY %s of %s is another mailbox's, which had the name before", v, b.name)
		}
		c.m.held[b.name+" "+v] = b
	}
	if !ok || !strings.HasPrefix(rest, b.validity+after) {
		c.m.Fatalf("%s: %q is not %q, then %s, then %q", c.name, text, before, b.validity, after)
	}
}

// statusOf is what STATUS has to tell.
func (b *modelBox) status(item string) int {
	n := 0
	for _, msg := range b.live {
		switch {
		case item == "MESSAGES", item == "UNSEEN" && !msg.flags[`\seen`], item == "DELETED" && msg.flags[`\deleted`]:
			n++
		case item == "SIZE":
			n += len(msg.text)
		}
	}
	if item == "UIDNEXT" {
		return int(b.next)
	}
	return n
}

func (m *model) status() {
	c, b := m.awake(false), m.somewhere()
	if b == nil {
		c.news("STATUS nowhere (MESSAGES)", "NO [NONEXISTENT]", true)
		return
	}
	want := []string{}
	items := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"MESSAGES", "UNSEEN", "DELETED", "SIZE", "UIDNEXT"}), 1, 5, rapid.ID[string]).Draw(m.T, "items")
	for _, item := range items {
		want = append(want, fmt.Sprintf("%s %d", item, b.status(item)))
	}
	a := c.news("STATUS "+nameOf(b)+" ("+strings.Join(items, " ")+")", "OK", true)
	if len(a.other) != 1 || !strings.HasSuffix(a.other[0], " ("+strings.Join(want, " ")+")") {
		m.Fatalf("STATUS told %q, not %q", a.other, want)
	}
}

// wrong are commands that are none, or name what is not there.
func (m *model) wrong() {
	c := m.awake(false)
	command := pick(m, "command", "FROB", "UID NOOP", "FETCH 1", "STORE 1 FLAGS", "SEARCH KEYWORD", "FETCH 0 UID", "COPY 1", "SELECT", "FETCH 999 FLAGS")
	untagged, completion := c.say(command)
	c.want(completion, "BAD")
	if strings.HasPrefix(command, "FETCH 999") {
		c.hear(untagged, expectation{}) // a command, if not one that can be done
	} else if len(untagged) > 0 {
		m.Fatalf("%s told %q", command, untagged)
	}
}

// deleteBox is DELETE. Those who have the mailbox selected are sent away.
func (m *model) deleteBox() {
	c := m.awake(false)
	b := pick(m, "mailbox", m.boxes...)
	if b == m.boxes[0] {
		c.news("DELETE INBOX", "NO [CANNOT]", true)
		return
	}
	if len(m.boxes) < 3 {
		m.Skip("too few mailboxes")
	}
	m.boxes = slices.DeleteFunc(m.boxes, func(x *modelBox) bool { return x == b })
	untagged, completion := c.say("DELETE " + nameOf(b))
	c.want(completion, "OK")
	if c.box == b {
		c.leaveBox()
		closed := func(line string) bool { return strings.HasPrefix(line, "* OK [CLOSED] ") }
		i := slices.IndexFunc(untagged, closed)
		if i < 0 {
			m.Fatalf("%s is not told CLOSED when it deletes its mailbox: %q", c.name, untagged)
		}
		untagged = slices.Delete(untagged, i, i+1)
	}
	c.hear(untagged, expectation{expunge: true})
	for i, other := range m.conns {
		if other.box != b {
			continue
		}
		if other.idle == "" {
			other.begin("NOOP")
		}
		m.sentAway(other)
		m.conns[i] = m.connect()
	}
}

// sentAway reads to the server's BYE and to the end.
func (m *model) sentAway(c *modelConn) {
	bye := false
	for {
		line, err := c.p.tryResponse()
		if err != nil {
			break
		}
		m.Logf("%s S: %q", c.name, line)
		bye = bye || strings.HasPrefix(line, "* BYE ")
	}
	c.p.conn.Close()
	if !bye {
		m.Fatalf("%s is not told BYE when its mailbox is deleted", c.name)
	}
}

func (m *model) reconnect() {
	c := m.awake(false)
	untagged, completion := c.say("LOGOUT")
	c.want(completion, "OK")
	if len(untagged) == 0 || !strings.HasPrefix(untagged[0], "* BYE ") {
		m.Fatalf("LOGOUT told %q", untagged)
	}
	c.p.conn.Close()
	m.conns[slices.Index(m.conns, c)] = m.connect()
}
