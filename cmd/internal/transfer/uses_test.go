package transfer

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestOneForEachUse: whatever the order of the list, each use has one mailbox, and the
// others are told of.
func TestOneForEachUse(t *testing.T) {
	for name, c := range map[string]struct {
		o       Options
		places  []Place
		want    []string // the uses, by place
		notices []string
	}{
		"another name":     {Options{}, []Place{{"Sent Items", "Sent Items", `\Sent`}, {"Sent", "Sent", ""}}, []string{`\Sent`, ""}, nil},
		"the name counts":  {Options{}, []Place{{"A", "A", `\Sent`}, {"Sent", "Sent", `\Sent`}}, []string{"", `\Sent`}, []string{`A: the use \Sent, which Sent has`}},
		"then the order":   {Options{}, []Place{{"C", "C", `\Junk`}, {"B", "B", `\Junk`}, {"A", "A", `\Trash`}}, []string{"", `\Junk`, `\Trash`}, []string{`C: the use \Junk, which B has`}},
		"what is left out": {Options{Exclude: []string{"Old"}}, []Place{{"Old/A", "Old/A", `\Sent`}, {"Z", "Z", `\Sent`}}, []string{"", `\Sent`}, nil},
		"below a mailbox":  {Options{Mailbox: "Old"}, []Place{{"Sent", "Sent", `\Sent`}}, []string{""}, nil},
		"INBOX":            {Options{}, []Place{{"INBOX", "", `\Archive`}}, []string{""}, nil},
	} {
		for range 10 {
			var notices []string
			c.o.Notice = func(text string) { notices = append(notices, text) }
			list := List{Mailboxes: slices.Clone(c.places)}
			rand.Shuffle(len(list.Mailboxes), func(i, k int) {
				list.Mailboxes[i], list.Mailboxes[k] = list.Mailboxes[k], list.Mailboxes[i]
			})
			(&run{o: c.o}).oneForEachUse(&list)
			for _, p := range list.Mailboxes {
				i := slices.IndexFunc(c.places, func(x Place) bool { return x.There == p.There })
				if p.Use != c.want[i] {
					t.Errorf("%s: %s has %q, want %q", name, p.There, p.Use, c.want[i])
				}
			}
			if !slices.Equal(notices, c.notices) {
				t.Errorf("%s: %q", name, notices)
			}
		}
	}
}
