package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"teraslot/slot"
)

// Exit codes of sysexits.h, as the reference system uses them.
const (
	exitOK       = 0
	exitUsage    = 64
	exitTempFail = 75
	exitConfig   = 78
)

// errUsage is wrapped by errors about the command line.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], options{stdout: os.Stdout, stderr: os.Stderr}))
}

// options are what a run has of the world outside.
type options struct {
	stdout, stderr io.Writer
	now            func() time.Time // nil: as the configuration's hooks have it, or time.Now
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, o options) int {
	cmd := newCommand(o)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUsage):
		fmt.Fprintf(o.stderr, "squatter: %v\n%s", err, cmd.UsageString())
		return exitUsage
	case errors.Is(err, slot.ErrConfig):
		fmt.Fprintf(o.stderr, "squatter: %v\n", err)
		return exitConfig
	}
	fmt.Fprintf(o.stderr, "squatter: %v\n", err)
	return exitTempFail
}
