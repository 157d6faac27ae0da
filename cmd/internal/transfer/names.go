package transfer

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode/utf8"

	"teraslot/mailstore"
)

// fit gives every mailbox a name that it can have here and no other has, the same in
// each run, and tells of those that changed. Subscriptions follow.
func fit(list *List) {
	taken, kept, renamed := map[string]bool{}, map[string]bool{}, map[string]string{}
	for i := range list.Mailboxes {
		p := &list.Mailboxes[i]
		name := fitting(p.Here)
		for n := 2; taken[name]; n++ {
			name = fmt.Sprintf("%s~%d", fitting(p.Here), n)
		}
		taken[name] = true
		if name == p.Here {
			kept[name] = true
			continue
		}
		list.Notices = append(list.Notices, fmt.Sprintf("%q: here it is %s", p.There, name))
		if renamed[p.Here] == "" {
			renamed[p.Here] = name
		}
		p.Here = name
	}
	var subscriptions []string
	for _, name := range list.Subscriptions {
		to := renamed[name]
		if to != "" {
			subscriptions = append(subscriptions, to)
		}
		if kept[name] || to == "" { // of two that would have one name, nobody knows which is meant
			subscriptions = append(subscriptions, fitting(name))
		}
	}
	list.Subscriptions = subscriptions
}

// fitting is a name as a mailbox can have it here: itself where it can be, else with what
// it cannot have written as "%XX", and "%" too. One that is too long is cut, and has the
// beginning of its SHA-256 at its end.
func fitting(name string) string {
	if name == "" || isName(name) {
		return name // "" is INBOX
	}
	var levels []string
	for level := range strings.SplitSeq(name, mailstore.Separator) {
		levels = append(levels, escaped(level))
	}
	out := strings.Join(levels, mailstore.Separator)
	if isName(out) {
		return out
	}
	sum := fmt.Sprintf("~%x", sha256.Sum256([]byte(name)))[:17]
	out = strings.ReplaceAll(out, mailstore.Separator, "_")
	for len(out)+len(sum) > maxLevel || !isName(out+sum) {
		_, size := utf8.DecodeLastRuneInString(out)
		out = out[:len(out)-size]
	}
	return out + sum
}

// maxLevel is how long a name that was cut is, in octets: short enough to be exported as the
// name of a file, too.
const maxLevel = 120

// escaped is a level without what it cannot have.
func escaped(level string) string {
	if level == "" {
		return "%"
	}
	var b strings.Builder
	for i, r := range level {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(level[i:], string(r)):
			fmt.Fprintf(&b, "%%%02X", level[i])
		case r == '%', !isName("x" + string(r)):
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// isName reports whether a mailbox can have the name.
func isName(name string) bool {
	_, err := mailstore.CleanName(name)
	return err == nil
}
