package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"os"

	"github.com/spf13/cobra"

	"teraslot/slot"
)

func verifyCommand(connect connector) *cobra.Command {
	mend, alone := false, false
	c := &cobra.Command{
		Use:   "verify [USER]...",
		Short: "Check mail and indexes of users, or of all; the exit status tells if all is well",
		RunE: func(cmd *cobra.Command, args []string) error {
			return connect.do(cmd.Context(), func(s *slot.Client) error {
				if mend {
					return verifyAndRepair(cmd.Context(), s, args, alone)
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
	c.Flags().BoolVar(&alone, "alone", false, "with --repair: do not ask the other slots of the store; what they have and this one has lost is dropped here, and then there")
	return c
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
