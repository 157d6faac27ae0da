package imapd

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rider is a session in a storm.
type rider struct {
	s       *storm
	p       *peer
	draw    *rand.Rand
	name    string
	keyword string // nobody else sets it

	box       string // "": none selected
	readOnly  bool
	selection int
	told      []uint32           // UID by sequence number; 0 while it is not known
	own       map[place]bool     // whether the keyword is set, as far as it is known
	seen      map[uint32]flagSet // flags that FETCH told
	found     []uint32           // by the last SEARCH
	said      []string           // the last lines of the dialogue
}

// note keeps a line for the report of a failure.
func (r *rider) note(line string) {
	if len(r.said) == 60 {
		r.said = r.said[1:]
	}
	r.said = append(r.said, line)
}

// request is a command that is under way.
type request struct {
	tag, text string
	begin     string       // how the completion may begin: with one of these, by "|"
	after     func() error // what is to be checked when it is completed
	code      func(s string) error
	renumbers bool            // EXPUNGE may be told
	either    map[uint32]bool // UIDs whose keyword it changes
}

// ride says so many commands, or groups of them.
func (r *rider) ride(steps int) error {
	for range steps {
		if err := r.step(); err != nil {
			return fmt.Errorf("%s: %w after\n%s", r.name, err, strings.Join(r.said, "\n"))
		}
	}
	return nil
}

func (r *rider) step() error {
	if r.box == "" || r.draw.IntN(25) == 0 {
		return r.enter(stormBoxes[r.draw.IntN(len(stormBoxes))], r.draw.IntN(5) == 0)
	}
	switch r.draw.IntN(10) {
	case 0:
		return r.idle()
	case 1:
		return r.deliver()
	case 2:
		return r.carry(r.byNumber())
	}
	// Commands on UIDs mean the same whatever comes between, so they may follow each other
	// without waiting.
	var group []*request
	for range 1 + r.draw.IntN(3) {
		group = append(group, r.any())
	}
	return r.carry(group...)
}

// any draws a command that does not name messages by number.
func (r *rider) any() *request {
	switch n := r.draw.IntN(12); {
	case n < 2:
		return r.appendOne()
	case n < 5:
		return r.store(true)
	case n < 6:
		return r.search()
	case n < 7:
		return r.expunge()
	case n < 9:
		return r.transfer()
	case n < 10:
		return &request{text: "NOOP", renumbers: true}
	}
	return &request{text: "UID FETCH " + pickOne(r.draw, "1:*", r.some().text()) + " (FLAGS BODY.PEEK[])", renumbers: true}
}

func pickOne(draw *rand.Rand, list ...string) string { return list[draw.IntN(len(list))] }

// uids is a list of UIDs.
type uids []uint32

func (u uids) text() string { return ranges(u) }

