package slot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"time"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// AccountsName stands for slot.db among the users that are verified and repaired: no login name has a stroke.
const AccountsName = "/slot.db"

// RepairRequest is what POST /repair takes. It is answered by lines of JobResult: Did
// is one thing that was mended, made or lost, Error ends a user.
type RepairRequest struct {
	Users       []string // login names
	Reconstruct bool     // make mail.db anew, from its copy and the packs
	Force       bool     // also one that is whole
	Alone       bool     // do not ask the other slots of the store
	// Copies are of slot.db, besides that of the night. Nobody may write them until the answer is there.
	Copies []AccountsCopy
}

// AccountsCopy is a copy of slot.db of this program's version.
type AccountsCopy struct {
	Name string // what reports call it
	Path string
}

// handleRepair mends users' mail and indexes and streams what it does.
func (s *Slot) handleRepair(w http.ResponseWriter, r *http.Request) {
	var q RepairRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&q); err != nil {
		respond(w, nil, errors.Join(errProtocol, err))
		return
	}
	lines := json.NewEncoder(w)
	for _, name := range q.Users {
		say := func(text string) { _ = lines.Encode(JobResult{User: name, Did: text}) } // a client that went away cancels the request
		if name == AccountsName {
			if err := s.repairAccounts(r.Context(), q.Copies, say); err != nil && lines.Encode(JobResult{User: name, Error: err.Error()}) != nil {
				return
			}
			continue
		}
		a, err := s.accounts.Lookup(r.Context(), name)
		switch {
		case err != nil:
		case q.Reconstruct:
			err = s.reconstruct(r.Context(), a, mailstore.ReconstructOptions{Force: q.Force}, say)
		default:
			err = s.repair(r.Context(), a, q.Alone, say)
		}
		if err != nil && lines.Encode(JobResult{User: name, Error: err.Error()}) != nil {
			return
		}
	}
}

// repairAccounts mends what can be mended of slot.db, with what copies of it say, that of the night first.
func (s *Slot) repairAccounts(ctx context.Context, more []AccountsCopy, say func(string)) error {
	var copies []account.Copy
	path := s.c.AccountsCopy()
	info, err := os.Stat(path)
	if err == nil {
		var all []account.Entry
		all, err = account.ReadCopy(ctx, path)
		copies = append(copies, account.Copy{Name: "the copy of " + info.ModTime().Format(time.DateTime), Entries: all})
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		say("the copy of the night cannot be read: " + err.Error()) // and what the CRC proves needs none
	}
	for _, c := range more {
		all, err := account.ReadCopy(ctx, c.Path)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		copies = append(copies, account.Copy{Name: c.Name, Entries: all})
	}
	_, err = s.accounts.Repair(ctx, copies, say)
	return err
}

// saveAccounts makes the copy of slot.db of the night, and says so, unless it is there.
func (s *Slot) saveAccounts(ctx context.Context) (string, error) {
	if err := s.c.present(s.c.Archive); err != nil {
		return "", err
	}
	saved, err := s.accounts.Save(ctx, s.c.AccountsCopy())
	if saved {
		return "slot.db saved", err
	}
	return "", err
}

// repair mends what can be mended of a user's mail and index. What this slot has lost
// and another slot of the store has comes from there first, unless the repair is to be done alone.
func (s *Slot) repair(ctx context.Context, a account.Account, alone bool, say func(string)) error {
	if err := s.findPlaces(ctx, a, say); err != nil {
		return err
	}
	if s.c.Replication.on() && !alone {
		if err := s.healFirst(ctx, a.ID, say); err != nil {
			return err
		}
	}
	if err := s.repairMail(ctx, a, func(line string) { say("mail: " + line) }); err != nil {
		return err
	}
	// Where the account's row of mail.db was lost, the quota was.
	if err := s.withMail(ctx, a.Name, func(m *mailstore.Mail) error { return m.SetQuota(ctx, mailstore.Quota(a.Quota)) }); err != nil {
		return err
	}
	done, err := s.indexer().Repair(ctx, a.ID, nil)
	if done != nil {
		for _, name := range done.Rewritten {
			say("index: rewritten " + name)
		}
		if done.Indexed > 0 {
			say(fmt.Sprintf("index: %d messages indexed", done.Indexed))
		}
	}
	return err
}

// repairMail mends a user's mail where it lies; a mail.db that is none any longer is made of
// its copy, if that can be used. To make one of the packs alone is for a person to ask for.
func (s *Slot) repairMail(ctx context.Context, a account.Account, say func(string)) error {
	// Most repairs go on beside sessions; one that has to make mail.db anew does not.
	err := s.withoutSessions(ctx, a.ID, func() error { return s.store.Repair(ctx, a.ID, say) })
	if !errors.Is(err, mailstore.ErrBeyondRepair) {
		return err
	}
	say(err.Error())
	return s.reconstruct(ctx, a, mailstore.ReconstructOptions{CopyOnly: true}, say)
}

// reconstruct makes a user's mail.db anew, with the account's quota. Sessions end:
// what they know of mailboxes is no longer so. They do so too where it is refused (ErrWhole), if the mail was in use.
func (s *Slot) reconstruct(ctx context.Context, a account.Account, o mailstore.ReconstructOptions, say func(string)) error {
	if err := s.findPlaces(ctx, a, say); err != nil {
		return err
	}
	if err := s.withoutSessions(ctx, a.ID, func() error { return s.store.Reconstruct(ctx, a.ID, o, say) }); err != nil {
		return err
	}
	s.disconnect(a.ID) // those that held none of the mail
	err := s.withMail(ctx, a.Name, func(m *mailstore.Mail) error { return m.SetQuota(ctx, mailstore.Quota(a.Quota)) })
	if s.squatter != nil {
		s.squatter.Wake(a.ID)
	}
	return err
}

// withoutSessions does what needs that nobody uses a user's mail: as long as somebody does (ErrBusy), his sessions end.
func (s *Slot) withoutSessions(ctx context.Context, u mailbox.User, do func() error) error {
	return s.untilFree(ctx, mailstore.ErrBusy, func() error {
		err := do()
		if errors.Is(err, mailstore.ErrBusy) {
			s.disconnect(u)
		}
		return err
	})
}

// Repair mends or reconstructs users' mail and reports what was done.
func (c *Client) Repair(ctx context.Context, q RepairRequest, report func(JobResult)) error {
	return c.stream(ctx, "/repair", q, report)
}
