package imapd

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// chosen is a set of messages as a command names it.
type chosen struct {
	text    string
	uid     bool     // a set of UIDs
	before  []uint32 // UIDs that are told first, since the set goes beyond those told
	targets []uint32 // UIDs told that are named, there or not
}

// choose draws a set of messages.
func (c *modelConn) choose() chosen {
	m := c.m
	if len(c.saved) > 0 && m.number("saved", 0, 4) == 0 {
		return chosen{text: "$", targets: slices.Clone(c.saved)}
	}
	if m.yes("uid") {
		return c.chooseUIDs()
	}
	if len(c.told) == 0 {
		return chosen{text: "1:*"}
	}
	var texts []string
	named := map[int]bool{}
	for range m.number("ranges", 1, 3) {
		from, to := m.number("from", 1, len(c.told)), m.number("to", 1, len(c.told))
		for n := min(from, to); n <= max(from, to); n++ {
			named[n] = true
		}
		texts = append(texts, c.rangeText(from, to, len(c.told)))
	}
	s := chosen{text: strings.Join(texts, ",")}
	for _, n := range slices.Sorted(maps.Keys(named)) {
		s.targets = append(s.targets, c.told[n-1])
	}
	return s
}

// rangeText writes a range, with "*" for the last at times.
func (c *modelConn) rangeText(from, to, last int) string {
	a, b := strconv.Itoa(from), strconv.Itoa(to)
	if to == last && c.m.yes("star") {
		b = "*"
	}
	if from == to && c.m.yes("one") {
		return b
	}
	return a + ":" + b
}

// chooseUIDs draws a set of UIDs, of which some may not be there.
func (c *modelConn) chooseUIDs() chosen {
	m := c.m
	s := chosen{uid: true}
	top := int(c.box.next) + 1
	from, to := m.number("from", 1, top), m.number("to", 1, top)
	star := m.number("star", 0, 2) == 0
	s.text = fmt.Sprintf("%d:%d", from, to)
	if star {
		s.text = fmt.Sprintf("%d:*", from)
	}
	if star || max(from, to) > int(c.last()) {
		s.before = c.box.above(c.last())
	}
	told := slices.Concat(c.told, s.before)
	if star {
		to = from
		if len(told) > 0 {
			to = int(told[len(told)-1])
		}
	}
	for _, uid := range told {
		if int(uid) >= min(from, to) && int(uid) <= max(from, to) {
			s.targets = append(s.targets, uid)
		}
	}
	return s
}

// command puts "UID" before a command on a set of UIDs.
func (s chosen) command(name, rest string) string {
	command := name + " " + s.text + " " + rest
	if s.uid {
		return "UID " + command
	}
	return command
}

// completion is OK, or NO where numbers name messages that are gone.
func (s chosen) completion(there []uint32) string {
	if !s.uid && len(there) < len(s.targets) {
		return "NO [EXPUNGEISSUED]"
	}
	return "OK"
}

// fetchable are items and the names under which they come.
var fetchable = []struct {
	items string
	names []string
	marks bool
}{
	{"(UID FLAGS)", []string{"UID", "FLAGS"}, false},
	{"FLAGS", []string{"FLAGS"}, false},
	{"FAST", []string{"FLAGS", "INTERNALDATE", "RFC822.SIZE"}, false},
	{"BODY.PEEK[]", []string{"BODY[]"}, false},
	{"(UID BODY.PEEK[]<3.40>)", []string{"UID", "BODY[]<3>"}, false},
	{"BODY[TEXT]", []string{"BODY[TEXT]"}, true},
	{"(FLAGS BODY[HEADER.FIELDS (SUBJECT)])", []string{"FLAGS", "BODY[HEADER.FIELDS (SUBJECT)]"}, true},
}

func (m *model) fetch() {
	c := m.awake(true)
	s, what := c.choose(), pick(m, "items", fetchable...)
	there, old := c.there(s.targets), c.box.snapshot()
	if what.marks && !c.readOnly {
		for _, uid := range there {
			c.box.find(uid).flags[`\seen`] = true
		}
	}
	untagged, completion := c.say(s.command("FETCH", what.items))
	a := c.hear(untagged, expectation{before: s.before, expunge: s.uid, old: old, asked: true, uid: s.uid})
	c.want(completion, s.completion(there))
	names := what.names
	if s.uid {
		names = append([]string{"UID"}, names...)
	}
	for _, uid := range there {
		for _, name := range names {
			if !slices.ContainsFunc(a.fetched[uid], func(i fetchedItem) bool { return i.name == name }) {
				m.Fatalf("no %s of UID %d", name, uid)
			}
		}
	}
}

