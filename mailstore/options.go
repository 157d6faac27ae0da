package mailstore

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
)

// Options configure a Store. Only Conf is required.
type Options struct {
	// Conf is the conf root: slot.lock and each user's mail.db.
	Conf string
	// Spool is the root of new mail; by default Conf.
	Spool string
	// Archive is the root of large and old mail; by default Spool, and then
	// nothing is told apart.
	Archive string
	// Roots, if set, tells where a user's messages lie, of whom not all do in Spool and
	// Archive. It is asked each time that the mail is opened; while the owner of the slot has
	// it open, only Relocation.Switch may change the answer.
	Roots func(mailbox.User) (Roots, error)
	// Partitions are the answers that Roots may give, besides Spool and Archive.
	Partitions []Roots
	// ArchiveSize is the size in bytes above which a message goes to Archive at
	// once; by default 1 MiB.
	ArchiveSize int64
	// RetainDeleted keeps deleted mailboxes with their messages until Forget, as
	// expunged messages are kept; by default they go at once.
	RetainDeleted bool
	// Slot is the id under which this slot's writes stand in lineages: see Tenure.
	Slot string
	// ReadOnly opens the mail for reading beside the process that owns the
	// slot, or without one. slot.lock is not taken, and nothing is ever written.
	ReadOnly bool
	// FS is the disk of packs and spooled messages; by default disk.OS().
	// mail.db is opened by SQLite, always on the real disk.
	FS disk.FS
	// Notify, if set, is told of each change after its commit. It is called
	// without any lock and must not block for long: whoever made the change waits.
	Notify func(mailbox.Event)
	// Damaged, if set, is told of a user whose records or mail.db are found to be damaged, for
	// whom Repair is due: once, until that is done. It must not block.
	Damaged func(mailbox.User)
	// Present, if set, is asked before a directory is made below a root: its error, as of
	// a partition that is not mounted, fails what would lie there.
	Present func(root string) error
	// Fence, if set, is asked right before each commit whether this slot may
	// still write for the user. Its error fails the change.
	Fence func(context.Context, mailbox.User) error
	// Step, if set, is called at each step that a crash could part from the
	// next, with a name from the constants Step….
	Step func(step string)
	// Waited, if set, is told how long a change waited for its turn where others were
	// changing the same user's mail.
	Waited func(time.Duration)
	// Now is the clock; by default time.Now.
	Now func() time.Time
	// Rand gives mailbox ids; by default crypto/rand.
	Rand io.Reader
	// Logger gets what no caller asked for, such as a tail that was cut; by
	// default nothing is logged.
	Logger *slog.Logger
	// MaxMessage is the largest message in bytes; by default 64 MiB.
	MaxMessage int64
	// MemoryMessage is the size in bytes up to which a spooled message is held
	// in memory; by default 256 KiB. Larger ones lie in a file until stored.
	MemoryMessage int64
	// PackSize is the size in bytes beyond which a pack gets no more messages;
	// by default 64 MiB.
	PackSize int64
	// CacheBytes bounds what is kept in memory for all users together: a quarter
	// of it what was read of contents, the rest views; by default 256 MiB.
	CacheBytes int64
	// OpenUsers bounds the databases kept open of users whom nobody uses at
	// the moment, some quarter of a megabyte each; by default 32.
	OpenUsers int
	// IdleTime is how long nobody has to have used a user's database until Run closes
	// it; by default 20 seconds.
	IdleTime time.Duration
}

// Steps at which Options.Step is called, in the order of a delivery.
const (
	StepPackWritten = "pack written" // frames written, not synced
	StepPackSynced  = "pack synced"
	StepFenced      = "fenced"
	StepCommitted   = "committed" // before anyone was told
	StepNotified    = "notified"
	// StepPackMade: a new pack is registered in mail.db and not yet on disk.
	StepPackMade = "pack made"
	// StepRepackWritten: the messages worth keeping are in a new, synced pack.
	StepRepackWritten = "repack written"
	// StepRepackCommitted: mail.db refers to the new pack; the old one is there.
	StepRepackCommitted = "repack committed"
	// StepRepackRemoved: the old pack is gone from disk, but not from mail.db.
	StepRepackRemoved = "repack removed"
)

func (o Options) withDefaults() Options {
	setDefault(&o.Spool, o.Conf)
	setDefault(&o.Archive, o.Spool)
	setDefault(&o.ArchiveSize, 1<<20)
	setDefault(&o.MaxMessage, 64<<20)
	setDefault(&o.MemoryMessage, 256<<10)
	setDefault(&o.PackSize, 64<<20)
	setDefault(&o.CacheBytes, 256<<20)
	setDefault(&o.OpenUsers, 32)
	setDefault(&o.IdleTime, 20*time.Second)
	setDefault(&o.Rand, rand.Reader)
	setDefault(&o.FS, disk.OS())
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Notify == nil {
		o.Notify = func(mailbox.Event) {}
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	if o.Damaged == nil {
		o.Damaged = func(mailbox.User) {}
	}
	if o.Present == nil {
		o.Present = func(string) error { return nil }
	}
	if o.Fence == nil {
		o.Fence = func(context.Context, mailbox.User) error { return nil }
	}
	return o
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// Quota bounds a user's mail. The zero value is without limits.
type Quota struct {
	Bytes    int64 // sum of message sizes over all mailboxes, each copy counted
	Messages int64 // number of messages over all mailboxes
}

// Usage is what a user's mail amounts to, counted as Quota counts.
type Usage struct{ Bytes, Messages int64 }

// UserOptions are what CreateUser needs to know beside the id.
type UserOptions struct{ Quota Quota }
