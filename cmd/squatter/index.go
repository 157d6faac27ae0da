package main

import (
	"context"
	"fmt"
	"os"

	"teraslot/mailbox"
	"teraslot/squatter"
)

// index indexes a user's mail: all of it, or with -i what is missing.
func (j *job) index(ctx context.Context, t target) error {
	o := squatter.IndexOptions{All: !j.f.incremental && j.f.synclog == "", Retry: true, Progress: j.progress(t.user)}
	if t.mailboxes == nil {
		j.sayf("Indexing user.%s... ", j.name(t.user))
	}
	for _, box := range t.mailboxes {
		o.Mailboxes = append(o.Mailboxes, box.ID)
		j.sayf("Indexing mailbox %s... ", j.mailboxLabel(t.user, box))
	}
	n, err := j.squatter.IndexUser(ctx, t.user, o)
	j.sayf("Indexed %d message(s) of user.%s", n, j.name(t.user))
	return err
}

// progress shows how far indexing got, on a terminal only.
func (j *job) progress(u mailbox.User) func(done, of int) {
	if !terminal(j.stderr) {
		return nil
	}
	return func(done, of int) {
		fmt.Fprintf(j.stderr, "\ruser.%s: %d of %d messages ", j.name(u), done, of)
		if done == of {
			fmt.Fprint(j.stderr, "\r\x1b[K")
		}
	}
}

// terminal reports whether w is one.
func terminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && info.Mode()&os.ModeDevice != 0
}
