package slot

import "teraslot/disk"

// Hooks are the seams at which a test ends a process or lets its disk fail. The
// zero value is none.
type Hooks struct {
	// FS is the disk of all files but SQLite's and mapped ones; nil: disk.OS().
	FS disk.FS
	// Step, if set, is called at each step that a crash could part from the next,
	// with the package's name before it, as in "mailstore: committed".
	Step func(step string)
}

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
