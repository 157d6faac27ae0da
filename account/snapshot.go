package account

import (
	"context"
	"fmt"
	"os"
)

// Snapshot writes a copy of slot.db as it is now to a new file, which can be put in
// place of a lost one. Others may write meanwhile. The file is not synced.
func (a *Accounts) Snapshot(ctx context.Context, path string) error {
	if _, err := a.db.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return fmt.Errorf("copy of the accounts: %w", err)
	}
	return os.Chmod(path, 0o600)
}
