package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flags are the command line.
type flags struct {
	config      string
	verbose     int
	users       bool
	incremental bool
	recursive   bool
	rolling     bool
	audit       bool
	dest        string
	sources     []string
	filter      bool
	reindex     bool
	again       []string
	foreground  bool
	channel     string
	sleep       float64
	copying     bool
	fullSpeed   bool
	partials    bool
	synclog     string
	plan        bool
	apply       bool
	stats       bool
	repair      bool
}

// undone are the flags of the reference system that are known and refused, with
// the reason.
var undone = []struct {
	short, long, reason string
	value               bool
}{
	{"P", "reindex-partials", "there is no extractor for attachments yet, so no message is indexed in part", false},
	{"L", "reindex-minlevel", "there are no index levels", true},
	{"U", "only-upgrade", "not needed: an index of an older version is renewed unasked", false},
	{"B", "skip-locked", "not needed: a user who is being compacted is always skipped, and reported", false},
	{"Z", "internalindex", "not needed: what is indexed is always decided by the index itself", false},
	{"N", "name", "there is no such resume point: name the users", true},
	{"a", "squat-annot", "no annotation decides what is indexed: name the users or mailboxes", false},
	{"l", "list", "--stats describes the databases; docs/formats.md says which files they have", false},
	{"e", "search", "not done here: ask the IMAP server", true},
	{"s", "squat-skip", "there are no squat files", true},
	{"m", "multi-folder", "it goes with -e: ask the IMAP server", false},
	{"D", "index-duplicates", "a message is one document, whatever mailboxes hold it", false},
	{"", "highest-createdmodseq", "no such number is kept: what is indexed is decided by the index itself", false},
	{"", "attachextract-cache-dir", "there is no extractor of attachments", true},
	{"", "attachextract-cache-only", "there is no extractor of attachments", false},
}

// newCommand makes the command line's parser.
func newCommand(o options) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:           "squatter -C FILE [flags] [MAILBOX... | -u USER...]",
		Short:         "Index, compact and audit the search indexes of a slot",
		SilenceErrors: true,
		SilenceUsage:  true,
		// The reference system's users give -u and then names; a name is never a
		// subcommand.
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd.Flags(), args); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			return f.run(cmd.Context(), args, o)
		},
	}
	cmd.SetOut(o.stdout)
	cmd.SetErr(o.stderr)
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	f.define(cmd.Flags())
	return cmd
}

func (f *flags) define(fs *pflag.FlagSet) {
	fs.SortFlags = false
	fs.StringVarP(&f.config, "config", "C", "", "the slot's configuration `file`")
	fs.CountVarP(&f.verbose, "verbose", "v", "say what is done")
	fs.BoolVarP(&f.users, "users", "u", false, "arguments are login names")
	fs.BoolVarP(&f.incremental, "incremental", "i", false, "index only what is missing")
	fs.BoolVarP(&f.recursive, "recursive", "r", false, "also the mailboxes below those named")
	fs.BoolVarP(&f.rolling, "rolling", "R", false, "keep running and index mail as it comes")
	fs.StringVarP(&f.channel, "channel", "n", "rolling", "with -R: `name` that keeps a second one from running")
	fs.BoolVarP(&f.foreground, "nodaemon", "d", false, "with -R: stay in the foreground, as it always does")
	fs.StringVarP(&f.dest, "compact", "z", "", "compact to this `tier`")
	fs.StringSliceVarP(&f.sources, "srctier", "t", nil, "with -z: compact these `tiers` or databases, such as temp,data:71")
	fs.BoolVarP(&f.filter, "filter", "F", false, "with -z: also rewrite a single database, to drop what is gone")
	fs.BoolVarP(&f.reindex, "reindex", "X", false, "with -z: index the messages of all sources anew")
	fs.StringSliceVarP(&f.again, "reindex-tiers", "T", nil, "with -z: index those of all sources anew that lie in these `tiers` or databases")
	fs.BoolVarP(&f.copying, "copydb", "o", false, "with -z: if there is only one source, take all of it over, also what is gone")
	fs.BoolVar(&f.fullSpeed, "full-speed", false, "with -z: neither keep to compact.bandwidth nor wait while searches are slow")
	fs.BoolVarP(&f.audit, "audit", "A", false, "compare mail and index both ways, and check the index")
	fs.BoolVar(&f.repair, "repair", false, "with -A: mend what is found: index what is missing, rewrite what is damaged or dead")
	fs.StringVarP(&f.synclog, "synclog", "f", "", "index those whom this sync log `file` names, once")
	fs.BoolVarP(&f.partials, "allow-partials", "p", false, "where messages are indexed: those that cannot be are no failure of the run")
	fs.BoolVar(&f.plan, "plan", false, "print what the schedule would compact now, and why")
	fs.BoolVar(&f.apply, "apply", false, "do what --plan prints: for cron or a timer, with compact.by = \"timer\"")
	fs.BoolVar(&f.stats, "stats", false, "print each user's databases by tier, and messages that could not be indexed")
	fs.Float64VarP(&f.sleep, "sleep", "S", 0, "sleep so many `seconds` after each user")
	for _, u := range undone {
		if u.value {
			fs.StringP(u.long, u.short, "", "")
		} else {
			fs.BoolP(u.long, u.short, false, "")
		}
		if err := fs.MarkHidden(u.long); err != nil {
			panic(err) // the flag was defined two lines above
		}
	}
}

