package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"teraslot/account"
	"teraslot/backup"
	"teraslot/cmd/internal/steps"
	"teraslot/slot"
)

const verifyHelp = `Reads all mail and indexes of users, or of all with the accounts, and names what is
wrong. The exit status tells if all is well.

With --repair it mends what can be mended: in a store from the other slots first,
then from what is there, and from the copies that the night saves on the archive
partition. With --backup, users whose rows of slot.db are lost come from the latest
generation in that directory too; for mail, see slotctl restore.`

func verifyCommand(connect connector, config *string) *cobra.Command {
	mend, q, from := false, slot.RepairRequest{}, ""
	c := &cobra.Command{
		Use:   "verify [USER]...",
		Short: "Check mail and indexes of users, or of all; the exit status tells if all is well",
		Long:  verifyHelp,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if !mend && (q.Alone || from != "") {
				return errors.New("--alone and --backup are for --repair")
			}
			if from != "" {
				q.Copies = make([]slot.AccountsCopy, 1)
				if q.Copies[0], err = copyAccounts(cmd.Context(), *config, from); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, os.RemoveAll(filepath.Dir(q.Copies[0].Path))) }()
			}
			return connect.do(cmd.Context(), func(s *slot.Client) error {
				if mend {
					return verifyAndRepair(cmd.Context(), s, args, q)
				}
				findings := 0
				err := s.Verify(cmd.Context(), args, func(f slot.Finding) {
					findings++
					fmt.Printf("%s: %s: %s\n", f.User, f.Where, f.What)
				})
				if err == nil && findings > 0 {
					err = fmt.Errorf("%d findings", findings)
				}
				return err
			})
		},
	}
	c.Flags().BoolVar(&mend, "repair", false, "mend what can be mended, in a store from the other slots first, and check again")
	c.Flags().StringVar(&from, "backup", "", "with --repair: `directory` of backups, from which lost rows of slot.db are taken as well")
	c.Flags().BoolVar(&q.Alone, "alone", false, "with --repair: do not ask the other slots of the store; what they have and this one has lost is dropped here, and then there")
	return c
}

// copyAccounts puts the accounts of the latest generation of a backup into a directory of their own, which is the caller's to remove.
func copyAccounts(ctx context.Context, config, dir string) (copied slot.AccountsCopy, err error) {
	c, err := steps.Load(config)
	if err != nil {
		return copied, err
	}
	r, err := backup.Open(dir, backup.Options{Logger: stderrLog(), FS: c.Hooks.FS})
	if err != nil {
		return copied, err
	}
	g, err := r.Generation("")
	if err != nil {
		return copied, err
	}
	into, err := os.MkdirTemp("", "slotctl")
	if err != nil {
		return copied, err
	}
	copied = slot.AccountsCopy{Name: "generation " + g.Name, Path: filepath.Join(into, "slot.db")}
	if err = r.Accounts(g, copied.Path); err == nil { // which may be of an earlier version
		var a *account.Accounts
		if a, err = account.Open(ctx, copied.Path, account.Options{Logger: stderrLog()}); err == nil {
			err = a.Close()
		}
	}
	if err != nil {
		return copied, errors.Join(err, os.RemoveAll(into))
	}
	return copied, nil
}

func statusCommand(connect connector) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell whether a daemon runs, and where it listens",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return connect.do(cmd.Context(), func(s *slot.Client) error {
				st, err := s.Status(cmd.Context())
				if err != nil {
					return err
				}
				return writeStatus(st)
			})
		},
	}
}

func writeStatus(st slot.Status) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "slot\t%s\n", st.Name)
	if st.Offline {
		fmt.Fprintf(w, "daemon\tnot running\n")
	} else {
		fmt.Fprintf(w, "daemon\tprocess %d, version %s, since %s\n", st.PID, st.Version, st.Started.Format("2006-01-02 15:04:05 -0700"))
		for _, x := range []struct {
			name  string
			addrs []string
		}{{"imap", st.Addresses.IMAP}, {"imap over tls", st.Addresses.IMAPTLS}, {"lmtp", st.Addresses.LMTP}, {"metrics", st.Addresses.Metrics}} {
			if len(x.addrs) > 0 {
				fmt.Fprintf(w, "%s\t%s\n", x.name, strings.Join(x.addrs, " "))
			}
		}
	}
	fmt.Fprintf(w, "users\t%d\n", st.Users)
	return w.Flush()
}
