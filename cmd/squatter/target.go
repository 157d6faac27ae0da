package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"teraslot/account"
	"teraslot/mailbox"
)

// target is a user whom the command works on, and the mailboxes of his that were
// named; nil stands for all of them.
type target struct {
	user      mailbox.User
	mailboxes []mailbox.State
}

// targets finds whom the arguments name. A name that is unknown is reported and
// counted; the others are worked on.
func (j *job) targets(ctx context.Context, args []string) ([]target, error) {
	if len(args) == 0 {
		return j.everyone(ctx)
	}
	var out []target
	at := make(map[mailbox.User]int)
	for _, arg := range args {
		t, err := j.target(ctx, arg)
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			j.failed++
			fmt.Fprintf(j.stderr, "squatter: %s: %v\n", arg, err)
			continue
		}
		i, known := at[t.user]
		switch {
		case !known:
			at[t.user] = len(out)
			out = append(out, t)
		case t.mailboxes == nil || out[i].mailboxes == nil:
			out[i].mailboxes = nil
		default:
			out[i].mailboxes = append(out[i].mailboxes, t.mailboxes...)
		}
	}
	return out, nil
}

func (j *job) everyone(ctx context.Context) ([]target, error) {
	users, err := j.store.Users(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing users: %w", err)
	}
	out := make([]target, len(users))
	for i, u := range users {
		out[i].user = u
	}
	return out, nil
}

// target finds one: a login name, or a mailbox.
func (j *job) target(ctx context.Context, arg string) (target, error) {
	if j.f.users || j.f.dest != "" && !mailboxName(arg) {
		a, err := j.accounts.Lookup(ctx, arg)
		return target{user: a.ID}, err
	}
	login, folder, err := j.split(ctx, arg)
	if err != nil {
		return target{}, err
	}
	t := target{user: login}
	if j.f.dest != "" || folder == "" && j.f.recursive {
		return t, nil // an index is the user's, and not cut by mailbox
	}
	t.mailboxes, err = j.mailboxes(ctx, login, folder)
	return t, err
}

func mailboxName(arg string) bool {
	return strings.HasPrefix(arg, "user.") || strings.HasPrefix(arg, "user/")
}

// split takes user.NAME.FOLDER or user/NAME/FOLDER apart; folder is "" for INBOX,
// else with / between levels. Login names may have dots: the longest that is one
// is taken.
func (j *job) split(ctx context.Context, arg string) (u mailbox.User, folder string, err error) {
	if rest, ok := strings.CutPrefix(arg, "user/"); ok {
		login, folder, _ := strings.Cut(rest, "/")
		a, err := j.accounts.Lookup(ctx, login)
		return a.ID, folder, err
	}
	rest, ok := strings.CutPrefix(arg, "user.")
	if !ok {
		return "", "", fmt.Errorf("not a mailbox such as user.NAME.FOLDER or user/NAME/FOLDER; for login names, give -u")
	}
	for end := len(rest); end > 0; end = strings.LastIndexByte(rest[:end], '.') {
		a, err := j.accounts.Lookup(ctx, rest[:end])
		if err == nil {
			return a.ID, strings.ReplaceAll(strings.TrimPrefix(rest[end:], "."), ".", "/"), nil
		}
		if !errors.Is(err, account.ErrNoAccount) && !errors.Is(err, account.ErrUncertain) {
			return "", "", err
		}
	}
	return "", "", account.ErrNoAccount
}

// mailboxes finds a mailbox, with -r also those below it.
func (j *job) mailboxes(ctx context.Context, u mailbox.User, folder string) ([]mailbox.State, error) {
	if folder == "" {
		folder = "INBOX"
	}
	mail, err := j.store.Acquire(ctx, u)
	if err != nil {
		return nil, err
	}
	defer mail.Release()
	if !j.f.recursive {
		box, err := mail.MailboxNamed(ctx, folder)
		return []mailbox.State{box}, err
	}
	all, err := mail.Mailboxes(ctx)
	if err != nil {
		return nil, err
	}
	var out []mailbox.State
	for _, box := range all {
		if box.Name == folder || strings.HasPrefix(box.Name, folder+"/") {
			out = append(out, box)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no mailbox %s, nor one below it", folder)
	}
	return out, nil
}

// mailboxLabel is a mailbox's name as operators of the reference system know it.
func (j *job) mailboxLabel(u mailbox.User, box mailbox.State) string {
	label := "user." + j.name(u)
	if box.Name != "INBOX" {
		label += "." + strings.ReplaceAll(box.Name, "/", ".")
	}
	return label
}
