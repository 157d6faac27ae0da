package slot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/replication"
)

// errReplica: what was asked would change mail, and this slot is a replica.
var errReplica = errors.New("this slot is a replica: ask the master, and the change comes here")

// watched refuses what would change a replica, and tells the replicas of a master which
// accounts a request has changed.
func (s *Slot) watched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		changes := r.Method == http.MethodPost && !strings.HasPrefix(r.URL.Path, "/replication/")
		if changes && s.c.replica() && r.URL.Path != "/job" && r.URL.Path != "/repair" && r.URL.Path != "/user/move" {
			respond(w, nil, errReplica)
			return
		}
		next.ServeHTTP(w, r)
		if !changes {
			return
		}
		if err := s.noteAccounts(context.WithoutCancel(r.Context())); err != nil {
			s.o.Logger.Error("replication: accounts cannot be compared", "err", err)
		}
	})
}

// ReplicationStatus is what GET /replication/status answers.
type ReplicationStatus struct {
	Store, Role string // "" without replication
	Slot        string // its id
	Replicas    []replication.Status
	// Names are the login names of users that are held up.
	Names map[mailbox.User]string
}

// ReplicationRequest is what POST /replication/… takes.
type ReplicationRequest struct {
	Replica  string // "": all
	User     string // login name or id; "": all
	Mailbox  string // sync: compare all records of this one as well
	Messages bool   // verify: read all messages
}

// ReplicationResult is what became of one user at one replica, one line of JSON each.
type ReplicationResult struct{ Replica, User, Found, Error string }

func (s *Slot) replicationRequests(mux *http.ServeMux) {
	mux.HandleFunc("GET /replication/status", func(w http.ResponseWriter, r *http.Request) {
		status, err := s.replicationStatus(r.Context())
		respond(w, status, err)
	})
	mux.HandleFunc("POST /replication/sync", s.eachReplica(func(ctx context.Context, c *replication.Channel, u mailbox.User, q ReplicationRequest, found func(string)) error {
		if q.Mailbox != "" {
			return c.SyncMailbox(ctx, u, q.Mailbox, found)
		}
		return c.Sync(ctx, u)
	}))
	mux.HandleFunc("POST /replication/verify", s.eachReplica(func(ctx context.Context, c *replication.Channel, u mailbox.User, q ReplicationRequest, found func(string)) error {
		return c.Verify(ctx, u, q.Messages, found)
	}))
	mux.HandleFunc("POST /replication/heal", s.eachReplica(func(ctx context.Context, c *replication.Channel, u mailbox.User, _ ReplicationRequest, found func(string)) error {
		return c.Heal(ctx, u, found)
	}))
	mux.HandleFunc("POST /replication/skip", s.eachReplica(func(_ context.Context, c *replication.Channel, u mailbox.User, _ ReplicationRequest, _ func(string)) error {
		return c.Skip(u)
	}))
	mux.HandleFunc("POST /replication/retry", s.eachReplica(func(_ context.Context, c *replication.Channel, u mailbox.User, _ ReplicationRequest, _ func(string)) error {
		return c.Retry(u)
	}))
}

func (s *Slot) replicationStatus(ctx context.Context) (ReplicationStatus, error) {
	r := &s.c.Replication
	out := ReplicationStatus{Store: r.Store, Names: map[mailbox.User]string{}}
	if !r.on() {
		return out, nil
	}
	out.Role = r.Role
	var err error
	if out.Slot, err = s.slotID(); err != nil {
		return out, err
	}
	for _, c := range s.peers.channels {
		status := c.Status()
		for _, h := range status.HeldUp {
			a, err := s.accounts.ByID(ctx, h.User)
			if err != nil && !errors.Is(err, account.ErrNoAccount) {
				return out, err
			}
			out.Names[h.User] = a.Name
		}
		out.Replicas = append(out.Replicas, status)
	}
	return out, nil
}

// eachReplica makes a handler that does something for users at replicas and streams
// what became of it. A trouble ends it.
func (s *Slot) eachReplica(do func(context.Context, *replication.Channel, mailbox.User, ReplicationRequest, func(string)) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q ReplicationRequest
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		d.DisallowUnknownFields()
		if err := d.Decode(&q); err != nil {
			respond(w, nil, errors.Join(errProtocol, err))
			return
		}
		channels, users, err := s.concerned(r.Context(), q)
		if err != nil {
			respond(w, nil, err)
			return
		}
		lines := json.NewEncoder(w)
		for _, u := range users {
			for _, c := range channels {
				out := ReplicationResult{Replica: c.Name(), User: u.Name}
				err := do(r.Context(), c, u.ID, q, func(found string) {
					one := out
					one.Found = found
					_ = lines.Encode(one) // a client that went away cancels the request
				})
				if err != nil {
					out.Error = err.Error()
				}
				_ = lines.Encode(out)
			}
		}
	}
}

// concerned returns the channels and users that a request means.
func (s *Slot) concerned(ctx context.Context, q ReplicationRequest) (channels []*replication.Channel, users []account.Account, err error) {
	if channels = s.peers.channels; q.Replica != "" {
		c, err := s.channel(q.Replica)
		if err != nil {
			return nil, nil, err
		}
		channels = []*replication.Channel{c}
	}
	if len(channels) == 0 {
		return nil, nil, errNoReplicas
	}
	if q.User == "" {
		users, err = s.knownUsers(ctx)
		return channels, users, err
	}
	if id, err := mailbox.ParseUser(q.User); err == nil { // also one who was removed
		e, err := s.accounts.Entry(ctx, id)
		return channels, []account.Account{e.Account}, err
	}
	a, err := s.accounts.Lookup(ctx, q.User)
	return channels, []account.Account{a}, err
}

// errNoReplicas: the slot is no master of others, or its daemon does not run.
var errNoReplicas = errors.New("there are no replicas: the daemon of the store's master has to run")

// ReplicationStatus asks how far the replicas are behind.
func (c *Client) ReplicationStatus(ctx context.Context) (out ReplicationStatus, err error) {
	err = c.call(ctx, http.MethodGet, "/replication/status", nil, &out)
	return out, err
}

// Replicate does something for users at replicas: "sync", "verify", "heal", "skip" or "retry".
// each is told of every outcome.
func (c *Client) Replicate(ctx context.Context, what string, q ReplicationRequest, each func(ReplicationResult)) error {
	body, err := jsonBody(q)
	if err != nil {
		return err
	}
	r, err := c.ask(ctx, http.MethodPost, "/replication/"+what, body)
	if err != nil {
		return err
	}
	defer r.Close()
	for lines := json.NewDecoder(r); ; {
		var line ReplicationResult
		switch err := lines.Decode(&line); {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("answer of the slot: %w", err)
		}
		each(line)
	}
}
