package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"teraslot/cmd/internal/steps"
	"teraslot/slot"
)

// errReported ends the program with status 1 where everything has been said.
var errReported = errors.New("reported")

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command().ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case !errors.Is(err, errReported):
		fmt.Fprintln(os.Stderr, "slotctl:", err)
	}
	return 1
}

func command() *cobra.Command {
	c := &cobra.Command{
		Use:   "slotctl",
		Short: "Administer a slot",
		Long: `slotctl administers a slot. Where its daemon runs, the daemon does the work;
otherwise slotctl opens the slot itself. It runs as the owner of the conf root.

Exit status: 0 if all was done, 1 if not.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	file := c.PersistentFlags().StringP("config", "C", "/etc/teraslot.toml", "configuration `file` of the slot")
	connect, create := toSlot(file, (*slot.Config).CheckMade), toSlot(file, func(*slot.Config) error { return nil })
	c.AddCommand(userCommand(connect, create), importCommand(connect), verifyCommand(connect, file), statusCommand(connect))
	c.AddCommand(searchCommand(file), exportCommand(file), backupCommand(file), restoreCommand(file, create))
	c.AddCommand(jobCommands(connect)...)
	c.AddCommand(unexpungeCommand(connect), settingCommand(connect, file), mailboxCommand(connect), reconstructCommand(connect))
	c.AddCommand(replicationCommand(connect))
	return c
}

// connector reaches the slot.
type connector func(context.Context) (*slot.Client, error)

// toSlot connects to the slot of a configuration file that passes a check. Without a daemon and without a slot, it makes one.
func toSlot(file *string, check func(*slot.Config) error) connector {
	return func(ctx context.Context) (*slot.Client, error) {
		config, err := steps.Load(*file)
		if err == nil {
			err = check(config)
		}
		if err != nil {
			return nil, err
		}
		return slot.Administer(ctx, config, slot.Options{Logger: stderrLog()})
	}
}

// do runs fn with a client.
func (connect connector) do(ctx context.Context, fn func(*slot.Client) error) error {
	client, err := connect(ctx)
	if err != nil {
		return err
	}
	err = fn(client)
	return errors.Join(err, client.Close())
}
