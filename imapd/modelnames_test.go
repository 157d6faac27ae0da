package imapd

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// fresh is a name that no mailbox had.
func (m *model) fresh(word string) string {
	m.selections++
	return word + " " + strconv.Itoa(m.selections)
}

// named is the mailbox of that name, or nil.
func (m *model) named(name string) *modelBox {
	i := slices.IndexFunc(m.boxes, func(b *modelBox) bool { return b.name == name })
	if i < 0 {
		return nil
	}
	return m.boxes[i]
}

// newName draws a name for a mailbox: a new one, one below a mailbox, with a level between at
// times, or one that a mailbox had which was deleted.
func (m *model) newName() string {
	switch m.number("name", 0, 4) {
	case 0:
		return m.fresh("box")
	case 1:
		return m.fresh("level") + "/" + m.fresh("box")
	case 2:
		if names := m.gone(); len(names) > 0 {
			return slices.Min(names)
		}
	}
	return pick(m, "above", m.boxes...).name + "/" + m.fresh("box")
}

// gone are the names of mailboxes that were deleted or renamed.
func (m *model) gone() (names []string) {
	for key := range m.held {
		if name := key[:strings.LastIndexByte(key, ' ')]; m.named(name) == nil {
			names = append(names, name)
		}
	}
	return names
}

// levels makes the mailboxes above a name that are missing.
func (m *model) levels(name string) {
	for above := range above(name) {
		if m.named(above) == nil {
			m.boxes = append(m.boxes, &modelBox{name: above, next: 1})
		}
	}
}

// create is CREATE, of a mailbox that is there too.
func (m *model) create() {
	c := m.awake(false)
	if len(m.boxes) >= 12 {
		m.Skip("enough mailboxes")
	}
	if m.number("there", 0, 9) == 0 {
		c.news("CREATE "+nameOf(pick(m, "mailbox", m.boxes...)), "NO [ALREADYEXISTS]", true)
		return
	}
	b := &modelBox{name: m.newName(), next: 1}
	if strings.Count(b.name, "/") > 4 {
		m.Skip("deep enough")
	}
	c.news("CREATE "+nameOf(b)[:len(nameOf(b))-1]+pick(m, "end", `"`, `/"`), "OK", true)
	m.levels(b.name)
	m.boxes = append(m.boxes, b)
}

// rename is RENAME: of a mailbox with all below it, or of INBOX, which stays and gives
// its messages away.
func (m *model) rename() {
	c := m.awake(false)
	b, to := pick(m, "mailbox", m.boxes...), m.fresh("renamed")
	if m.yes("below") {
		to = pick(m, "above", m.boxes...).name + "/" + to
	}
	command := "RENAME " + nameOf(b) + ` "` + to + `"`
	below := strings.HasPrefix(to, b.name+"/")
	switch {
	case b == m.boxes[0]:
		m.levels(to)
		copied := &modelBox{name: to, next: 1}
		for _, msg := range b.live {
			copied.add(msg.flags, msg.text, msg.date)
		}
		b.live = nil
		m.boxes = append(m.boxes, copied)
		c.news(command, "OK", true)
	case below:
		c.news(command, "NO [CANNOT]", true)
	default:
		from := b.name
		for _, x := range m.boxes {
			if rest, ok := strings.CutPrefix(x.name+"/", from+"/"); ok {
				x.name = strings.TrimSuffix(to+"/"+rest, "/")
				m.heldAs(x)
			}
		}
		m.levels(to)
		c.news(command, "OK", true)
	}
}

// heldAs notes the name that a mailbox has now.
func (m *model) heldAs(b *modelBox) {
	if b.validity != "" {
		m.held[b.name+" "+b.validity] = b
	}
}

// subscribe is SUBSCRIBE and UNSUBSCRIBE, of names that may not be there.
func (m *model) subscribe() {
	c, name := m.awake(false), "not/there"
	if m.number("there", 0, 4) > 0 {
		name = pick(m, "mailbox", m.boxes...).name
	}
	command := pick(m, "command", "SUBSCRIBE", "UNSUBSCRIBE")
	c.news(command+` "`+name+`"`, "OK", true)
	if command == "SUBSCRIBE" {
		m.subscribed[name] = true
	} else {
		delete(m.subscribed, name)
	}
}

