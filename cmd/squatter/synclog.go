package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"teraslot/account"
	"teraslot/mailbox"
)

// logged are the users whom the sync log of -f names: in the lines of ours
// (docs/formats.md), or in those of the reference system, "USER name" and "APPEND
// user.name.folder". A line that cannot be read is reported and counted.
func (j *job) logged(ctx context.Context) ([]target, error) {
	f, err := os.Open(j.f.synclog)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []target
	seen := make(map[mailbox.User]bool)
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		u, err := j.loggedUser(ctx, line)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			j.failed++
			fmt.Fprintf(j.stderr, "squatter: %s:%d: %v\n", j.f.synclog, n, err)
			continue
		}
		if !seen[u] {
			seen[u] = true
			out = append(out, target{user: u})
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", j.f.synclog, err)
	}
	return out, nil
}

func (j *job) loggedUser(ctx context.Context, line string) (mailbox.User, error) {
	words := strings.Fields(line)
	switch {
	case len(words) == 4 && words[0] == "1":
		u, err := mailbox.ParseUser(words[1])
		if err == nil && j.names[u] == "" {
			err = account.ErrNoAccount
		}
		return u, err
	case len(words) == 2 && words[0] == "USER":
		a, err := j.accounts.Lookup(ctx, words[1])
		return a.ID, err
	case len(words) >= 2 && words[0] == "APPEND":
		u, _, err := j.split(ctx, strings.Trim(strings.Join(words[1:], " "), `"`))
		return u, err
	}
	return "", fmt.Errorf("not a line of a sync log: %q", line)
}
