package slot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"teraslot/mailbox"
)

// Client administers a slot: through the daemon if one runs, or through the slot
// opened for the purpose. Its methods may be called from any goroutine.
type Client struct {
	http *http.Client
	stop func() error // ends the slot that was opened for this client
}

// Administer connects to the daemon of the slot, or, if none runs, opens the
// slot for as long as the client is open. mailstore.ErrBusy tells that somebody
// has the slot and does not answer.
func Administer(ctx context.Context, c *Config, o Options) (*Client, error) {
	if err := c.CheckOwner(); err != nil {
		return nil, err
	}
	conn, err := dialUnix(c.AdminSocket())
	switch {
	case err == nil:
		return newClient(c), conn.Close()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return open(ctx, c, o)
	}
	return nil, fmt.Errorf("admin socket: %w", err)
}

func newClient(c *Config) *Client {
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return dialUnix(c.AdminSocket()) },
	}}}
}

// open runs the slot for its admin socket alone, until the client is closed.
// Another slotctl may use that socket meanwhile.
func open(ctx context.Context, c *Config, o Options) (*Client, error) {
	o.Offline = true
	s, err := Open(ctx, c, o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- errors.Join(s.Run(ctx), s.Close()) }()
	client := newClient(c)
	client.stop = func() error {
		cancel()
		return <-done
	}
	return client, nil
}

// Close ends the client, and the slot if it was opened for it.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	if c.stop == nil {
		return nil
	}
	return c.stop()
}

// RemoteError is what the slot answered instead of doing what it was asked.
type RemoteError struct {
	Status int // of HTTP
	Text   string
}

// Error is the slot's own text.
func (e *RemoteError) Error() string { return e.Text }

// ask sends a request and returns the body of a successful answer.
func (c *Client) ask(ctx context.Context, method, path string, body io.Reader) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://slot"+path, body)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("asking the slot: %w", err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	var trouble Trouble
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxRequest)).Decode(&trouble); err != nil || trouble.Error == "" {
		trouble.Error = "the slot answered " + answer.Status
	}
	return nil, &RemoteError{answer.StatusCode, trouble.Error}
}

// call sends a request of JSON and reads an answer of JSON.
func (c *Client) call(ctx context.Context, method, path string, request, answer any) error {
	var body io.Reader
	if request != nil {
		var err error
		if body, err = jsonBody(request); err != nil {
			return err
		}
	}
	r, err := c.ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer r.Close()
	if answer == nil {
		answer = &struct{}{}
	}
	if err := json.NewDecoder(r).Decode(answer); err != nil {
		return fmt.Errorf("answer of the slot: %w", err)
	}
	return nil
}

func jsonBody(request any) (io.Reader, error) {
	b, err := json.Marshal(request)
	return bytes.NewReader(b), err
}

// Status asks who serves the slot.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.call(ctx, http.MethodGet, "/status", nil, &s)
	return s, err
}

// Users lists all users.
func (c *Client) Users(ctx context.Context) (users []User, err error) {
	err = c.call(ctx, http.MethodGet, "/users", nil, &users)
	return users, err
}

// AddUser makes a user.
func (c *Client) AddUser(ctx context.Context, u AddUser) error {
	return c.call(ctx, http.MethodPost, "/user/add", u, nil)
}

// Change asks for one of the other changes to a user: passwd, rename, quota, del.
func (c *Client) Change(ctx context.Context, what string, u ChangeUser) error {
	return c.call(ctx, http.MethodPost, "/user/"+what, u, nil)
}

// Move moves a user to another partition.
func (c *Client) Move(ctx context.Context, m MoveUser) error {
	return c.call(ctx, http.MethodPost, "/user/move", m, nil)
}

// GiveMailbox gives a mailbox to another user.
func (c *Client) GiveMailbox(ctx context.Context, g GiveMailbox) error {
	return c.call(ctx, http.MethodPost, "/mailbox/move", g, nil)
}

// Verify checks the named users, or all, and reports what is wrong. An error
// means that not everything was checked.
func (c *Client) Verify(ctx context.Context, users []string, report func(Finding)) error {
	r, err := c.ask(ctx, http.MethodGet, "/verify?"+url.Values{"user": users}.Encode(), nil)
	if err != nil {
		return err
	}
	defer r.Close()
	for lines := json.NewDecoder(r); ; {
		var line struct {
			Finding
			Trouble
		}
		switch err := lines.Decode(&line); {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("answer of the slot: %w", err)
		case line.Error != "":
			return &RemoteError{http.StatusInternalServerError, line.Error}
		}
		report(line.Finding)
	}
}

// Batch is messages to be imported by one request.
type Batch struct {
	body  bytes.Buffer
	count int
}

// Add appends a message.
func (b *Batch) Add(mailboxName string, flags mailbox.Flags, in Incoming, body []byte) error {
	in.Mailbox, in.Flags, in.Size = mailboxName, flags.List(), int64(len(body))
	if err := writeIncoming(&b.body, in); err != nil {
		return err
	}
	b.body.Write(body)
	b.count++
	return nil
}

// Len is the number of messages, Bytes the size of the request.
func (b *Batch) Len() int   { return b.count }
func (b *Batch) Bytes() int { return b.body.Len() }

// Import stores a batch for a user; with skipExisting, only what the mailboxes do
// not have. The outcomes are those of the batch's first messages: all of them
// unless there is an error.
func (c *Client) Import(ctx context.Context, user string, b *Batch, skipExisting bool) ([]Outcome, error) {
	q := url.Values{"user": {user}}
	if skipExisting {
		q.Set("skip", "existing")
	}
	r, err := c.ask(ctx, http.MethodPost, "/import?"+q.Encode(), bytes.NewReader(b.body.Bytes()))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var answer Imported
	if err := json.NewDecoder(r).Decode(&answer); err != nil {
		return nil, fmt.Errorf("answer of the slot: %w", err)
	}
	if answer.Error == "" && len(answer.Outcomes) != b.count {
		answer.Error = fmt.Sprintf("the slot answered for %d of %d messages", len(answer.Outcomes), b.count)
	}
	if answer.Error != "" {
		return answer.Outcomes, &RemoteError{http.StatusOK, answer.Error}
	}
	return answer.Outcomes, nil
}
