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

// sendMessage sends one message. Its bytes are checked before the first goes out.
func sendMessage(ctx context.Context, x exchange, m *mailstore.Mail, h *messageHead) error {
	c, err := m.OpenGUID(ctx, h.guid)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := checkGUID(c, h.guid); err != nil {
		return err
	}
	h.size = c.Size
	if err := x.SendMsg(h.frame()); err != nil {
		return err
	}
	for at := int64(0); at < c.Size; {
		part := make([]byte, min(partSize, c.Size-at))
		if _, err := c.ReadAt(part, at); err != nil {
			return fmt.Errorf("message %s: %w", h.guid, err)
		}
		if err := x.SendMsg(&frame{kindData, part}); err != nil {
			return err
		}
		at += int64(len(part))
	}
	return nil
}

// errGUID: bytes whose frame is whole are another message's.
var errGUID = errors.New("the bytes do not have the GUID")

// checkGUID reads the message once: its frame's CRC was checked, and now its GUID is.
func checkGUID(c *mailstore.Content, g mailbox.GUID) error {
	h := mailbox.NewGUIDHash()
	if _, err := io.Copy(h, io.NewSectionReader(c, 0, c.Size)); err != nil {
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

// receiver takes messages from a stream and stages them.
type receiver struct {
	x     exchange
	store *mailstore.Store
	mail  *mailstore.Mail
	batch []mailstore.Staged
	bytes int64
	heads map[mailbox.GUID]messageHead // where messages belong, if those who send them do not say
}

// A batch of messages is stored by one sync.
const (
	batchMessages = 256
	batchBytes    = 8 << 20
)

// message takes the message whose head has come, and stages the batch if it is large.
func (r *receiver) message(ctx context.Context, f *frame) error {
	var h messageHead
	if err := parse(f, kindMessage, h.parse); err != nil {
		return err
	}
	if r.heads != nil {
		known, wanted := r.heads[h.guid]
		if !wanted {
			return fmt.Errorf("message %s was not asked for: %w", h.guid, ErrWire)
		}
		known.size = h.size
		h = known
	}
	msg, err := r.store.Spool(ctx, &messageReader{x: r.x, left: h.size})
	if err != nil {
		return err
	}
	r.batch = append(r.batch, mailstore.Staged{Message: msg, Thread: h.thread, Mailbox: h.mailbox, UID: h.uid, UIDValidity: h.validity, InternalDate: h.date})
	r.bytes += msg.Size
	if msg.GUID != h.guid || msg.Size != h.size {
		return fmt.Errorf("message %s arrived as %s: %w", h.guid, msg.GUID, ErrWire)
	}
	if len(r.batch) >= batchMessages || r.bytes >= batchBytes {
		return r.flush(ctx)
	}
	return nil
}

// flush stages what has come.
func (r *receiver) flush(ctx context.Context) error {
	err := r.mail.Stage(ctx, r.batch...)
	return errors.Join(err, r.close())
}

// close gives up what was not staged.
func (r *receiver) close() error {
	var errs []error
	for _, one := range r.batch {
		errs = append(errs, one.Message.Close())
	}
	r.batch, r.bytes = nil, 0
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
