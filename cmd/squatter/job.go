package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"teraslot/account"
	"teraslot/cmd/internal/steps"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/slot"
	"teraslot/squatter"
	"teraslot/tiers"
)

// job is one run of the command on an open slot.
type job struct {
	options
	f        *flags
	config   *slot.Config
	store    *mailstore.Store
	tiers    *tiers.Set
	accounts *account.Accounts
	squatter *squatter.Squatter
	byHand   *squatter.Schedule // of -z
	log      *slog.Logger
	names    map[mailbox.User]string // login names
	failed   int                     // users or mailboxes for whom something was not done
}

// openJob opens the slot's mail for reading, and its indexes. The daemon may run.
func openJob(ctx context.Context, f *flags, o options) (*job, error) {
	c, err := steps.Load(f.config)
	if err != nil {
		return nil, err
	}
	if err := c.CheckOwner(); err != nil {
		return nil, err
	}
	for _, check := range []func() error{c.CheckMade, c.CheckRoots} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	if o.now != nil {
		c.Hooks.Now = o.now
	}
	j := &job{options: o, f: f, config: c, names: make(map[mailbox.User]string)}
	if err := j.open(ctx); err != nil {
		return nil, errors.Join(err, j.close())
	}
	return j, nil
}

func (j *job) open(ctx context.Context) (err error) {
	if j.log, err = j.logger(); err != nil {
		return err
	}
	if j.accounts, err = account.Open(ctx, j.config.AccountsFile(), account.Options{Logger: j.log, Now: j.config.Hooks.Now}); err != nil {
		return err
	}
	all, err := j.accounts.List(ctx)
	if errors.Is(err, account.ErrDamaged) { // who has no name here is told of by his id
		j.log.Error("a user's name is not known", "err", err)
	} else if err != nil {
		return err
	}
	for _, a := range all {
		j.names[a.ID] = a.Name
	}
	mail := j.config.MailstoreOptions()
	mail.ReadOnly, mail.Logger = true, j.log
	if j.store, err = mailstore.Open(ctx, mail); err != nil {
		return err
	}
	index := j.config.TiersOptions()
	index.Logger = j.log
	if j.tiers, err = tiers.New(index); err != nil {
		return err
	}
	j.squatter = squatter.New(squatter.Options{Store: j.store, Tiers: j.tiers, Logger: j.log, Conf: j.config.Conf, FS: j.config.Hooks.FS,
		Now: j.config.Hooks.Now, Leave: true, Batch: j.config.Squatter.Batch, Delay: time.Duration(j.config.Squatter.Delay)})
	return nil
}

// logger writes what the daemon would log, in its form, to standard error: what is
// wrong, and with -v also a line for each compaction.
func (j *job) logger() (*slog.Logger, error) {
	l := j.config.Log
	if l.Level = "warn"; j.f.verbose > 0 {
		l.Level = "info"
	}
	return l.Logger(j.stderr)
}

// close closes what open opened.
func (j *job) close() error {
	var errs []error
	if j.tiers != nil {
		errs = append(errs, j.tiers.Close())
	}
	if j.store != nil {
		errs = append(errs, j.store.Close())
	}
	if j.accounts != nil {
		errs = append(errs, j.accounts.Close())
	}
	return errors.Join(errs...)
}

// do does what the flags say for those whom the arguments name. It goes on after
// a failure; the error at the end counts them.
func (j *job) do(ctx context.Context, args []string) error {
	if j.f.rolling {
		return j.roll(ctx)
	}
	if j.f.plan || j.f.apply {
		return j.schedule(ctx)
	}
	if err := j.checkTiers(); err != nil {
		return err
	}
	targets, err := j.chosen(ctx, args)
	if err != nil {
		return err
	}
	if j.f.stats {
		j.statsHead()
	}
	j.byHand = j.newSchedule(ctx)
	for i, t := range targets {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("interrupted before user.%s: %w", j.name(t.user), err)
		}
		if i > 0 {
			sleep(ctx, j.f.pause())
		}
		if err := j.one(ctx, t); err != nil && !j.excused(t.user, err) {
			j.complain(t.user, err)
		}
	}
	if j.failed > 0 {
		return fmt.Errorf("something was not done, %d time(s): see above", j.failed)
	}
	return nil
}

// one does what the flags say for one user.
func (j *job) one(ctx context.Context, t target) error {
	switch {
	case j.f.dest != "":
		return j.compact(ctx, t.user)
	case j.f.audit && j.f.repair:
		return j.repair(ctx, t)
	case j.f.audit:
		return j.audit(ctx, t)
	case j.f.stats:
		return j.stats(ctx, t.user)
	}
	return j.index(ctx, t)
}

// excused reports a failure of single messages that -p allows.
func (j *job) excused(u mailbox.User, err error) bool {
	_, some := errors.AsType[*squatter.Skipped](err)
	if !some || !j.f.partials {
		return false
	}
	j.sayf("user.%s: left to be searched by reading: %v", j.name(u), err)
	return true
}

// chosen are those whom the arguments name, or the sync log of -f.
func (j *job) chosen(ctx context.Context, args []string) ([]target, error) {
	if j.f.synclog == "" {
		return j.targets(ctx, args)
	}
	return j.logged(ctx)
}

// complain reports a failure and counts it.
func (j *job) complain(u mailbox.User, err error) {
	j.failed++
	fmt.Fprintf(j.stderr, "squatter: user.%s: %v\n", j.name(u), err)
}

// sayf prints a line if the command is to be verbose.
func (j *job) sayf(format string, args ...any) {
	if j.f.verbose > 0 {
		fmt.Fprintf(j.stdout, format+"\n", args...)
	}
}

// name is what people call a user: his login name, or the id where none is known.
func (j *job) name(u mailbox.User) string {
	if n, ok := j.names[u]; ok {
		return n
	}
	return string(u)
}

// sleep waits, but not for longer than ctx.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
