package imapd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// enter is SELECT or EXAMINE. What was known by number is forgotten.
func (r *rider) enter(box string, readOnly bool) error {
	r.selection++
	r.box, r.readOnly, r.told = box, readOnly, nil
	command := "SELECT "
	if readOnly {
		command = "EXAMINE "
	}
	commands := []string{command + box}
	if r.draw.IntN(4) > 0 {
		commands = append(commands, "UID FETCH 1:* FLAGS")
	}
	for _, command := range commands {
		if err := r.say(command); err != nil {
			return err
		}
	}
	return nil
}

// appendOne is APPEND of a message to any of the mailboxes.
func (r *rider) appendOne() *request {
	box, text := stormBoxes[r.draw.IntN(len(stormBoxes))], r.s.text()
	return &request{text: fmt.Sprintf("APPEND %s {%d+}\r\n%s", box, len(text), text), renumbers: true, code: func(code string) error {
		uid, err := lastNumber(code, "OK [APPENDUID ")
		if err != nil {
			return err
		}
		return r.s.stored(place{box, uid}, text)
	}}
}

// lastNumber is the number that ends a response code.
func lastNumber(code, begin string) (uint32, error) {
	rest, ok := strings.CutPrefix(code, begin)
	fields := strings.Fields(strings.TrimRight(strings.SplitAfter(rest, "]")[0], "]"))
	if !ok || len(fields) != 2 {
		return 0, fmt.Errorf("no code %q: %q", begin, code)
	}
	n, err := strconv.ParseUint(fields[1], 10, 32)
	return uint32(n), err
}

// deliver stores a message as another program would.
func (r *rider) deliver() error {
	box, text := stormBoxes[r.draw.IntN(len(stormBoxes))], r.s.text()
	uid, err := r.s.h.tryDeliver(r.s.user, box, text)
	if err != nil {
		return err
	}
	return r.s.stored(place{box, uint32(uid)}, text)
}

// idle is IDLE during which a message comes to the mailbox, which has to be told.
func (r *rider) idle() error {
	r.p.tags++
	q := &request{tag: r.name + "." + strconv.Itoa(r.p.tags), text: "IDLE", renumbers: true}
	if err := r.write(q.tag + " IDLE\r\n"); err != nil {
		return err
	}
	text, delivered := r.s.text(), uint32(0)
	for !slices.Contains(r.told, delivered) || delivered == 0 {
		line, err := r.p.tryResponse()
		if err != nil {
			return fmt.Errorf("IDLE, UID %d was delivered: %w", delivered, err)
		}
		if strings.HasPrefix(line, "+ ") {
			uid, err := r.s.h.tryDeliver(r.s.user, r.box, text)
			if err != nil {
				return err
			}
			delivered = uint32(uid)
			if err := r.s.stored(place{r.box, delivered}, text); err != nil {
				return err
			}
			continue
		}
		if err := r.hear(line, q); err != nil {
			return err
		}
		if strings.HasSuffix(line, " EXISTS") && delivered != 0 {
			break // of this message or of one that came with it
		}
	}
	if err := r.write("DONE\r\n"); err != nil {
		return err
	}
	return r.await(q)
}

// store sets or takes the session's keyword, at times with \Deleted.
func (r *rider) store(byUID bool) *request {
	set, op := r.some(), pickOne(r.draw, "+", "-")
	flags := r.keyword
	if r.draw.IntN(4) == 0 {
		flags += ` \Deleted`
	}
	q := &request{renumbers: byUID, either: map[uint32]bool{}}
	command := "UID STORE " + set.text()
	if !byUID {
		numbers := r.numbers(&set)
		if len(numbers) == 0 {
			return r.fetchNumbers()
		}
		command = "STORE " + ranges(numbers)
	}
	q.text = command + " " + op + "FLAGS" + pickOne(r.draw, "", ".SILENT") + " (" + flags + ")"
	q.begin = "NO [EXPUNGEISSUED]"
	if r.readOnly {
		q.begin = "NO [READ-ONLY]"
		return q
	}
	if op == "+" && flags != r.keyword {
		r.s.leave(r.box, set)
	}
	for _, uid := range set {
		q.either[uid] = true
	}
	q.after = func() error {
		for uid := range q.either {
			r.own[place{r.box, uid}] = op == "+"
		}
		return nil
	}
	return q
}

