package slot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"teraslot/account"
	"teraslot/mailstore"
)

// maxRequest bounds the body of requests other than an import.
const maxRequest = 1 << 20

// adminHandler answers the admin protocol.
func (s *Slot) adminHandler() http.Handler {
	mux := http.NewServeMux()
	s.replicationRequests(mux)
	mux.HandleFunc("GET /status", s.handleStatus)
	mux.HandleFunc("GET /users", func(w http.ResponseWriter, r *http.Request) {
		users, err := s.listUsers(r.Context())
		respond(w, users, err)
	})
	mux.HandleFunc("POST /user/add", handle(s.addUser))
	mux.HandleFunc("POST /user/passwd", handle(func(ctx context.Context, c ChangeUser) error {
		return s.changePassword(ctx, c.Name, c.Password)
	}))
	mux.HandleFunc("POST /user/rename", handle(func(ctx context.Context, c ChangeUser) error {
		return s.renameUser(ctx, c.Name, c.To)
	}))
	mux.HandleFunc("POST /user/quota", handle(func(ctx context.Context, c ChangeUser) error {
		return s.setQuota(ctx, c.Name, c.Quota)
	}))
	mux.HandleFunc("POST /user/move", handle(s.moveUser))
	mux.HandleFunc("POST /mailbox/move", handle(s.giveMailbox))
	mux.HandleFunc("POST /user/del", handle(func(ctx context.Context, c ChangeUser) error {
		return s.removeUser(ctx, c.Name)
	}))
	mux.HandleFunc("GET /verify", s.handleVerify)
	mux.HandleFunc("POST /import", s.handleImport)
	s.transferRequests(mux)
	mux.HandleFunc("POST /job", s.handleJob)
	mux.HandleFunc("POST /repair", s.handleRepair)
	mux.HandleFunc("POST /expunged", s.handleExpunged)
	mux.HandleFunc("POST /setting", handle(s.setSetting))
	return s.watched(mux)
}

// handle makes a handler of a function that takes a request and answers nothing.
func handle[R any](do func(context.Context, R) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var request R
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		d.DisallowUnknownFields()
		if err := d.Decode(&request); err != nil {
			respond(w, nil, errors.Join(errProtocol, err))
			return
		}
		respond(w, struct{}{}, do(r.Context(), request))
	}
}

// respond writes an answer or an error.
func respond(w http.ResponseWriter, answer any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(httpStatus(err))
		answer = Trouble{err.Error()}
	}
	// What cannot be written, the client sees as an answer cut short.
	_ = json.NewEncoder(w).Encode(answer)
}

func httpStatus(err error) int {
	for _, x := range []struct {
		err    error
		status int
	}{
		{errProtocol, http.StatusBadRequest},
		{account.ErrNoAccount, http.StatusNotFound},
		{account.ErrExists, http.StatusConflict},
		{account.ErrName, http.StatusBadRequest},
		{mailstore.ErrBusy, http.StatusConflict},
		{mailstore.ErrFull, http.StatusInsufficientStorage},
		{errReplica, http.StatusForbidden},
	} {
		if errors.Is(err, x.err) {
			return x.status
		}
	}
	return http.StatusInternalServerError
}

func (s *Slot) handleStatus(w http.ResponseWriter, r *http.Request) {
	accounts, err := s.knownUsers(r.Context())
	respond(w, Status{
		Name: s.c.Name, Version: Version, PID: pid(), Started: s.started, Offline: s.o.Offline,
		Users: len(accounts), Addresses: s.Addresses(), SearchesSlow: s.searches.slow.Load(),
	}, err)
}

// orEverybody returns the names that were given, or without any those of all users.
func (s *Slot) orEverybody(ctx context.Context, names []string) ([]string, error) {
	if len(names) > 0 {
		return names, nil
	}
	accounts, err := s.knownUsers(ctx)
	for _, a := range accounts {
		names = append(names, a.Name)
	}
	return names, err
}

// handleVerify streams findings; that somebody could not be verified is said last, as a Trouble, when
// all others have been.
func (s *Slot) handleVerify(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()["user"]
	lines := json.NewEncoder(w)
	err := s.accounts.Verify(r.Context(), func(what string) { _ = lines.Encode(Finding{AccountsName, "accounts", what}) })
	names := slices.DeleteFunc(asked, func(name string) bool { return name == AccountsName })
	if err == nil && len(asked) == 0 {
		names, err = s.orEverybody(r.Context(), nil)
	}
	if err != nil {
		_ = lines.Encode(Trouble{err.Error()})
		return
	}
	var errs []error
	for _, name := range names {
		err := s.verify(r.Context(), name, func(f Finding) {
			f.What = strings.ReplaceAll(f.What, "\n", "; ")
			_ = lines.Encode(f) // a client that went away cancels the request
		})
		if r.Context().Err() != nil {
			return
		}
		if errors.Is(err, account.ErrNoAccount) && len(asked) == 0 {
			continue // removed meanwhile
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		_ = lines.Encode(Trouble{err.Error()})
	}
}
