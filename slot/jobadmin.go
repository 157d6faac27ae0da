package slot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/squatter"
)

// JobRequest is what POST /job takes. It is answered by a JobResult for each user.
type JobRequest struct {
	Job   string   // one of the constants Job…
	Users []string // login names; none: all
	All   bool     // do not wait for ages and shares that the configuration sets
}

// JobResult is what became of a job for one user, one line of JSON each.
type JobResult struct{ User, Did, Error string }

// ExpungedRequest is what POST /expunged takes: it lists, or brings back, what was
// expunged or deleted.
type ExpungedRequest struct {
	User    string
	Mailbox string     // name; "": deleted mailboxes are meant
	ID      mailbox.ID // of a deleted mailbox to be brought back
	To      string     // the name for it, if not its own
	UIDs    string     // a sequence set, to be brought back; "": those since Since
	Since   time.Time
	Restore bool // bring back; else list
}

// Expunged is an element of what POST /expunged answers: a message with its old
// UID, and its new one if it was brought back; or a deleted mailbox.
type Expunged struct {
	Mailbox  string
	ID       mailbox.ID
	UID, New mailbox.UID // New is 0 of one that was named and that the mailbox has again
	Size     int64
	At       time.Time
	Messages uint32 // of a deleted mailbox
}

// SettingRequest is what POST /setting takes.
type SettingRequest struct {
	User, Mailbox string
	Name          string // archive or expire
	Value         string // "never", "now", a duration such as "30d", or "" for the slot's
}

// indexer compacts and indexes for commands, also where nothing is indexed by itself.
func (s *Slot) indexer() *squatter.Squatter {
	if s.squatter != nil {
		return s.squatter
	}
	return squatter.New(squatter.Options{Store: s.store, Tiers: s.tiers, Logger: s.o.Logger, Now: s.o.Now, Conf: s.c.Conf, FS: s.c.Hooks.FS})
}

// renameUser gives a user another login name. Mail and index are the id's and stay;
// the index goes to archive in the next round, as when a user moves.
func (s *Slot) renameUser(ctx context.Context, name, to string) error {
	if err := s.accounts.Rename(ctx, name, to); err != nil {
		return err
	}
	s.step(stepAccountRenamed)
	if a, err := s.accounts.Lookup(ctx, to); err == nil {
		s.toArchive(a)
		s.logUser("user renamed", a, "was", name)
	}
	return nil
}

// toArchive asks for a user's index to go to archive. What he was to get he has: that
// this cannot be noted is told in the log only.
func (s *Slot) toArchive(a account.Account) {
	if err := s.indexer().Moved(a.ID); err != nil {
		s.o.Logger.Warn("the index of a user who was moved or renamed stays in its tiers", "user", a.Name, "err", err)
	}
}

// handleJob does a job for users and streams what became of it.
func (s *Slot) handleJob(w http.ResponseWriter, r *http.Request) {
	var q JobRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&q); err != nil {
		respond(w, nil, errors.Join(errProtocol, err))
		return
	}
	names, err := s.orEverybody(r.Context(), q.Users)
	if err != nil {
		respond(w, nil, err)
		return
	}
	lines := json.NewEncoder(w)
	if q.Job == JobSnapshot && len(q.Users) == 0 {
		res := JobResult{User: AccountsName}
		if res.Did, err = s.saveAccounts(r.Context()); err != nil {
			res.Error = err.Error()
		}
		if lines.Encode(res) != nil {
			return
		}
	}
	for _, name := range names {
		res := JobResult{User: name}
		a, err := s.accounts.Lookup(r.Context(), name)
		if err == nil {
			res.Did, err = s.job(r.Context(), q.Job, a.ID, q.All)
		}
		if err != nil {
			res.Error = err.Error()
		}
		if lines.Encode(res) != nil || r.Context().Err() != nil {
			return // the client went away
		}
	}
}

// handleExpunged lists or brings back what was expunged or deleted.
func (s *Slot) handleExpunged(w http.ResponseWriter, r *http.Request) {
	var q ExpungedRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&q); err != nil {
		respond(w, nil, errors.Join(errProtocol, err))
		return
	}
	answer := []Expunged{}
	err := s.withMail(r.Context(), q.User, func(m *mailstore.Mail) (err error) {
		switch {
		case q.Mailbox == "":
			answer, err = deletedMailboxes(r.Context(), m, q)
		default:
			answer, err = expungedMessages(r.Context(), m, q)
		}
		return err
	})
	respond(w, answer, err)
}

