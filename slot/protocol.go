package slot

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// The admin protocol is HTTP over the Unix socket admin.sock, with JSON bodies.
// Who may open the socket may do everything: it belongs to the slot's owner
// alone. Requests and answers are the types below; an error is an HTTP status
// and a Trouble. The program and its slotctl are of one version, so the
// protocol carries none.

// Status is what GET /status answers.
type Status struct {
	Name      string
	Version   string
	PID       int
	Started   time.Time
	Offline   bool // the slot is open for administration only
	Users     int
	Addresses Addresses
	// SearchesSlow tells who compacts to wait (compact.slow).
	SearchesSlow bool
}

// AddUser is what POST /user/add takes.
type AddUser struct {
	Name, Password string
	Quota          *account.Quota // nil is the configured one
}

// ChangeUser is what the other POST /user/… take: of its fields, what they need.
type ChangeUser struct {
	Name     string
	Password string        // passwd
	To       string        // rename
	Quota    account.Quota // quota
}

// User is an element of what GET /users answers.
type User struct {
	Name     string
	ID       mailbox.User
	Created  time.Time
	Disabled bool
	Quota    account.Quota
	Usage    mailstore.Usage
	// Partition is where the mail lies, and after a slash the index if elsewhere; "" if both
	// are on the slot's own.
	Partition string
	Trouble   string // why the usage is not known, or ""
}

// Finding is something that verify found wrong, one line of JSON each.
type Finding struct{ User, Where, What string }

// Trouble is the body of an answer that is no success, and the last line of an
// answer of several lines that ended early.
type Trouble struct{ Error string }

// Incoming stands before each message of POST /import, on a line of its own;
// Size octets of message follow it.
type Incoming struct {
	Mailbox string   // made if it is missing
	Flags   []string `json:",omitempty"`
	// Date is the internal date; zero: that of the topmost Received field, else of
	// the Date field, else now.
	Date time.Time
	// UID is the one to have, or 0. Where it is not free any longer the message gets
	// another: see Outcome.
	UID  mailbox.UID `json:",omitempty"`
	Size int64
}

// Imported is what POST /import answers: an Outcome for each message that was
// dealt with, in order, and why it stopped before the last, if it did.
type Imported struct {
	Outcomes []Outcome
	Error    string
}

// Outcome is what became of one message: stored under UID, or left out because
// it was there, or refused.
type Outcome struct {
	UID     mailbox.UID `json:",omitempty"`
	Skipped bool        `json:",omitempty"`
	Error   string      `json:",omitempty"`
}

// maxIncoming bounds the line before a message.
const maxIncoming = 1 << 20

// errProtocol is returned for what no slotctl sends.
var errProtocol = errors.New("not the admin protocol")

// writeIncoming writes the line before a message.
func writeIncoming(w io.Writer, in Incoming) error {
	line, err := json.Marshal(in)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// readIncoming reads the line before a message; io.EOF after the last one.
func readIncoming(r *bufio.Reader) (Incoming, error) {
	var line []byte
	for {
		piece, err := r.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case err == nil:
			var in Incoming
			if err := json.Unmarshal(line, &in); err != nil || in.Size < 0 {
				return Incoming{}, fmt.Errorf("%w: %.80q", errProtocol, line)
			}
			return in, nil
		case err == bufio.ErrBufferFull && len(line) < maxIncoming:
		case err == io.EOF && len(line) == 0:
			return Incoming{}, io.EOF
		case err == io.EOF:
			return Incoming{}, io.ErrUnexpectedEOF
		case err == bufio.ErrBufferFull:
			return Incoming{}, fmt.Errorf("%w: a line of %d bytes", errProtocol, len(line))
		default:
			return Incoming{}, err
		}
	}
}