func (m *model) store() {
	c := m.awake(true)
	s, op, flags, silent := c.choose(), pick(m, "how", "+", "-", ""), m.someFlags(), m.yes("silent")
	item := op + "FLAGS"
	if silent {
		item += ".SILENT"
	}
	command := s.command("STORE", item+" ("+strings.Join(flags, " ")+")")
	if c.readOnly {
		c.news(command, "NO [READ-ONLY]", s.uid)
		return
	}
	there, old := c.there(s.targets), c.box.snapshot()
	for _, uid := range there {
		msg := c.box.find(uid)
		msg.flags = msg.flags.changed(op, flags)
		if silent && c.known[uid] != nil {
			c.known[uid] = c.known[uid].changed(op, flags)
		}
	}
	untagged, completion := c.say(command)
	a := c.hear(untagged, expectation{before: s.before, expunge: s.uid, old: old, asked: true, uid: s.uid})
	if silent {
		c.want(completion, "OK")
		return
	}
	c.want(completion, s.completion(there))
	for _, uid := range there {
		if !a.flags[uid] {
			m.Fatalf("STORE did not tell the flags of UID %d", uid)
		}
	}
}

func (m *model) expunge() {
	c := m.awake(true)
	s := chosen{text: "EXPUNGE"}
	gone := c.box.deleted()
	if m.yes("by UID") {
		s = c.chooseUIDs()
		gone = slices.DeleteFunc(gone, func(uid uint32) bool { return !slices.Contains(s.targets, uid) })
		s.text = "UID EXPUNGE " + s.text
	}
	if c.readOnly {
		c.news(s.text, "NO [READ-ONLY]", true)
		return
	}
	old := c.box.snapshot()
	c.box.remove(gone)
	untagged, completion := c.say(s.text)
	c.hear(untagged, expectation{before: s.before, expunge: true, old: old, uid: s.uid})
	c.want(completion, "OK")
}

func (m *model) copy() { m.transfer("COPY") }

func (m *model) move() { m.transfer("MOVE") }

// transfer is COPY and MOVE.
func (m *model) transfer(name string) {
	c := m.awake(true)
	s, to := c.choose(), m.somewhere()
	there, old := c.there(s.targets), c.box.snapshot()
	command := s.command(name, nameOf(to))
	if name == "MOVE" && c.readOnly {
		c.news(command, "NO [READ-ONLY]", true)
		return
	}
	want := s.completion(there)
	if to == nil {
		want = "NO [TRYCREATE]"
	}
	var made []string
	if want == "OK" && (name == "COPY" || len(there) > 0) {
		made = c.transferred(name, there, to)
	}
	untagged, completion := c.say(command)
	a := c.hear(untagged, expectation{before: s.before, expunge: true, old: old, uid: s.uid})
	c.want(completion, want)
	if len(made) == 0 {
		return
	}
	code := completion
	if name == "MOVE" {
		if len(a.other) == 0 {
			m.Fatalf("MOVE told no COPYUID")
		}
		code = strings.TrimPrefix(a.other[0], "* ")
	}
	c.validity(to, code, "OK [COPYUID ", " "+ranges(there)+" "+strings.Join(made, ",")+"]")
}

// transferred carries a COPY or MOVE out, and returns the new UIDs as a set.
func (c *modelConn) transferred(name string, there []uint32, to *modelBox) (made []string) {
	var uids []uint32
	var messages []*modelMessage
	for _, uid := range there {
		messages = append(messages, c.box.find(uid))
	}
	if name == "MOVE" {
		c.box.remove(there)
	}
	for _, msg := range messages {
		uids = append(uids, to.add(msg.flags, msg.text, msg.date))
	}
	if len(uids) == 0 {
		return nil
	}
	return []string{ranges(uids)}
}

// ranges writes rising UIDs as a set.
func ranges(uids []uint32) string {
	var parts []string
	for i := 0; i < len(uids); {
		j := i
		for j+1 < len(uids) && uids[j+1] == uids[j]+1 {
			j++
		}
		part := strconv.Itoa(int(uids[i]))
		if j > i {
			part += ":" + strconv.Itoa(int(uids[j]))
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}
