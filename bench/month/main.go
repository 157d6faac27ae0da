package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"teraslot/bench/corpus"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "month:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	dir := flag.String("corpus", os.Getenv("CORPUS"), "`directory` of the archives of real mail")
	days := flag.Int("days", 30, "how long the month is")
	users := flag.Int("users", 200, "how many users there are")
	each := flag.Float64("each", 5, "messages of a user on a working day, on the average")
	seed := flag.Uint64("seed", 1, "of all that is drawn")
	svg := flag.String("svg", "", "draw the sizes of the tiers into this `file`")
	flag.Parse()
	mail, err := archives(*dir, everything...)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "month")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	r, err := live(ctx, sized(options{dir: scratch, mail: mail, days: *days, users: *users, seed: *seed, out: os.Stdout}, *each))
	if err != nil {
		return err
	}
	r.write(os.Stdout)
	if *svg == "" {
		return nil
	}
	return os.WriteFile(*svg, r.draw(), 0o644)
}

// sized gives everybody so many messages on a working day, on the average, and a temp
// that a busy day fills to more than half.
func sized(o options, each float64) options {
	o.perDay = each * float64(o.users)
	o.temp = max(2<<20, int64(o.users)*80<<10)
	return o
}

// everything are the archives of real mail.
var everything = []string{"spamassassin", "kernel-list", "mime-torture"}

// archives reads archives of real mail.
func archives(dir string, names ...string) ([]corpus.Message, error) {
	if dir == "" {
		return nil, errors.New("no directory of real mail: set CORPUS or -corpus")
	}
	var out []corpus.Message
	for _, name := range names {
		mail, err := corpus.Read(filepath.Join(dir, name+".tar.xz"))
		if err != nil {
			return nil, err
		}
		out = append(out, mail...)
	}
	return out, nil
}
