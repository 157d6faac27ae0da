package slot

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// Mail that comes from another server with its UIDs takes these requests, for each
// mailbox: prepare, imports with UIDs, flags, finish.

// PrepareMailbox is what POST /mailbox/prepare takes.
type PrepareMailbox struct {
	User, Name string
	// UIDValidity and HighestModSeq are those of the other server; 0 if it does not say.
	UIDValidity   mailbox.UIDValidity
	HighestModSeq mailbox.ModSeq
	// SpecialUse, if the mailbox has one there, is taken from the mailbox that has it here.
	SpecialUse string
	DryRun     bool // change nothing
}

// Prepared is the first line of its answer. Lines of Known follow, and one that
// says End.
type Prepared struct {
	Missing bool   // there is no such mailbox; made unless it was a dry run
	Kept    bool   // UIDs of the other server can be kept
	Reason  string // why not
	UIDNext mailbox.UID
}

// Known is a message that the mailbox has, or had and still remembers.
type Known struct {
	UID     mailbox.UID
	Size    int64
	Date    int64    // internal date, seconds since 1970
	Saved   int64    // when it was stored here, seconds since 1970
	Flags   []string `json:",omitempty"`
	Deleted bool     `json:",omitempty"` // it was expunged here
	End     bool     `json:",omitempty"` // there are no more: this is none
}

// SetFlags is what POST /mailbox/flags takes: the flags that messages are to have.
type SetFlags struct {
	User, Name string
	Sets       []FlagSet
}

// FlagSet is messages with the same flags.
type FlagSet struct {
	UIDs  string // as in IMAP
	Flags []string
}

// FinishMailbox is what POST /mailbox/finish takes.
type FinishMailbox struct {
	User, Name string
	UIDNext    mailbox.UID // not below it are UIDs given from now on
	Expunge    string      // UIDs of messages to expunge, as in IMAP; "" is none
}

// Subscribe is what POST /subscribe takes: names to subscribe, mailboxes or not, and
// names to take off the subscriptions.
type Subscribe struct {
	User  string
	Names []string
	Not   []string
}

// transferRequests adds the handlers of this file.
func (s *Slot) transferRequests(mux *http.ServeMux) {
	mux.HandleFunc("POST /mailbox/prepare", s.handlePrepare)
	mux.HandleFunc("POST /mailbox/flags", handle(s.setFlags))
	mux.HandleFunc("POST /mailbox/finish", handle(s.finishMailbox))
	mux.HandleFunc("POST /subscribe", handle(func(ctx context.Context, r Subscribe) error {
		return s.withMail(ctx, r.User, func(m *mailstore.Mail) error {
			for _, name := range r.Names {
				if err := m.Subscribe(ctx, "", name, true); err != nil {
					return err
				}
			}
			for _, name := range r.Not {
				if err := m.Subscribe(ctx, "", name, false); err != nil {
					return err
				}
			}
			return nil
		})
	}))
}

func (s *Slot) handlePrepare(w http.ResponseWriter, r *http.Request) {
	var request PrepareMailbox
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&request); err != nil {
		respond(w, nil, errors.Join(errProtocol, err))
		return
	}
	var answer Prepared
	var known []Known
	err := s.withMail(r.Context(), request.User, func(m *mailstore.Mail) (err error) {
		answer, known, err = prepare(r.Context(), m, request)
		return err
	})
	if err != nil {
		respond(w, nil, err)
		return
	}
	lines := json.NewEncoder(w)
	_ = lines.Encode(answer) // a client that went away cancels the request
	for _, k := range append(known, Known{End: true}) {
		if err := lines.Encode(k); err != nil {
			return
		}
	}
}

// prepare finds or makes a mailbox, has it adopt the UIDVALIDITY, and lists what it has.
func prepare(ctx context.Context, m *mailstore.Mail, r PrepareMailbox) (out Prepared, known []Known, err error) {
	origin := mailstore.Origin{UIDValidity: r.UIDValidity, HighestModSeq: r.HighestModSeq}
	b, err := m.MailboxNamed(ctx, r.Name)
	if errors.Is(err, mailstore.ErrNoMailbox) {
		out.Missing = true
		if r.DryRun {
			_, err := mailstore.CleanName(r.Name)
			return Prepared{Missing: true, Kept: r.UIDValidity != 0, UIDNext: 1}, nil, err
		}
		if b, err = m.Create(ctx, "", r.Name, ""); errors.Is(err, mailstore.ErrExists) {
			b, err = m.MailboxNamed(ctx, r.Name) // made meanwhile, with one below it
		}
	}
	if err == nil && r.SpecialUse != "" && b.SpecialUse != r.SpecialUse && !r.DryRun {
		err = m.SetSpecialUse(ctx, b.ID, r.SpecialUse)
	}
	if err != nil {
		return out, nil, err
	}
	if r.DryRun {
		err = m.Adoptable(ctx, b.ID, origin)
	} else {
		_, err = m.Adopt(ctx, "", b.ID, origin)
	}
	switch {
	case err == nil:
		out.Kept = true
	case errors.Is(err, mailstore.ErrUIDValidity):
		out.Reason = err.Error()
	default:
		return out, nil, err
	}
	known, out.UIDNext, err = knownIn(ctx, m, b.ID)
	return out, known, err
}

