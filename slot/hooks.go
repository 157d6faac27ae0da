package slot

import (
	"time"

	"teraslot/account"
	"teraslot/disk"
)

// Hooks are the seams at which a test ends a process or lets its disk fail. The
// zero value is none.
type Hooks struct {
	// FS is the disk of all files but SQLite's and mapped ones; nil: disk.OS().
	FS disk.FS
	// Step, if set, is called at each step that a crash could part from the next,
	// with the package's name before it, as in "mailstore: committed".
	Step func(step string)
	// Passwords is what a new hash of a password costs; the zero value: what package
	// account takes. For tests with more users than such hashes can be made for.
	Passwords account.Cost
	// Now is the clock if Options name none; nil: time.Now.
	Now func() time.Time
}

// CheapPasswords is a cost for tests in which thousands of users log in.
var CheapPasswords = account.Cost{Memory: 64, Passes: 1, Lanes: 1}

// Steps of this package, in the order of a user's life.
const (
	stepAccountMade     = "account made"
	stepMailMade        = "mail made"
	stepAccountRenamed  = "account renamed"
	stepAccountDisabled = "account disabled"
	stepMailRemoved     = "mail removed"
	stepIndexRemoved    = "index removed"
	stepRestRemoved     = "rest removed" // the account alone is left
	stepAccountRemoved  = "account removed"
	// Of a move to another partition, of the mail and of the index.
	stepMoveBegun   = "move begun"
	stepMoved       = "moved"        // or not: it has failed
	stepMoveSettled = "move settled" // nothing is left on the other partition
	// Of a mailbox that is given to another user.
	stepHandoverBegun = "handover begun" // the file is there
	stepHandedOver    = "handed over"    // or not: it has failed
)

// Of returns the steps of one package, as its options take them.
func (h Hooks) Of(pkg string) func(step string) {
	if h.Step == nil {
		return nil
	}
	return func(step string) { h.Step(pkg + ": " + step) }
}

// step tells of a step of this package.
func (s *Slot) step(step string) {
	if tell := s.c.Hooks.Of("slot"); tell != nil {
		tell(step)
	}
}
