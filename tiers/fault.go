package tiers

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// errFault is wrapped in the error that a panic over a segment's bytes becomes.
var errFault = errors.New("fault while reading")

// guard calls fn, which reads mapped files or bytes that may be damaged. A memory
// fault (a mapped file cut short, a bad disk) or any other panic becomes an error
// that wraps errFault. The bytes are the only input that fn has, and an index may
// cost speed but never the process.
func guard(fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errFault, r)
		}
	}()
	return fn()
}

// Damage is a database that could not be read, or not to its end. It is read as
// absent: its messages are scanned until they are indexed again.
type Damage struct {
	Database string // such as "data:37"; "index.active" for the activefile
	Path     string
	Err      error
}

// Error names the database and its place.
func (d *Damage) Error() string { return fmt.Sprintf("%s (%s): %v", d.Database, d.Path, d.Err) }

// Unwrap returns what was met.
func (d *Damage) Unwrap() error { return d.Err }
