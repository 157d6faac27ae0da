package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	bin := flag.String("bin", "bin", "`directory` of imapd and slotctl")
	examples := flag.String("examples", "docs/examples", "`directory` of the configurations")
	root := flag.String("root", "var/replica", "`directory` for the slots, removed first")
	free := flag.Bool("free", false, "take free ports in the place of those in the files")
	flag.Parse()
	err := run(ctx, &demo{bin: *bin, examples: *examples, root: *root, free: *free, out: os.Stdout}, os.Getenv("ONCE") != "")
	if err != nil {
		fmt.Fprintln(os.Stderr, "replicademo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, d *demo, once bool) (err error) {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	tour, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := d.tour(tour); err != nil || once {
		return err
	}
	fmt.Fprintf(d.out, "\nThe slots run until you press ^C: user demo, password teraslot, IMAP at %s (master), %s, %s\n",
		d.address("a"), d.address("b"), d.address("c"))
	<-ctx.Done()
	return nil
}

// prepare makes configurations, certificates and the user.
func (d *demo) prepare(ctx context.Context) error {
	if err := os.RemoveAll(d.root); err != nil {
		return err
	}
	if err := os.MkdirAll(d.root, 0o700); err != nil {
		return err
	}
	ports, err := d.ports()
	if err != nil {
		return err
	}
	for _, name := range slots {
		text, err := os.ReadFile(filepath.Join(d.examples, "store-"+name+".toml"))
		if err != nil {
			return err
		}
		moved := portOf.ReplaceAllFunc(text, func(at []byte) []byte { return []byte(cmp.Or(ports[string(at)], string(at))) })
		if err := os.WriteFile(d.config(name), moved, 0o600); err != nil {
			return err
		}
		d.addresses[name] = strings.Trim(string(listens.FindSubmatch(moved)[1]), `"`)
	}
	if err := d.slotctl(ctx, "a", "", "replication", "identities", filepath.Join(d.root, "keys"), "a", "b", "c"); err != nil {
		return err
	}
	return d.slotctl(ctx, "a", password+"\n", "user", "add", user)
}

var (
	portOf  = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	listens = regexp.MustCompile(`(?m)^\[imap\]\nlisten = \[([^]]*)\]`)
)
