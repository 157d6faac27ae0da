package replication

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// noMailbox stands in a messageHead where no record is known.
const noMailbox mailbox.ID = "000000000000000000000000"

// agree returns the newest version that both speak.
func agree(oldest, newest uint64) (uint64, error) {
	version := min(newest, newestVersion)
	if version < max(oldest, oldestVersion) {
		return 0, status.Errorf(codes.FailedPrecondition, "versions %d to %d are spoken here, not %d to %d", oldestVersion, newestVersion, oldest, newest)
	}
	return version, nil
}

func storeError(here, there string) error {
	return status.Errorf(codes.PermissionDenied, "this is store %q, not %q", here, there)
}

// unreadable is the digest of mail that cannot be read.
func unreadable(u mailbox.User) mailstore.Digest { return sha256.Sum256([]byte("unreadable " + u)) }

// messageWriter sends messages, several in a frame where they are small.
type messageWriter struct {
	x exchange
	e encoder // heads, each with its message's octets

	read mailstore.Buffer // for messages, until they are in e
}

// bundle is how much of small messages goes into one frame.
const bundle = 64 << 10

// add sends a message, or keeps it for flush. Its bytes are checked before any goes out.
func (w *messageWriter) add(h *messageHead, c *mailstore.Content) error {
	if err := checkGUID(c, h.guid); err != nil {
		return err
	}
	if len(w.e.b) >= bundle {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if w.e.b == nil {
		w.e.b = make([]byte, 0, bundle+bundle/4)
	}
	h.size = c.Size
	w.e.messageHead(h)
	at := min(c.Size, int64(max(bundle-len(w.e.b), 0)))
	if err := w.e.content(c, 0, at); err != nil {
		return err
	}
	if at == c.Size {
		return nil
	}
	err := w.flush()
	for ; err == nil && at < c.Size; at += partSize {
		var e encoder
		if err = e.content(c, at, min(c.Size, at+partSize)); err == nil {
			err = w.x.SendMsg(&frame{kindData, e.b})
		}
	}
	return err
}

// flush sends what was kept.
func (w *messageWriter) flush() error {
	if len(w.e.b) == 0 {
		return nil
	}
	f := &frame{kindMessage, w.e.b}
	w.e.b = nil // it is gRPC's until it was sent
	return w.x.SendMsg(f)
}

// content appends octets of a message.
func (e *encoder) content(c *mailstore.Content, from, to int64) error {
	n := len(e.b)
	e.b = append(e.b, make([]byte, to-from)...)
	if _, err := c.ReadAt(e.b[n:], from); err != nil {
		e.b = e.b[:n]
		return fmt.Errorf("message %s: %w", c.GUID, err)
	}
	return nil
}

// sendMessage sends one message.
func sendMessage(ctx context.Context, x exchange, m *mailstore.Mail, h *messageHead) error {
	c, err := m.OpenGUID(ctx, h.guid)
	if err != nil {
		return err
	}
	defer c.Close()
	w := messageWriter{x: x}
	if err := w.add(h, c); err != nil {
		return err
	}
	return w.flush()
}

// Messages within these bounds are read together.
const (
	together      = 256
	togetherBytes = 1 << 20
)

// sendMessages sends messages, which come in the order in which they lie, and tells of each that
// went out.
func sendMessages(ctx context.Context, x exchange, m *mailstore.Mail, heads []messageHead, sent func(*messageHead)) error {
	w := messageWriter{x: x}
	for len(heads) > 0 {
		n := 1
		for bytes := heads[0].size; n < min(len(heads), together) && bytes+heads[n].size <= togetherBytes; n++ {
			bytes += heads[n].size
		}
		if err := w.several(ctx, m, heads[:n], sent); err != nil {
			return errors.Join(err, w.flush())
		}
		heads = heads[n:]
	}
	return w.flush()
}

// several adds messages that are read together.
func (w *messageWriter) several(ctx context.Context, m *mailstore.Mail, heads []messageHead, sent func(*messageHead)) (err error) {
	items := make([]mailstore.Item, len(heads))
	for i := range heads {
		items[i] = mailstore.Item{Num: heads[i].num, GUID: heads[i].guid, Size: heads[i].size}
	}
	for i, o := range m.OpenItems(ctx, items, &w.read) {
		switch {
		case err == nil && o.Err == nil:
			if err = errors.Join(w.add(&heads[i], o.Content), o.Content.Close()); err == nil {
				sent(&heads[i])
			}
		case o.Err == nil:
			err = errors.Join(err, o.Content.Close())
		case err == nil:
			err = o.Err
		}
	}
	return err
}

// errGUID: bytes whose frame is whole are another message's.
var errGUID = errors.New("the bytes do not have the GUID")

// checkGUID reads the message once: its frame's CRC was checked, and now its GUID is.
func checkGUID(c *mailstore.Content, g mailbox.GUID) error {
	h := mailbox.NewGUIDHash()
	if _, err := c.WriteTo(h); err != nil {
		return err
	}
	if mailbox.GUID(h.Sum(nil)) != g {
		return &mailstore.Damage{Err: fmt.Errorf("message %s: %w", g, errGUID)}
	}
	return nil
}

// unsendable returns why a message cannot be sent, "" if that is not what is wrong.
func unsendable(err error) string {
	var damage *mailstore.Damage
	if errors.As(err, &damage) || errors.Is(err, mailstore.ErrNoMessage) {
		return err.Error()
	}
	return ""
}

// receiver takes messages from a stream and stages them, a batch while the next comes.
type receiver struct {
	x       exchange
	store   *mailstore.Store
	mail    *mailstore.Mail
	batch   []mailstore.Staged
	bytes   int64
	heads   map[mailbox.GUID]messageHead // where messages belong, if those who send them do not say
	staging chan error                   // of the batch that is being staged; nil: none
}

// A batch of messages is stored by one sync.
const (
	batchMessages = 512
	batchBytes    = 8 << 20
)

// messages takes the messages of a frame, and of the last one the octets that follow in
// frames of their own.
func (r *receiver) messages(ctx context.Context, f *frame) error {
	if f.kind != kindMessage {
		return fmt.Errorf("kind %d where a message belongs: %w", f.kind, ErrWire)
	}
	d := decoder{b: f.body}
	for first := true; first || len(d.b) > 0; first = false {
		var h messageHead
		h.parse(&d)
		if d.failed {
			return fmt.Errorf("head of a message: %w", ErrWire)
		}
		part := d.take(int(min(h.size, int64(len(d.b)))))
		if err := r.message(ctx, &h, part); err != nil {
			return err
		}
	}
	return nil
}

// message takes a message, of which the first octets have come, and stages the batch if it is large.
func (r *receiver) message(ctx context.Context, h *messageHead, part []byte) error {
	if r.heads != nil {
		known, wanted := r.heads[h.guid]
		if !wanted {
			return fmt.Errorf("message %s was not asked for: %w", h.guid, ErrWire)
		}
		known.size = h.size
		h = &known
	}
	var msg *mailstore.Message
	var err error
	if int64(len(part)) == h.size { // the frame is nobody else's
		msg, err = r.store.SpoolBytes(ctx, part)
	} else {
		msg, err = r.store.Spool(ctx, &messageReader{x: r.x, part: part, left: h.size - int64(len(part))})
	}
	if err != nil {
		return err
	}
	r.batch = append(r.batch, mailstore.Staged{Message: msg, Thread: h.thread, Mailbox: h.mailbox, UID: h.uid, UIDValidity: h.validity, InternalDate: h.date})
	r.bytes += msg.Size
	if msg.GUID != h.guid || msg.Size != h.size {
		return fmt.Errorf("message %s arrived as %s: %w", h.guid, msg.GUID, ErrWire)
	}
	if len(r.batch) >= batchMessages || r.bytes >= batchBytes {
		return r.stage(ctx)
	}
	return nil
}

// stage begins to stage what has come, when what came before is staged.
func (r *receiver) stage(ctx context.Context) error {
	if err := r.settle(); err != nil || len(r.batch) == 0 {
		return err
	}
	batch, done := r.batch, make(chan error, 1)
	r.batch, r.bytes, r.staging = nil, 0, done
	go func() { done <- errors.Join(r.mail.Stage(ctx, batch...), closeAll(batch)) }()
	return nil
}

// settle waits for the batch that is being staged.
func (r *receiver) settle() (err error) {
	if r.staging != nil {
		err = <-r.staging
		r.staging = nil
	}
	return err
}

// flush stages what has come. When it returns, all is on disk.
func (r *receiver) flush(ctx context.Context) error {
	if err := r.stage(ctx); err != nil {
		return err
	}
	return r.settle()
}

// close gives up what is not being staged. Nothing of the receiver runs any longer when it returns.
func (r *receiver) close() error {
	err := errors.Join(r.settle(), closeAll(r.batch))
	r.batch, r.bytes = nil, 0
	return err
}

func closeAll(batch []mailstore.Staged) error {
	var errs []error
	for _, one := range batch {
		errs = append(errs, one.Message.Close())
	}
	return errors.Join(errs...)
}

// messageReader reads a message's octets from the frames that carry them.
type messageReader struct {
	x    exchange
	left int64
	part []byte
}

// Read reads up to the end of the message.
func (r *messageReader) Read(p []byte) (int, error) {
	if len(r.part) == 0 {
		if r.left == 0 {
			return 0, io.EOF
		}
		f, err := receive(r.x)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		if f.kind != kindData || len(f.body) == 0 || int64(len(f.body)) > r.left {
			return 0, fmt.Errorf("kind %d of %d octets where %d of a message are due: %w", f.kind, len(f.body), r.left, ErrWire)
		}
		r.part = f.body
		r.left -= int64(len(f.body))
	}
	n := copy(p, r.part)
	r.part = r.part[n:]
	return n, nil
}
