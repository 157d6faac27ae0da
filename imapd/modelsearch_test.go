package imapd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// searched is a search key and what it means.
type searched struct {
	text    string
	matches func(number int, msg *modelMessage) bool
}

// key draws a search key for a client that knows of told.
func (c *modelConn) key(depth int, told []uint32) searched {
	m := c.m
	if depth > 0 && m.number("nested", 0, 2) == 0 {
		return c.nestedKey(depth, told)
	}
	switch m.number("key", 0, 7) {
	case 0:
		return searched{"ALL", func(int, *modelMessage) bool { return true }}
	case 1:
		return flagKey(pick(m, "flag", modelFlags...), m.yes("not"))
	case 2:
		word := pick(m, "word", "alpha", "BETA", "gam", "nowhere", "delta  delta")
		return searched{`SUBJECT "` + word + `"`, func(_ int, msg *modelMessage) bool {
			_, subject, _ := strings.Cut(msg.text, "Subject: ")
			subject, _, _ = strings.Cut(subject, "\r\n")
			return strings.Contains(subject, strings.Join(strings.Fields(strings.ToLower(word)), " "))
		}}
	case 3:
		size := m.number("size", 60, 180)
		if m.yes("larger") {
			return searched{fmt.Sprintf("LARGER %d", size), func(_ int, msg *modelMessage) bool { return len(msg.text) > size }}
		}
		return searched{fmt.Sprintf("SMALLER %d", size), func(_ int, msg *modelMessage) bool { return len(msg.text) < size }}
	case 4:
		day := m.number("day", 1, 30)
		if m.yes("since") {
			return searched{fmt.Sprintf("SINCE %d-Nov-2023", day), func(_ int, msg *modelMessage) bool { return msg.date >= day }}
		}
		return searched{fmt.Sprintf("ON %d-Nov-2023", day), func(_ int, msg *modelMessage) bool { return msg.date == day }}
	case 5:
		a, b := m.number("from", 1, int(c.box.next)+1), m.number("to", 1, int(c.box.next)+1)
		return searched{fmt.Sprintf("UID %d:%d", a, b), func(_ int, msg *modelMessage) bool {
			return int(msg.uid) >= min(a, b) && int(msg.uid) <= max(a, b)
		}}
	case 6:
		if len(told) == 0 {
			return searched{"1:*", func(int, *modelMessage) bool { return false }}
		}
		a, b := m.number("from", 1, len(told)), m.number("to", 1, len(told))
		return searched{c.rangeText(a, b, len(told)), func(n int, _ *modelMessage) bool { return n >= min(a, b) && n <= max(a, b) }}
	}
	saved := slices.Clone(c.saved)
	return searched{"$", func(_ int, msg *modelMessage) bool { return slices.Contains(saved, msg.uid) }}
}

func (c *modelConn) nestedKey(depth int, told []uint32) searched {
	a := c.key(depth-1, told)
	switch c.m.number("operator", 0, 2) {
	case 0:
		return searched{"NOT " + a.text, func(n int, msg *modelMessage) bool { return !a.matches(n, msg) }}
	case 1:
		b := c.key(depth-1, told)
		return searched{"OR " + a.text + " " + b.text, func(n int, msg *modelMessage) bool { return a.matches(n, msg) || b.matches(n, msg) }}
	}
	b := c.key(depth-1, told)
	return searched{"(" + a.text + " " + b.text + ")", func(n int, msg *modelMessage) bool { return a.matches(n, msg) && b.matches(n, msg) }}
}

// flagKey is a key on a flag.
func flagKey(flag string, not bool) searched {
	name, system := strings.CutPrefix(flag, `\`)
	text := strings.ToUpper(name)
	switch {
	case system && not:
		text = "UN" + text
	case not:
		text = "UNKEYWORD " + name
	case !system:
		text = "KEYWORD " + strings.ToUpper(name)
	}
	return searched{text, func(_ int, msg *modelMessage) bool { return msg.flags[strings.ToLower(flag)] != not }}
}

// search is SEARCH and UID SEARCH, with and without RETURN.
func (m *model) search() {
	c := m.awake(true)
	uid, before := m.yes("uid"), c.box.above(c.last())
	told := slices.Concat(c.told, before)
	if uid { // expunges are told first, so numbers are of what is there
		told = c.there(told)
	}
	key := c.key(2, told)
	returns := pick(m, "return", "", "", "()", "(ALL)", "(COUNT)", "(MIN MAX)", "(MIN COUNT ALL)", "(SAVE)", "(SAVE MIN)", "(SAVE COUNT)")
	command := "SEARCH " + key.text
	if returns != "" {
		command = "SEARCH RETURN " + returns + " " + key.text
	}
	if uid {
		command = "UID " + command
	}
	var hits, numbers []uint32
	for i, u := range told {
		if msg := c.box.find(u); msg != nil && key.matches(i+1, msg) {
			hits = append(hits, u)
			numbers = append(numbers, uint32(i+1))
		}
	}
	if uid {
		numbers = hits
	}
	tag := c.begin(command)
	untagged, completion := c.hearUntil(tag)
	a := c.hear(untagged, expectation{before: before, expunge: uid, uid: uid})
	c.want(completion, "OK")
	if want := c.searchAnswer(tag, returns, uid, numbers); !slices.Equal(a.other, want) {
		m.Fatalf("%s: %s found %q, not %q", c.name, command, a.other, want)
	}
	if strings.Contains(returns, "SAVE") {
		c.saved = hits
		if strings.Contains(returns, "MIN") && len(hits) > 0 {
			c.saved = hits[:1]
		}
	}
}

// searchAnswer is the response to a SEARCH.
func (c *modelConn) searchAnswer(tag, returns string, uid bool, numbers []uint32) []string {
	if returns == "" && !c.rev2 {
		line := "* SEARCH"
		for _, n := range numbers {
			line += " " + strconv.Itoa(int(n))
		}
		return []string{line}
	}
	if returns == "(SAVE)" {
		return nil
	}
	line := `* ESEARCH (TAG "` + tag + `")`
	if uid {
		line += " UID"
	}
	found := len(numbers) > 0
	if found && strings.Contains(returns, "MIN") {
		line += fmt.Sprintf(" MIN %d", numbers[0])
	}
	if found && strings.Contains(returns, "MAX") {
		line += fmt.Sprintf(" MAX %d", numbers[len(numbers)-1])
	}
	if strings.Contains(returns, "COUNT") {
		line += fmt.Sprintf(" COUNT %d", len(numbers))
	}
	if found && (returns == "" || returns == "()" || strings.Contains(returns, "ALL")) {
		line += " ALL " + ranges(numbers)
	}
	return []string{line}
}
