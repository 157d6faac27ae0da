package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	connect := connector(func(ctx context.Context) (*slot.Client, error) {
		config, err := steps.Load(*file)
		if err != nil {
			return nil, err
		}
		log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		return slot.Administer(ctx, config, slot.Options{Logger: log})
	})
	c.AddCommand(userCommand(connect), importCommand(connect), verifyCommand(connect, file), statusCommand(connect))
	c.AddCommand(searchCommand(file), exportCommand(file), backupCommand(file), restoreCommand(file, connect))
	c.AddCommand(jobCommands(connect)...)
	c.AddCommand(unexpungeCommand(connect), settingCommand(connect, file), mailboxCommand(connect), reconstructCommand(connect))
	c.AddCommand(replicationCommand(connect))
	return c
}

// connector reaches the slot.
type connector func(context.Context) (*slot.Client, error)

// do runs fn with a client.
func (connect connector) do(ctx context.Context, fn func(*slot.Client) error) error {
	client, err := connect(ctx)
	if err != nil {
		return err
	}
	err = fn(client)
	return errors.Join(err, client.Close())
}
