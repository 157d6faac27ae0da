package slot

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/message"
)

// handleImport stores the messages of a request. It answers when all of them
// are committed.
func (s *Slot) handleImport(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var answer Imported
	err := s.withMail(r.Context(), q.Get("user"), func(m *mailstore.Mail) error {
		in := &ingest{slot: s, mail: m, skip: q.Get("skip") == "existing", boxes: map[string]mailbox.State{}, seen: map[copyOf]struct{}{}}
		answer = in.all(r.Context(), bufio.NewReaderSize(r.Body, 64<<10))
		return nil
	})
	respond(w, answer, err)
}

// ingest is one request's work.
type ingest struct {
	slot  *Slot
	mail  *mailstore.Mail
	skip  bool // messages that their mailbox has
	boxes map[string]mailbox.State
	seen  map[copyOf]struct{} // by this request, if skip is set

	outcomes []Outcome
	waiting  []waiting
	bytes    int64
}

// copyOf is a message in a mailbox.
type copyOf struct {
	mailbox mailbox.ID
	guid    mailbox.GUID
}

// waiting is a message that is spooled and not stored.
type waiting struct {
	item  mailstore.Append
	index int // of its outcome
}

// A group of appends shares one sync; it is bounded by number and by bytes held
// in memory.
const (
	groupMessages = 512
	groupBytes    = 32 << 20
)

func (in *ingest) all(ctx context.Context, r *bufio.Reader) Imported {
	err := in.receive(ctx, r)
	if flushed := in.flush(ctx); err == nil {
		err = flushed
	}
	for _, w := range in.waiting { // left by an error
		err = errors.Join(err, w.item.Message.Close())
	}
	answer := Imported{Outcomes: in.outcomes}
	if err != nil {
		answer.Error = err.Error()
	}
	return answer
}

