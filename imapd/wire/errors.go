package wire

import (
	"errors"
	"fmt"
	"strings"
)

// Causes of a SyntaxError.
var (
	// ErrUnknownCommand: no command of that name.
	ErrUnknownCommand = errors.New("unknown command")
	// ErrTooBig: a line, a literal or all literals of a command exceed Limits.
	ErrTooBig = errors.New("too big")
	// ErrTooDeep: parentheses, NOT, OR and FUZZY nest deeper than Limits.Depth.
	ErrTooDeep = errors.New("nested too deeply")
)

// ErrBroken is wrapped by errors after which input cannot be told from text that
// was not meant as a command: the connection has to be closed.
var ErrBroken = errors.New("input out of step")

// SyntaxError says that a command cannot be read. The commands after it can,
// unless Reader.Err says otherwise.
type SyntaxError struct {
	Tag      string // "" if it could not be read: the answer is untagged
	Command  string // its name in capitals as far as it was read; "" if it was not
	Pos      int    // octets of the command before the place, literals included
	Expected string // what should have stood there; "" where Err says it all
	Err      error  // the cause; nil where the text is just not in the grammar
}

// Error has no tag and no octet that the client sent but for a command's name.
func (e *SyntaxError) Error() string {
	var b strings.Builder
	if e.Command != "" {
		fmt.Fprintf(&b, "%s: ", e.Command)
	}
	fmt.Fprintf(&b, "at octet %d", e.Pos)
	if e.Expected != "" {
		fmt.Fprintf(&b, ": expected %s", e.Expected)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *SyntaxError) Unwrap() error { return e.Err }