// knownIn lists the live and the remembered expunged messages of a mailbox.
func knownIn(ctx context.Context, m *mailstore.Mail, id mailbox.ID) ([]Known, mailbox.UID, error) {
	all, err := m.Changes(ctx, id, 0)
	if err != nil {
		return nil, 0, err
	}
	state, err := m.Mailbox(ctx, id) // later: what came between has UIDs below its UIDNEXT, and counts as there
	known := make([]Known, len(all))
	for i := range all {
		r := &all[i]
		known[i] = Known{UID: r.UID, Size: r.Size, Date: r.InternalDate.Unix, Saved: r.SaveDate, Flags: r.Flags.List(), Deleted: r.Expunged}
	}
	return known, state.UIDNext, err
}

// setFlags gives messages the flags that they have on the other server.
func (s *Slot) setFlags(ctx context.Context, r SetFlags) error {
	return s.withMail(ctx, r.User, func(m *mailstore.Mail) error {
		b, err := m.MailboxNamed(ctx, r.Name)
		if err != nil {
			return err
		}
		for _, set := range r.Sets {
			uids, err := mailbox.ParseUIDSet(set.UIDs)
			if err != nil {
				return errors.Join(errProtocol, err)
			}
			if _, err := m.StoreFlags(ctx, "", b.ID, uids, mailstore.ReplaceFlags, mailbox.MakeFlags(set.Flags...), nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// finishMailbox ends a mailbox: UIDs that the other server has given are not given
// again, and what was expunged there goes, if that was asked for.
func (s *Slot) finishMailbox(ctx context.Context, r FinishMailbox) error {
	return s.withMail(ctx, r.User, func(m *mailstore.Mail) error {
		b, err := m.MailboxNamed(ctx, r.Name)
		if err != nil {
			return err
		}
		if err := m.RaiseUIDNext(ctx, "", b.ID, r.UIDNext); err != nil || r.Expunge == "" {
			return err
		}
		uids, err := mailbox.ParseUIDSet(r.Expunge)
		if err != nil {
			return errors.Join(errProtocol, err)
		}
		deleted := mailbox.MakeFlags(`\Deleted`)
		if _, err := m.StoreFlags(ctx, "", b.ID, uids, mailstore.AddFlags, deleted, nil); err != nil {
			return err
		}
		_, _, err = m.Expunge(ctx, "", b.ID, &uids)
		return err
	})
}

// Prepare asks for a mailbox to be made ready for messages of another server, and
// returns what it has, sorted by UID.
func (c *Client) Prepare(ctx context.Context, p PrepareMailbox) (Prepared, []Known, error) {
	body, err := json.Marshal(p)
	if err != nil {
		return Prepared{}, nil, err
	}
	r, err := c.ask(ctx, http.MethodPost, "/mailbox/prepare", bytes.NewReader(body))
	if err != nil {
		return Prepared{}, nil, err
	}
	defer r.Close()
	lines := json.NewDecoder(bufio.NewReaderSize(r, 64<<10))
	var out Prepared
	err = lines.Decode(&out)
	var known []Known
	for err == nil {
		var k Known
		if err = lines.Decode(&k); err == nil && k.End {
			slices.SortFunc(known, func(a, b Known) int { return int(int64(a.UID) - int64(b.UID)) })
			return out, known, nil
		}
		known = append(known, k)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return out, nil, fmt.Errorf("answer of the slot: %w", err)
}

// maxFlagSets bounds the text of a request of SetFlags.
const maxFlagSets = 256 << 10

// SetFlags gives messages the flags that they are to have.
func (c *Client) SetFlags(ctx context.Context, user, name string, sets []FlagSet) error {
	for len(sets) > 0 {
		n, size := 0, 0
		for n < len(sets) && (n == 0 || size < maxFlagSets) {
			size += len(sets[n].UIDs)
			for _, f := range sets[n].Flags {
				size += len(f)
			}
			n++
		}
		if err := c.call(ctx, http.MethodPost, "/mailbox/flags", SetFlags{user, name, sets[:n]}, nil); err != nil {
			return err
		}
		sets = sets[n:]
	}
	return nil
}

// Finish ends the import of a mailbox.
func (c *Client) Finish(ctx context.Context, f FinishMailbox) error {
	return c.call(ctx, http.MethodPost, "/mailbox/finish", f, nil)
}

// Subscribe changes what a user is subscribed to.
func (c *Client) Subscribe(ctx context.Context, s Subscribe) error {
	return c.call(ctx, http.MethodPost, "/subscribe", s, nil)
}

// closeToStoring is how soon after its internal date a message is stored when it is
// delivered, and not imported.
const closeToStoring = time.Minute

// MayBeDelivered tells whether the message may have been delivered here: what was
// imported came elsewhere before, as a rule.
func (k Known) MayBeDelivered() bool {
	late := time.Duration(k.Saved-k.Date) * time.Second
	return -closeToStoring < late && late < closeToStoring
}