// numbers are the sequence numbers of those of the UIDs that have one; the others are left
// out of the set.
func (r *rider) numbers(set *uids) (out []uint32) {
	*set = slices.DeleteFunc(*set, func(uid uint32) bool {
		n := slices.Index(r.told, uid)
		if n >= 0 {
			out = append(out, uint32(n+1))
		}
		return n < 0
	})
	return out
}

// search looks for the session's keyword: what it knows to have it is found, and nothing else.
func (r *rider) search() *request {
	r.found = nil
	return &request{text: "UID SEARCH KEYWORD " + r.keyword, renumbers: true, after: func() error {
		for _, uid := range r.found {
			if set, known := r.own[place{r.box, uid}]; known && !set {
				return fmt.Errorf("UID %d of %s is found, and %s is not set", uid, r.box, r.keyword)
			}
		}
		for _, uid := range r.told {
			if r.own[place{r.box, uid}] && !slices.Contains(r.found, uid) {
				return fmt.Errorf("UID %d of %s has %s and is not found", uid, r.box, r.keyword)
			}
		}
		return nil
	}}
}

// hearFound takes the result of a search.
func (r *rider) hearFound(list string) error {
	r.found = nil
	for part := range strings.SplitSeq(list, ",") {
		if part == "" {
			continue
		}
		set, err := expand(part)
		if err != nil {
			return err
		}
		r.found = append(r.found, set...)
	}
	return nil
}

// expand is the numbers of a set.
func expand(set string) (out []uint32, err error) {
	for part := range strings.SplitSeq(set, ",") {
		low, high, isRange := strings.Cut(part, ":")
		if !isRange {
			high = low
		}
		from, err := strconv.ParseUint(low, 10, 32)
		if err != nil {
			return nil, err
		}
		to, err := strconv.ParseUint(high, 10, 32)
		if err != nil {
			return nil, err
		}
		for n := from; n <= to; n++ {
			out = append(out, uint32(n))
		}
	}
	return out, nil
}

// expunge is EXPUNGE and UID EXPUNGE.
func (r *rider) expunge() *request {
	q := &request{text: pickOne(r.draw, "EXPUNGE", "UID EXPUNGE "+r.some().text()), renumbers: true}
	if r.readOnly {
		q.begin = "NO [READ-ONLY]"
	}
	return q
}

// transfer is COPY or MOVE to any of the mailboxes.
func (r *rider) transfer() *request {
	set, name, to, from := r.some(), pickOne(r.draw, "COPY", "MOVE"), stormBoxes[r.draw.IntN(len(stormBoxes))], r.box
	q := &request{text: "UID " + name + " " + set.text() + " " + to, renumbers: true}
	if name == "MOVE" && r.readOnly {
		q.begin = "NO [READ-ONLY]"
		return q
	}
	if name == "MOVE" {
		r.s.leave(from, set)
	}
	q.code = func(code string) error {
		rest, ok := strings.CutPrefix(code, "OK [COPYUID ")
		fields := strings.Fields(strings.SplitAfter(rest, "]")[0])
		if !ok || len(fields) != 3 {
			return nil // nothing was left to copy
		}
		sources, err := expand(fields[1])
		if err != nil {
			return err
		}
		made, err := expand(strings.TrimSuffix(fields[2], "]"))
		if err != nil || len(made) != len(sources) {
			return fmt.Errorf("%q: %v", code, err)
		}
		for i := range made {
			if err := r.s.copied(place{from, sources[i]}, place{to, made[i]}, name == "MOVE"); err != nil {
				return err
			}
		}
		return nil
	}
	return q
}
