package squatter

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

type item = mailstore.Item

// Repaired is what Repair did.
type Repaired struct {
	Before, After *Audit
	Indexed       int
	Rewritten     []string // databases
}

// activeName is what a damaged activefile is called among what Repair has rewritten.
const activeName = "index.active"

// Repair audits a user's index and mends what is wrong: a damaged activefile is replaced, databases that are damaged,
// or have dead or double documents, are rewritten, or dropped where nothing of
// them can be kept; then what is missing is indexed, messages in quarantine
// included. What it could not mend is in After, and an error where it says why.
func (q *Squatter) Repair(ctx context.Context, u mailbox.User, log func(string)) (*Repaired, error) {
	out := &Repaired{}
	var err error
	if out.Before, err = q.Audit(ctx, u); err != nil {
		return nil, err
	}
	var errs []error
	if err := q.rewriteBad(ctx, u, out, log); err != nil {
		errs = append(errs, err)
	}
	out.Indexed, err = q.IndexUser(ctx, u, IndexOptions{Retry: true})
	errs = append(errs, err)
	if out.After, err = q.Audit(ctx, u); err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	return out, errors.Join(errs...)
}

// Purge rewrites every database that has documents of messages which nothing holds
// any longer, and returns their names.
func (q *Squatter) Purge(ctx context.Context, u mailbox.User) ([]string, error) {
	out := &Repaired{Before: &Audit{}}
	err := q.rewriteBad(ctx, u, out, nil)
	return out.Rewritten, err
}

// rewriteBad rewrites in their own tiers the databases that an audit complains of.
func (q *Squatter) rewriteBad(ctx context.Context, u mailbox.User, out *Repaired, log func(string)) error {
	bad := make(map[string]bool)
	for _, d := range out.Before.Damage {
		bad[d.Database] = true
	}
	if bad[activeName] {
		if err := q.o.Tiers.User(u).Reset(ctx); err != nil {
			return err
		}
		out.Rewritten = append(out.Rewritten, activeName)
	}
	dead, err := q.dead(ctx, u)
	if err != nil {
		return fmt.Errorf("looking for dead documents of user %s: %w", u, err)
	}
	stats, err := q.o.Tiers.User(u).Stats(ctx)
	if err != nil {
		return fmt.Errorf("looking at the databases of user %s: %w", u, err)
	}
	var all []string
	for _, st := range stats {
		name := st.Database.String()
		all = append(all, name)
		if st.State != "" && st.State != "missing" || dead[st.ID] > 0 {
			bad[name] = true
		}
	}
	if out.Before.Double > 0 && len(all) > 0 {
		// Only a merge of all of them can tell which of two to keep.
		return q.rewriteAll(ctx, u, all, out, log)
	}
	var errs []error
	for _, name := range all {
		if bad[name] {
			errs = append(errs, q.rewriteOne(ctx, u, []string{name}, name, out, log))
		}
	}
	return errors.Join(errs...)
}

// rewriteAll merges all databases into one in the tier of the last, where most lies.
func (q *Squatter) rewriteAll(ctx context.Context, u mailbox.User, all []string, out *Repaired, log func(string)) error {
	return q.rewriteOne(ctx, u, all, all[len(all)-1], out, log)
}

func (q *Squatter) rewriteOne(ctx context.Context, u mailbox.User, sources []string, like string, out *Repaired, log func(string)) error {
	tier, _, _ := strings.Cut(like, ":")
	if _, err := q.Compact(ctx, u, CompactOptions{Sources: sources, Dest: tier, Force: true, Log: log}); err != nil {
		return err
	}
	out.Rewritten = append(out.Rewritten, sources...)
	return nil
}