// listPattern draws a reference and a pattern, and says what they mean.
func (m *model) listPattern() (text string, matches func(string) bool, percent bool) {
	reference := pick(m, "reference", "", "", "box", "not/", "Archive/")
	pattern := pick(m, "pattern", "*", "%", "b%", "*/%", "%/%", "inbox", "A*e", "%x*", "not/%")
	expression := regexp.QuoteMeta(reference + pattern)
	expression = strings.ReplaceAll(strings.ReplaceAll(expression, `\*`, `.*`), `%`, `[^/]*`)
	if reference == "" && pattern == "inbox" {
		expression = "INBOX"
	}
	matcher := regexp.MustCompile("^" + expression + "$")
	return `"` + reference + `" "` + pattern + `"`, matcher.MatchString, strings.HasSuffix(pattern, "%")
}

// under reports whether one of the names is below a name.
func under(name string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, name+"/") })
}

// everyName are all names there may be in a list: of mailboxes, subscriptions, and the
// levels above both.
func (m *model) everyName() (all, boxes, subscribed []string) {
	names := map[string]bool{}
	for _, b := range m.boxes {
		boxes = append(boxes, b.name)
	}
	subscribed = slices.Collect(maps.Keys(m.subscribed))
	for _, name := range slices.Concat(boxes, subscribed) {
		names[name] = true
		for level := range above(name) {
			names[level] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), boxes, subscribed
}

// written is a name as a response has it.
func (m *model) written(name string) string {
	if strings.Contains(name, " ") {
		return `"` + name + `"`
	}
	return name
}

// childrenOf is the attribute that says whether there is something below.
func childrenOf(name string, boxes []string) string {
	if under(name, boxes) {
		return `\HasChildren`
	}
	return `\HasNoChildren`
}

// list is LIST as IMAP4rev1 has it.
func (m *model) list() {
	c := m.awake(false)
	text, matches, percent := m.listPattern()
	all, boxes, _ := m.everyName()
	var want []string
	for _, name := range all {
		b := m.named(name)
		attrs := childrenOf(name, boxes)
		switch {
		case !matches(name), b == nil && !(percent && under(name, boxes)):
			continue
		case b == nil:
			attrs = `\Noselect ` + attrs
		case b.use != "":
			attrs += " " + b.use
		}
		want = append(want, fmt.Sprintf(`* LIST (%s) "/" %s`, attrs, m.written(name)))
	}
	m.listed(c, "LIST "+text, want)
}

func (m *model) listed(c *modelConn, command string, want []string) {
	if a := c.news(command, "OK", true); !slices.Equal(a.other, want) {
		m.Fatalf("%s told %q, not %q", command, a.other, want)
	}
}

// listExtended is LIST with selection and return options.
func (m *model) listExtended() {
	c := m.awake(false)
	text, matches, _ := m.listPattern()
	recursive, status := m.yes("recursive"), m.yes("status")
	command := "LIST (SUBSCRIBED) " + text
	if recursive {
		command = "LIST (SUBSCRIBED RECURSIVEMATCH) " + text
	}
	if status {
		command += " RETURN (STATUS (MESSAGES UIDNEXT))"
	}
	all, boxes, subscribed := m.everyName()
	var want []string
	for _, name := range all {
		b := m.named(name)
		// A level stands for what is subscribed below it and is not in the answer itself.
		hidden := slices.ContainsFunc(subscribed, func(s string) bool { return strings.HasPrefix(s, name+"/") && !matches(s) })
		if !matches(name) || !m.subscribed[name] && !(recursive && hidden) {
			continue
		}
		line := "* LIST ("
		if b == nil {
			line += `\NonExistent `
		}
		line += childrenOf(name, boxes)
		if m.subscribed[name] {
			line += ` \Subscribed`
		}
		line += `) "/" ` + m.written(name)
		if recursive && under(name, subscribed) {
			line += ` ("CHILDINFO" ("SUBSCRIBED"))`
		}
		want = append(want, line)
		if status && b != nil {
			want = append(want, fmt.Sprintf("* STATUS %s (MESSAGES %d UIDNEXT %d)", m.written(name), len(b.live), b.next))
		}
	}
	m.listed(c, command, want)
}

// lsub is LSUB: a level shows where "%" ends the pattern.
func (m *model) lsub() {
	c := m.awake(false)
	text, matches, percent := m.listPattern()
	all, _, subscribed := m.everyName()
	var want []string
	for _, name := range all {
		switch {
		case !matches(name):
		case m.subscribed[name]:
			want = append(want, `* LSUB () "/" `+m.written(name))
		case percent && under(name, subscribed):
			want = append(want, `* LSUB (\Noselect) "/" `+m.written(name))
		}
	}
	m.listed(c, "LSUB "+text, want)
}