func deletedMailboxes(ctx context.Context, m *mailstore.Mail, q ExpungedRequest) ([]Expunged, error) {
	all, err := m.DeletedMailboxes(ctx)
	out := []Expunged{}
	for _, d := range all {
		if q.ID == "" || q.ID == d.State.ID {
			out = append(out, Expunged{Mailbox: d.State.Name, ID: d.State.ID, At: d.At, Size: d.State.Counts.Size, Messages: d.State.Counts.Exists})
		}
	}
	if err != nil || !q.Restore {
		return out, err
	}
	box, err := m.Unearth(ctx, "", q.ID, q.To)
	if err == nil && len(out) == 1 {
		out[0].Mailbox = box.Name
	}
	return out, err
}

func expungedMessages(ctx context.Context, m *mailstore.Mail, q ExpungedRequest) ([]Expunged, error) {
	var uids mailbox.UIDSet
	if q.UIDs != "" {
		var err error
		if uids, err = mailbox.ParseUIDSet(q.UIDs); err != nil {
			return nil, errors.Join(errProtocol, err)
		}
	}
	box, err := m.MailboxNamed(ctx, q.Mailbox)
	if err != nil {
		return nil, err
	}
	all, err := m.ExpungedMessages(ctx, box.ID)
	if err != nil {
		return nil, err
	}
	became := map[mailbox.UID]mailbox.UID{}
	if q.Restore {
		back, err := m.Unexpunge(ctx, "", box.ID, uids, q.Since)
		if err != nil {
			return nil, err
		}
		for i, uid := range back.From {
			became[uid] = back.To[i]
		}
	}
	out := []Expunged{}
	for _, x := range all {
		named := uids.Contains(x.Record.UID)
		wanted := named || uids.IsEmpty() && !x.At.Before(q.Since)
		if wanted && (!q.Restore || named || became[x.Record.UID] != 0) {
			out = append(out, Expunged{Mailbox: box.Name, ID: box.ID, UID: x.Record.UID, New: became[x.Record.UID], Size: x.Record.Size, At: x.At})
		}
	}
	return out, nil
}

// setSetting changes a setting of a mailbox.
func (s *Slot) setSetting(ctx context.Context, q SettingRequest) error {
	age, err := parseSetting(q.Value)
	if err != nil {
		return errors.Join(errProtocol, err)
	}
	return s.withMail(ctx, q.User, func(m *mailstore.Mail) error {
		box, err := m.MailboxNamed(ctx, q.Mailbox)
		if err != nil {
			return err
		}
		return m.SetSetting(ctx, box.ID, q.Name, age)
	})
}

func parseSetting(value string) (*mailstore.Age, error) {
	switch value {
	case "":
		return nil, nil
	case "never", "now":
		age, err := mailstore.ParseAge(value)
		return &age, err
	}
	var d Duration
	if err := d.UnmarshalText([]byte(value)); err != nil {
		return nil, fmt.Errorf("%q is neither never, now nor a duration such as 30d", value)
	}
	return &mailstore.Age{After: time.Duration(d)}, nil
}

// Job does a job for users, or for all, and reports what became of it.
func (c *Client) Job(ctx context.Context, q JobRequest, report func(JobResult)) error {
	return c.stream(ctx, "/job", q, report)
}

// stream sends a request that is answered by lines of JobResult.
func (c *Client) stream(ctx context.Context, path string, q any, report func(JobResult)) error {
	body, err := jsonBody(q)
	if err != nil {
		return err
	}
	r, err := c.ask(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	defer r.Close()
	for lines := json.NewDecoder(r); lines.More(); {
		var res JobResult
		if err := lines.Decode(&res); err != nil {
			return fmt.Errorf("answer of the slot: %w", err)
		}
		report(res)
	}
	return nil
}

// Expunged lists or brings back what was expunged or deleted.
func (c *Client) Expunged(ctx context.Context, q ExpungedRequest) (out []Expunged, err error) {
	err = c.call(ctx, http.MethodPost, "/expunged", q, &out)
	return out, err
}

// SetSetting changes a setting of a mailbox.
func (c *Client) SetSetting(ctx context.Context, q SettingRequest) error {
	return c.call(ctx, http.MethodPost, "/setting", q, nil)
}
