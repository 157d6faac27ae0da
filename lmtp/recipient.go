package lmtp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// target is where a recipient's mail goes.
type target struct {
	user    mailbox.User
	mailbox mailbox.ID // "" is INBOX
}

// resolve finds the account and the folder of a recipient.
func (s *Server) resolve(ctx context.Context, path string) (target, error) {
	nobody := account.ErrNoAccount
	for _, c := range s.candidates(path) {
		a, err := s.o.Accounts.Lookup(ctx, c.login)
		if errors.Is(err, account.ErrNoAccount) {
			continue
		}
		if errors.Is(err, account.ErrUncertain) {
			// One damaged row must not keep everybody from his mail who is found by another reading. Whose
			// row it is is found by the index of names, where that is whole, and then this is another error.
			nobody = err
			continue
		}
		if err != nil {
			return target{}, err
		}
		if a.Removing { // what he were given would go with the rest
			return target{}, fmt.Errorf("user %s is being removed: %w", a.ID, mailstore.ErrNoUser)
		}
		id, err := s.folder(ctx, a.ID, c.folder)
		return target{a.ID, id}, err
	}
	return target{}, nobody
}

// candidate is a way to read a recipient.
type candidate struct{ login, folder string }

// candidates are the readings of a recipient, the most literal first.
func (s *Server) candidates(path string) []candidate {
	local, domain := path, ""
	if at := strings.LastIndexByte(path, '@'); at >= 0 {
		local, domain = path[:at], path[at:]
	}
	out := []candidate{{path, ""}}
	if domain != "" {
		out = append(out, candidate{local, ""})
	}
	if s.o.Postmaster != "" && strings.EqualFold(local, "postmaster") {
		out = append(out, candidate{s.o.Postmaster, ""})
	}
	if s.o.Separator == 0 {
		return out
	}
	if user, folder, ok := strings.Cut(local, string(rune(s.o.Separator))); ok && user != "" {
		if domain != "" {
			out = append(out, candidate{user + domain, folder})
		}
		out = append(out, candidate{user, folder})
	}
	return out
}

// folder finds the mailbox for the part after the separator. Addresses lose
// their case on many ways, so any case will do where it is not ambiguous.
func (s *Server) folder(ctx context.Context, u mailbox.User, name string) (mailbox.ID, error) {
	if name == "" {
		return "", nil
	}
	mail, err := s.o.Store.Acquire(ctx, u)
	if err != nil {
		return "", err
	}
	defer mail.Release()
	boxes, err := mail.Mailboxes(ctx)
	if err != nil {
		return "", err
	}
	var found mailbox.ID
	count := 0
	for _, b := range boxes {
		if b.Name == name {
			return b.ID, nil
		}
		if strings.EqualFold(b.Name, name) {
			found = b.ID
			count++
		}
	}
	if count != 1 {
		return "", nil
	}
	return found, nil
}

// room refuses a recipient who is over quota already, or would be by a message
// of the announced size, before it is sent.
func (s *Server) room(ctx context.Context, t target, size int64) error {
	mail, err := s.o.Store.Acquire(ctx, t.user)
	if err != nil {
		return err
	}
	defer mail.Release()
	quota, usage, err := mail.Quota(ctx)
	if err != nil {
		return err
	}
	if quota.Messages > 0 && usage.Messages >= quota.Messages ||
		quota.Bytes > 0 && usage.Bytes+max(size, 1) > quota.Bytes {
		return mailstore.ErrOverQuota
	}
	return nil
}