func (in *ingest) receive(ctx context.Context, r *bufio.Reader) error {
	for {
		head, err := readIncoming(r)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := in.one(ctx, head, r); err != nil {
			return err
		}
		if len(in.waiting) >= groupMessages || in.bytes >= groupBytes {
			if err := in.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// one spools a message. What is wrong with it alone becomes its outcome.
func (in *ingest) one(ctx context.Context, head Incoming, r *bufio.Reader) error {
	body := io.LimitReader(r, head.Size)
	m, err := in.slot.store.Spool(ctx, body)
	if _, drained := io.Copy(io.Discard, body); drained != nil {
		err = errors.Join(err, drained)
	}
	if err == nil {
		err = in.place(ctx, head, m)
	}
	if errors.Is(err, mailstore.ErrTooBig) || errors.Is(err, mailstore.ErrName) {
		in.outcomes = append(in.outcomes, Outcome{Error: err.Error()})
		return nil
	}
	return err
}

// place puts a message among the waiting, or closes it.
func (in *ingest) place(ctx context.Context, head Incoming, m *mailstore.Message) error {
	if m.Size != head.Size {
		return errors.Join(io.ErrUnexpectedEOF, m.Close())
	}
	box, err := in.box(ctx, head.Mailbox)
	if err != nil {
		return errors.Join(err, m.Close())
	}
	if in.skip {
		held, err := in.held(ctx, copyOf{box.ID, m.GUID})
		if err != nil {
			return errors.Join(err, m.Close())
		}
		if held {
			in.outcomes = append(in.outcomes, Outcome{Skipped: true})
			return m.Close()
		}
	}
	in.bytes += m.Size
	in.waiting = append(in.waiting, waiting{index: len(in.outcomes), item: mailstore.Append{
		Mailbox: box.ID, Message: m, Flags: mailbox.MakeFlags(head.Flags...), InternalDate: in.date(head, m), UID: head.UID}})
	in.outcomes = append(in.outcomes, Outcome{})
	return nil
}

// held reports whether the mailbox has the message, or will have it.
func (in *ingest) held(ctx context.Context, c copyOf) (bool, error) {
	if _, ok := in.seen[c]; ok {
		return true, nil
	}
	in.seen[c] = struct{}{}
	return in.slot.held.has(ctx, in.mail, c.mailbox, c.guid)
}

// box finds a mailbox by name, or makes it, subscribed.
func (in *ingest) box(ctx context.Context, name string) (mailbox.State, error) {
	if b, ok := in.boxes[name]; ok {
		return b, nil
	}
	b, err := in.mail.MailboxNamed(ctx, name)
	if errors.Is(err, mailstore.ErrNoMailbox) {
		if b, err = in.mail.Create(ctx, "", name, ""); err == nil {
			err = in.mail.Subscribe(ctx, "", b.Name, true)
		}
	}
	if err == nil {
		in.boxes[name] = b
	}
	return b, err
}

// date is the internal date: as given, or when the message came by its own
// account.
func (in *ingest) date(head Incoming, m *mailstore.Message) mailbox.Date {
	if !head.Date.IsZero() {
		return mailbox.DateOf(head.Date)
	}
	if t, ok := receivedDate(m); ok {
		return mailbox.DateOf(t)
	}
	if t, ok := m.Structure().Envelope.SentDate(); ok {
		return mailbox.DateOf(t)
	}
	return mailbox.DateOf(in.slot.o.Now())
}

// receivedDate is the date of the topmost Received field (RFC 5321 §4.4).
func receivedDate(m *mailstore.Message) (time.Time, bool) {
	fields, err := message.HeaderFields(m, m.Structure().Root, []string{"Received"}, false)
	if err != nil {
		return time.Time{}, false
	}
	topmost := unfoldFirst(string(fields))
	return message.ParseDate(topmost[strings.LastIndexByte(topmost, ';')+1:])
}

// unfoldFirst returns the first of some header fields in one line.
func unfoldFirst(fields string) string {
	var b strings.Builder
	for line := range strings.Lines(fields) {
		if b.Len() > 0 && line[0] != ' ' && line[0] != '\t' {
			break
		}
		b.WriteString(strings.TrimRight(line, "\r\n"))
	}
	return b.String()
}

// flush stores what waits. If that cannot be, over quota or because a UID is taken, it
// stores one by one what can; a message whose UID is taken gets another.
func (in *ingest) flush(ctx context.Context) error {
	group := in.waiting
	in.waiting, in.bytes = nil, 0
	err := in.store(ctx, group)
	if errors.Is(err, mailstore.ErrUID) || errors.Is(err, mailstore.ErrOverQuota) && len(group) > 1 {
		err = nil
		for i := range group {
			if err = in.storeOne(ctx, group[i:i+1]); err != nil {
				break
			}
		}
	}
	if err != nil {
		in.cut()
	}
	for _, w := range group {
		err = errors.Join(err, w.item.Message.Close())
	}
	return err
}

// storeOne stores one message, under another UID if its own is taken.
func (in *ingest) storeOne(ctx context.Context, one []waiting) error {
	err := in.store(ctx, one)
	if errors.Is(err, mailstore.ErrUID) {
		one[0].item.UID = 0
		err = in.store(ctx, one)
	}
	return err
}

func (in *ingest) store(ctx context.Context, group []waiting) error {
	items := make([]mailstore.Append, len(group))
	for i, w := range group {
		items[i] = w.item
	}
	records, err := in.mail.Append(ctx, "", items...)
	if err != nil {
		return fmt.Errorf("storing %d messages: %w", len(items), err)
	}
	for i, w := range group {
		in.outcomes[w.index].UID = records[i].UID
	}
	return nil
}

// cut drops the outcomes from the first that was not reached.
func (in *ingest) cut() {
	for i, o := range in.outcomes {
		if o == (Outcome{}) {
			in.outcomes = in.outcomes[:i]
			return
		}
	}
}

// heldGUIDs remembers which messages a mailbox has, for the mailbox that was
// imported into last.
type heldGUIDs struct {
	mu    sync.Mutex // guards all below
	id    mailbox.ID
	since mailbox.ModSeq
	guids map[mailbox.GUID]struct{}
}

// has reports whether the mailbox holds the message.
func (h *heldGUIDs) has(ctx context.Context, m *mailstore.Mail, id mailbox.ID, g mailbox.GUID) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	state, err := m.Mailbox(ctx, id)
	if err != nil {
		return false, err
	}
	if h.id != id || state.HighestModSeq != h.since {
		if err := h.update(ctx, m, id); err != nil {
			return false, err
		}
	}
	_, ok := h.guids[g]
	return ok, nil
}

// update takes in what changed; expunged messages make it begin anew, because
// another copy of one may be there, and so does what was expunged and is forgotten:
// it is not among the changes. mu is held.
func (h *heldGUIDs) update(ctx context.Context, m *mailstore.Mail, id mailbox.ID) error {
	horizon, err := m.Horizon(ctx, id)
	if err != nil {
		return err
	}
	if h.id == id && h.since >= horizon {
		changed, err := m.Changes(ctx, id, h.since)
		if err != nil {
			return err
		}
		expunged := false
		for _, r := range changed {
			h.guids[r.GUID] = struct{}{}
			h.since = max(h.since, r.ModSeq)
			expunged = expunged || r.Expunged
		}
		if !expunged {
			return nil
		}
	}
	v, err := m.View(ctx, id)
	if err != nil {
		return err
	}
	h.id, h.since, h.guids = id, v.State.HighestModSeq, make(map[mailbox.GUID]struct{}, len(v.Records))
	for _, r := range v.Records {
		h.guids[r.GUID] = struct{}{}
	}
	return nil
}
