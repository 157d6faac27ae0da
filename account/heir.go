package account

import (
	"fmt"
	"strings"

	"teraslot/mailbox"
)

// Heir is who got a mailbox of a user who was removed later. Other slots still have it with that one, and are
// to take it over before they remove him.
type Heir struct {
	Mailbox mailbox.ID
	User    mailbox.User
}

// joinHeirs writes heirs as they stand in place of the hash of who was removed.
func joinHeirs(all []Heir) string {
	words := make([]string, len(all))
	for i, h := range all {
		words[i] = string(h.Mailbox) + ":" + string(h.User)
	}
	return strings.Join(words, " ")
}

// Heirs returns who got mailboxes of a user who was removed; nil of any other.
func (e *Entry) Heirs() ([]Heir, error) {
	var out []Heir
	for _, word := range strings.Fields(e.heirs) {
		id, user, _ := strings.Cut(word, ":")
		box, err := mailbox.ParseID(id)
		if err != nil {
			return nil, fmt.Errorf("user %s: who got his mailboxes: %w", e.ID, err)
		}
		to, err := mailbox.ParseUser(user)
		if err != nil {
			return nil, fmt.Errorf("user %s: who got his mailboxes: %w", e.ID, err)
		}
		out = append(out, Heir{box, to})
	}
	return out, nil
}