// some draws known messages; one that will never be where none are known.
func (r *rider) some() uids {
	var out uids
	for range 1 + r.draw.IntN(4) {
		if len(r.told) > 0 {
			if uid := r.told[r.draw.IntN(len(r.told))]; uid != 0 {
				out = append(out, uid)
			}
		}
	}
	if len(out) == 0 {
		out = uids{1 << 31}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// byNumber draws a command on messages by number, which has to be alone.
func (r *rider) byNumber() *request {
	if len(r.told) == 0 {
		return &request{text: "NOOP", renumbers: true}
	}
	if r.draw.IntN(2) == 0 {
		return r.store(false)
	}
	return r.fetchNumbers()
}

func (r *rider) fetchNumbers() *request {
	return &request{text: fmt.Sprintf("FETCH %d:* (UID FLAGS)", 1+r.draw.IntN(len(r.told))), begin: "OK|NO [EXPUNGEISSUED]"}
}

// say carries out plain commands that have to succeed.
func (r *rider) say(commands ...string) error {
	var group []*request
	for _, text := range commands {
		group = append(group, &request{text: text, renumbers: true})
	}
	return r.carry(group...)
}

// carry sends commands without waiting, and hears the answers.
func (r *rider) carry(group ...*request) error {
	var all strings.Builder
	for _, q := range group {
		r.p.tags++
		q.tag = r.name + "." + strconv.Itoa(r.p.tags)
		all.WriteString(q.tag + " " + q.text + "\r\n")
	}
	if err := r.write(all.String()); err != nil {
		return err
	}
	for _, q := range group {
		if err := r.await(q); err != nil {
			return fmt.Errorf("%s: %w", q.text, err)
		}
	}
	return nil
}

func (r *rider) write(text string) error {
	r.note(fmt.Sprintf("C: %q", text))
	r.p.conn.SetDeadline(time.Now().Add(patience))
	_, err := io.WriteString(r.p.conn, text)
	return err
}

// await hears the answers to a command.
func (r *rider) await(q *request) error {
	for {
		line, err := r.p.tryResponse()
		if err != nil {
			return err
		}
		r.note(fmt.Sprintf("S: %q", line))
		rest, done := strings.CutPrefix(line, q.tag+" ")
		if !done {
			if err := r.hear(line, q); err != nil {
				return err
			}
			continue
		}
		if !slices.ContainsFunc(strings.Split("OK|"+q.begin, "|"), func(b string) bool { return b != "" && strings.HasPrefix(rest, b) }) {
			return fmt.Errorf("completed with %q", rest)
		}
		if q.code != nil && strings.HasPrefix(rest, "OK [") {
			if err := q.code(rest); err != nil {
				return err
			}
		}
		if q.after != nil {
			return q.after()
		}
		return nil
	}
}

// hear takes an untagged response.
func (r *rider) hear(line string, q *request) error {
	if strings.HasPrefix(line, "* OK [COPYUID ") && q.code != nil {
		return q.code(line[2:])
	}
	if list, ok := strings.CutPrefix(line, "* SEARCH"); ok {
		return r.hearFound(strings.ReplaceAll(list, " ", ","))
	}
	if strings.HasPrefix(line, "* ESEARCH ") {
		_, list, _ := strings.Cut(line, " ALL ")
		return r.hearFound(list)
	}
	m := stateResponse.FindStringSubmatch(line)
	if m == nil {
		if strings.HasPrefix(line, "* BYE") {
			return errors.New(line)
		}
		return nil
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return err
	}
	switch what, _, _ := strings.Cut(m[2], " "); {
	case what == "EXISTS" && n < len(r.told):
		return fmt.Errorf("EXISTS falls from %d to %d", len(r.told), n)
	case what == "EXISTS":
		r.told = append(r.told, make([]uint32, n-len(r.told))...)
	case what == "RECENT":
	case n < 1 || n > len(r.told):
		return fmt.Errorf("%q of %d messages", line, len(r.told))
	case what == "EXPUNGE":
		return r.hearExpunge(n, q)
	default:
		return r.hearFetch(n, m[2], q)
	}
	return nil
}

func (r *rider) hearExpunge(n int, q *request) error {
	if !q.renumbers {
		return fmt.Errorf("EXPUNGE %d where none may be told", n)
	}
	r.told = slices.Delete(r.told, n-1, n)
	return nil
}

// hearFetch compares what is told of a message with what anybody knows of it.
func (r *rider) hearFetch(n int, text string, q *request) error {
	items, err := cutItems(text)
	if err != nil {
		return err
	}
	for _, item := range items {
		if item.name == "UID" {
			if err := r.hearUID(n, item.value); err != nil {
				return err
			}
		}
	}
	uid := r.told[n-1]
	if uid == 0 {
		return nil // of a message whose UID is not known yet
	}
	for _, item := range items {
		switch item.name {
		case "BODY[]":
			err = r.s.observe(place{r.box, uid}, item.value)
		case "FLAGS":
			err = r.hearFlags(uid, newFlags(strings.Fields(item.value)...), q)
		}
		if err != nil {
			return fmt.Errorf("UID %d of %s: %w", uid, r.box, err)
		}
	}
	return nil
}

func (r *rider) hearUID(n int, value string) error {
	uid, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return err
	}
	if known := r.told[n-1]; known != 0 && known != uint32(uid) {
		return fmt.Errorf("message %d has UID %d and had %d", n, uid, known)
	}
	r.told[n-1] = uint32(uid)
	for i, other := range r.told {
		if other != 0 && (i < n-1 && other >= uint32(uid) || i > n-1 && other <= uint32(uid)) {
			return fmt.Errorf("UIDs do not rise: %v", r.told)
		}
	}
	return nil
}

// hearFlags holds that the session's keyword is as it left it, and that \Recent is one session's.
func (r *rider) hearFlags(uid uint32, flags flagSet, q *request) error {
	at := place{r.box, uid}
	if set, known := r.own[at]; known && flags[r.keyword] != set && !q.either[uid] {
		return fmt.Errorf("flags (%s), and %s was left at %v", flags, r.keyword, set)
	} else if !known {
		r.own[at] = flags[r.keyword]
	}
	if r.seen != nil {
		clean := newFlags(strings.Fields(flags.String())...)
		delete(clean, `\recent`)
		r.seen[uid] = clean
	}
	if !flags[`\recent`] || r.readOnly {
		return nil
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	selection := r.name + "/" + strconv.Itoa(r.selection)
	if other, ok := r.s.recent[at]; ok && other != selection {
		return fmt.Errorf("recent in %s and in %s", other, selection)
	}
	r.s.recent[at] = selection
	return nil
}
