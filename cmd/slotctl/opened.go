package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"teraslot/account"
	"teraslot/cmd/internal/steps"
	"teraslot/mailstore"
	"teraslot/slot"
)

// opened is a slot that is open for reading, beside the daemon or without one.
type opened struct {
	config   *slot.Config
	accounts *account.Accounts
	store    *mailstore.Store
}

func stderrLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// openForReading opens the slot that a configuration file describes. Close it.
func openForReading(ctx context.Context, file string) (*opened, error) {
	config, err := steps.Load(file)
	if err != nil {
		return nil, err
	}
	if err := config.CheckOwner(); err != nil {
		return nil, err
	}
	if err := config.CheckMade(); err != nil {
		return nil, err
	}
	o := &opened{config: config}
	if o.accounts, err = account.Open(ctx, config.AccountsFile(), account.Options{Logger: stderrLog()}); err != nil {
		return nil, err
	}
	options := config.MailstoreOptions()
	options.ReadOnly, options.Logger = true, stderrLog()
	if o.store, err = mailstore.Open(ctx, options); err != nil {
		return nil, errors.Join(err, o.accounts.Close())
	}
	return o, nil
}

// Close closes the slot.
func (o *opened) Close() error { return errors.Join(o.store.Close(), o.accounts.Close()) }

// mail opens the mail of a user by login name. Release it.
func (o *opened) mail(ctx context.Context, user string) (*mailstore.Mail, error) {
	a, err := o.accounts.Lookup(ctx, user)
	if err == nil {
		var m *mailstore.Mail
		if m, err = o.store.Acquire(ctx, a.ID); err == nil {
			return m, nil
		}
	}
	return nil, fmt.Errorf("user %s: %w", user, err)
}

// withMail opens the mail of a user for reading, beside the daemon or without one.
func withMail(ctx context.Context, file, user string, fn func(*mailstore.Mail) error) error {
	o, err := openForReading(ctx, file)
	if err != nil {
		return err
	}
	mail, err := o.mail(ctx, user)
	if err == nil {
		err = fn(mail)
		mail.Release()
	}
	return errors.Join(err, o.Close())
}