// check refuses what does not go together.
func (f *flags) check(fs *pflag.FlagSet, args []string) error {
	for _, u := range undone {
		if fs.Changed(u.long) {
			return fmt.Errorf("%s is the reference system's, and not taken here: %s", flagName(u.short, u.long), u.reason)
		}
	}
	compact := fs.Changed("compact") || fs.Changed("srctier")
	modes := 0
	for _, on := range []bool{compact, f.audit, f.rolling, f.incremental || f.synclog != "", f.plan, f.apply, f.stats} {
		if on {
			modes++
		}
	}
	switch {
	case f.config == "":
		return fmt.Errorf("-C FILE is missing")
	case compact && (f.dest == "" || len(f.sources) == 0):
		return fmt.Errorf("a compaction needs both -z and -t")
	case (f.filter || f.reindex || f.again != nil || f.copying || f.fullSpeed) && !compact:
		return fmt.Errorf("-F, -X, -T, -o and --full-speed go with -z and -t")
	case f.copying && (f.filter || f.reindex || f.again != nil):
		return fmt.Errorf("-o takes a source over as it is; -F, -X and -T do not")
	case f.partials && (f.stats || f.plan || f.apply || f.rolling || f.audit && !f.repair):
		return fmt.Errorf("-p goes with what indexes once: -i, -f, -z, or -A with --repair")
	case f.repair && !f.audit:
		return fmt.Errorf("--repair goes with -A")
	case (f.plan || f.apply) && len(args) > 0:
		return fmt.Errorf("--plan and --apply are about all users, and take no arguments")
	case f.synclog != "" && len(args) > 0:
		return fmt.Errorf("-f takes its users from the file, and no arguments")
	case f.reindex && f.again != nil:
		return fmt.Errorf("-X is -T with all sources: give one of them")
	case modes > 1:
		return fmt.Errorf("only one of -i or -f, -z, -A, -R, --plan, --apply and --stats can be done at a time")
	case f.rolling && len(args) > 0:
		return fmt.Errorf("-R takes no arguments")
	case f.users && len(args) == 0:
		return fmt.Errorf("-u needs login names")
	case f.recursive && len(args) == 0:
		return fmt.Errorf("-r needs mailboxes")
	case !f.rolling && (fs.Changed("channel") || f.foreground):
		return fmt.Errorf("-n and -d go with -R")
	case math.IsNaN(f.sleep) || f.sleep < 0 || f.sleep > 1e6:
		return fmt.Errorf("-S %v: not a number of seconds", f.sleep)
	case !trim(f.sources) || !trim(f.again):
		return fmt.Errorf("-t and -T: an empty tier")
	}
	return nil
}

// flagName is how a flag is written, both ways if it has two.
func flagName(short, long string) string {
	if short == "" {
		return "--" + long
	}
	return "-" + short + " (--" + long + ")"
}

// trim takes spaces off the names, and reports whether something is left of each.
func trim(names []string) bool {
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	return !slices.Contains(names, "")
}

// run opens the slot and does what the flags say.
func (f *flags) run(ctx context.Context, args []string, o options) error {
	j, err := openJob(ctx, f, o)
	if err != nil {
		return err
	}
	err = j.do(ctx, args)
	if cerr := j.close(); err == nil {
		err = cerr
	}
	return err
}

// pause is the time to sleep after each user.
func (f *flags) pause() time.Duration { return time.Duration(f.sleep * float64(time.Second)) }
