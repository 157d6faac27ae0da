package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"teraslot/disk"
	"teraslot/slot"
)

const demoHelp = `Demo starts a slot below --root with a self-signed certificate and addresses on
this machine only, makes a user, imports mail, and shows what the slot does with it:
how soon a delivered message is found, a few searches, one compaction of the index by
a squatter process. Then it serves until Ctrl-C.

The mail is a sample of the program's own making, or what --mail (MAIL) names: an
mbox, a Maildir, or a directory of messages, which is only read.`

// The demo's user.
const (
	demoUser     = "demo"
	demoPassword = "teraslot"
)

func demoCommand() *cobra.Command {
	c := &cobra.Command{Use: "demo", Short: "Show what a slot does, on sample mail or yours", Long: demoHelp, Args: cobra.NoArgs}
	root := c.Flags().String("root", "var", "`directory` for all data")
	mail := c.Flags().String("mail", os.Getenv("MAIL"), "`path` of mail to import instead of the sample; default $MAIL")
	once := c.Flags().Bool("once", os.Getenv("ONCE") == "1", "exit after the tour; default if $ONCE is 1")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		d := &demo{out: os.Stdout, mail: *mail, once: *once}
		if err := d.prepare(*root); err != nil {
			return err
		}
		return d.run(cmd.Context())
	}
	return c
}

// demo is one run of the tour.
type demo struct {
	out    io.Writer
	mail   string // path, or "" for the sample
	once   bool
	file   string // the configuration, written for the squatter process and the reader
	config *slot.Config
	at     slot.Addresses
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// prepare writes the configuration.
func (d *demo) prepare(root string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	if err := disk.MkdirAll(disk.OS(), root, 0o700); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	d.file = filepath.Join(root, "slot.toml")
	text := fmt.Sprintf(`# Written by "imapd demo" at each start. Every key that is not here has its default.
name = "localhost"
root = %q

[imap]
listen = [%q]
listen_tls = [%q]

[lmtp]
listen = [%q]

[metrics]
listen = %q
`, root, freePort("1143"), freePort("1993"), freePort("1124"), freePort("1180"))
	err = disk.Publish(disk.OS(), d.file, 0o600, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err == nil {
		d.config, err = slot.Load(d.file)
	}
	return err
}

// freePort is the wanted port on loopback, or any if that is taken.
func freePort(port string) string {
	for _, address := range []string{"127.0.0.1:" + port, "127.0.0.1:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		address = l.Addr().String()
		l.Close() // it was never used: nothing can be lost
		return address
	}
	return "127.0.0.1:" + port // whoever listens will say what is wrong
}

// run serves and shows the tour. Databases in memory go when it ends, as at a
// restart of the machine: they are made anew when they are needed.
func (d *demo) run(ctx context.Context) (err error) {
	logFile, err := os.OpenFile(filepath.Join(d.config.Root, "imapd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer logFile.Close()
	s, err := slot.Open(ctx, d.config, slot.Options{Logger: slog.New(slog.NewTextHandler(logFile, nil))})
	if err != nil {
		return err
	}
	d.at = s.Addresses()
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- s.Run(serving) }()
	tour := make(chan error, 1)
	touring, endTour := context.WithCancel(ctx)
	defer endTour()
	go func() { tour <- d.tour(touring) }()
	select {
	case err = <-tour:
		if err == nil && !d.once {
			err = d.wait(ctx, done)
		}
	case err = <-done:
		done <- err
		endTour()
		err = errors.Join(errors.New("the slot stopped"), err, <-tour)
	}
	stop()
	err = errors.Join(err, <-done, s.Close(), disk.RemoveTree(disk.OS(), d.config.Tiers.Temp))
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // Ctrl-C during the tour
	}
	return err
}

// wait serves until Ctrl-C, or until the slot stops by itself.
func (d *demo) wait(ctx context.Context, done chan error) error {
	d.say("\nServing until Ctrl-C.")
	select {
	case <-ctx.Done():
		d.say("\nStopping.")
		return nil
	case err := <-done:
		done <- nil
		return errors.Join(errors.New("the slot stopped"), err)
	}
}

// elapsed is a duration as people read it.
func elapsed(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
