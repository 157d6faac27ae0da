package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"

	"teraslot/sealed"
)

// Snapshot writes a copy of slot.db as it is now to a new file, which can be put in
// place of a lost one. Others may write meanwhile. The file is not synced. Removals that are
// under way are called off in the copy: whoever puts it back does not know how they ended.
func (a *Accounts) Snapshot(ctx context.Context, path string) error {
	if err := a.Verify(ctx, func(string) {}); err != nil || a.damaged.Load() {
		return fmt.Errorf("copy of the accounts: %w", errors.Join(err, a.absent(ErrNoAccount))) // the older copy is worth more
	}
	if _, err := a.db.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return fmt.Errorf("copy of the accounts: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	db := sql.OpenDB(sealed.Connector((&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}).String()))
	// A copy has no WAL, and is a single file after this as well.
	_, err := db.ExecContext(ctx, "UPDATE users SET removing = 0 WHERE removing = 1")
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("copy of the accounts: %w", err)
	}
	return nil
}
