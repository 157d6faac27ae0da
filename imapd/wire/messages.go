package wire

// Expunge is EXPUNGE, and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9).
type Expunge struct {
	UIDs *Set // nil: EXPUNGE
}

// Store is RFC 9051 §6.4.6.
type Store struct {
	UID    bool
	Set    Set
	Op     StoreOp
	Silent bool
	Flags  []string // as sent
	// UnchangedSince is RFC 7162 §3.1.3; nil if not given, 0 is a value.
	UnchangedSince *uint64
}

// StoreOp says what STORE does with the flags.
type StoreOp byte

// The ways to store.
const (
	StoreReplace StoreOp = iota // FLAGS
	StoreAdd                    // +FLAGS
	StoreRemove                 // -FLAGS
)

// Copy is RFC 9051 §6.4.7.
type Copy struct {
	UID     bool
	Set     Set
	Mailbox string
}

// Move is RFC 9051 §6.4.8.
type Move struct {
	UID     bool
	Set     Set
	Mailbox string
}

// Name implements Command.
func (c *Expunge) Name() string { return uidName(c.UIDs != nil, "EXPUNGE") }

// Name implements Command.
func (c *Store) Name() string { return uidName(c.UID, "STORE") }

// Name implements Command.
func (c *Copy) Name() string { return uidName(c.UID, "COPY") }

// Name implements Command.
func (c *Move) Name() string { return uidName(c.UID, "MOVE") }
