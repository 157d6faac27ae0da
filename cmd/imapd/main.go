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

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "imapd:", err)
		return 1
	}
	return 0
}

func command() *cobra.Command {
	c := &cobra.Command{
		Use:           "imapd",
		Short:         "Run a slot",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.AddCommand(serveCommand(), checkCommand(), demoCommand())
	return c
}

// configFlag adds --config.
func configFlag(c *cobra.Command) *string {
	return c.Flags().StringP("config", "C", "/etc/teraslot.toml", "configuration `file` of the slot")
}

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve until SIGTERM or SIGINT; SIGHUP reads the certificate again",
		Args:  cobra.NoArgs,
	}
	file := configFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := steps.Load(*file)
		if err != nil {
			return err
		}
		log, err := config.Log.Logger(os.Stderr)
		if err != nil {
			return err
		}
		return serve(cmd.Context(), config, log)
	}
	return c
}

func serve(ctx context.Context, config *slot.Config, log *slog.Logger) error {
	s, err := slot.Open(ctx, config, slot.Options{Logger: log})
	if err != nil {
		return err
	}
	at := s.Addresses()
	log.Info("serving", "slot", config.Name, "conf", config.Conf, "imap", at.IMAP, "imap_tls", at.IMAPTLS, "lmtp", at.LMTP, "metrics", at.Metrics)
	stop := reloadOnHangup(s, log)
	err = s.Run(ctx)
	stop()
	err = errors.Join(err, s.Close())
	log.Info("stopped", "slot", config.Name)
	return err
}

// reloadOnHangup reads the certificate again at each SIGHUP, until stop is called.
func reloadOnHangup(s *slot.Slot, log *slog.Logger) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range hangups {
			if err := s.Reload(); err != nil {
				log.Error("the certificate in use stays", "err", err)
			} else {
				log.Info("certificate read again")
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
		<-done
	}
}

func checkCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration without touching anything",
		Args:  cobra.NoArgs,
	}
	file := configFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := slot.Load(*file)
		if err != nil {
			return err
		}
		if err := errors.Join(config.CheckOwner(), config.CheckLocal()); err != nil {
			return err
		}
		fmt.Printf("%s: good\n", *file)
		return nil
	}
	return c
}
