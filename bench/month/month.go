package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"teraslot/bench/corpus"
	"teraslot/mailstore"
	"teraslot/search"
	"teraslot/slot"
	"teraslot/tiers"
)

// options say what month is lived through.
type options struct {
	dir    string           // an empty one, for the slot
	mail   []corpus.Message // the mail that comes
	days   int
	users  int
	perDay float64 // messages on a working day, of all users
	temp   int64   // tiers.temp_size in bytes; the tmpfs is a quarter larger, so that going over shows
	seed   uint64
	out    io.Writer // what happens, day by day; may be nil
}

// sleepers is how many parts of a slot wait for alarms: the compactions' schedule and
// the night's jobs.
const sleepers = 2

// month is one under way.
type month struct {
	o     options
	rnd   *rand.Rand
	crowd *crowd
	deck  *deck
	post  post
	k     *clock
	w     *watch
	tmpfs tmpfs

	config  *slot.Config
	running *running
	reader  *reader
	stamped int // compactions after which the databases' files got the clock's time

	report report
}

// running is a slot that serves, with its client.
type running struct {
	*slot.Slot
	client *slot.Client
	cancel context.CancelFunc
	done   chan error
}

// reader reads the slot's mail and indexes beside it: to compare its searches with
// scans, and to look at the tiers.
type reader struct {
	store   *mailstore.Store
	tiers   *tiers.Set // the slot's
	nothing *tiers.Set // without any index
	scan    *search.Searcher
}

// began is when the month begins, a Monday: long before any file of it is written.
var began = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// live lives through a month and reports what was seen. It ends at the first thing
// that is wrong.
func live(ctx context.Context, o options) (_ *report, err error) {
	if o.out == nil {
		o.out = io.Discard
	}
	rnd := rand.New(rand.NewPCG(o.seed, 0))
	m := &month{o: o, rnd: rnd, crowd: newCrowd(o.users, rnd), deck: newDeck(o.mail, rnd), k: newClock(began),
		tmpfs: tmpfs{filepath.Join(o.dir, "temp"), o.temp + o.temp/4}}
	m.w = newWatch(m.k.Now, m.tmpfs.used)
	if err := m.tmpfs.mount(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.tmpfs.unmount()) }()
	if err := m.begin(ctx); err != nil {
		return nil, errors.Join(err, m.stop())
	}
	for n := range o.days {
		if err := m.day(ctx, n); err != nil {
			return nil, errors.Join(fmt.Errorf("day %d: %w", n+1, err), m.stop())
		}
	}
	if err := errors.Join(m.last(ctx), m.stop()); err != nil {
		return nil, err
	}
	m.report.close(m)
	return &m.report, nil
}

// begin makes the slot and its users.
func (m *month) begin(ctx context.Context) error {
	file := filepath.Join(m.o.dir, "slot.toml")
	text := fmt.Sprintf(`name = "month"
root = "."
[tiers]
temp = "temp"
temp_size = "%d"
[imap]
listen = ["127.0.0.1:0"]
listen_tls = []
[lmtp]
listen = ["127.0.0.1:0"]
socket = "none"
[squatter]
delay = "5ms" # of the machine's clock, as half an hour's mail comes at once
[compact]
slow = "1h"   # this machine's searches say nothing about the month's
stop = "10m"
`, m.o.temp)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	var err error
	if m.config, err = slot.Load(file); err != nil {
		return err
	}
	if err := m.start(ctx); err != nil {
		return err
	}
	for _, p := range m.crowd.people {
		if err := m.running.client.AddUser(ctx, slot.AddUser{Name: p.name, Password: password}); err != nil {
			return err
		}
	}
	return m.learnIDs(ctx)
}

// password is everybody's.
const password = "correct horse"

func (m *month) learnIDs(ctx context.Context) error {
	users, err := m.running.client.Users(ctx)
	if err != nil {
		return err
	}
	for _, u := range users {
		for _, p := range m.crowd.people {
			if p.name == u.Name {
				p.id = u.ID
			}
		}
	}
	return nil
}

// start starts the slot, and the reader beside it.
func (m *month) start(ctx context.Context) error {
	s, err := slot.Open(ctx, m.config, slot.Options{Logger: slog.New(m.w), Now: m.k.Now, After: m.k.After})
	if err != nil {
		return err
	}
	runs, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- s.Run(runs) }()
	m.running = &running{Slot: s, cancel: cancel, done: done}
	if m.running.client, err = slot.Administer(ctx, m.config, slot.Options{}); err != nil {
		return err
	}
	m.reader, err = openReader(ctx, m.config, m.o.dir)
	return err
}

// stop stops the slot as SIGTERM does.
func (m *month) stop() error {
	var errs []error
	if m.reader != nil {
		errs = append(errs, m.reader.close())
		m.reader = nil
	}
	if r := m.running; r != nil {
		m.running = nil
		if r.client != nil {
			errs = append(errs, r.client.Close())
		}
		r.cancel()
		errs = append(errs, <-r.done, r.Close())
	}
	m.k.forget()
	return errors.Join(errs...)
}

func openReader(ctx context.Context, c *slot.Config, dir string) (*reader, error) {
	r := &reader{}
	o := c.MailstoreOptions()
	o.ReadOnly = true
	var err error
	if r.store, err = mailstore.Open(ctx, o); err != nil {
		return nil, err
	}
	own := c.TiersOptions()
	if r.tiers, err = tiers.New(own); err != nil {
		return nil, errors.Join(err, r.close())
	}
	empty := own
	empty.Conf, empty.Roots = filepath.Join(dir, "nothing"), map[string]string{"temp": filepath.Join(dir, "nothing", "temp")}
	if r.nothing, err = tiers.New(empty); err != nil {
		return nil, errors.Join(err, r.close())
	}
	r.scan = search.New(search.Options{Store: r.store, Tiers: r.nothing})
	return r, nil
}

func (r *reader) close() error {
	var errs []error
	for _, set := range []*tiers.Set{r.tiers, r.nothing} {
		if set != nil {
			errs = append(errs, set.Close())
		}
	}
	return errors.Join(append(errs, r.store.Close())...)
}

// day lives through a day in steps of half an hour.
func (m *month) day(ctx context.Context, n int) error {
	for half := range 48 {
		at := began.AddDate(0, 0, n).Add(time.Duration(half)*30*time.Minute + 15*time.Minute)
		if err := m.until(ctx, at); err != nil {
			return err
		}
		if err := m.happen(ctx, n, half); err != nil {
			return fmt.Errorf("%s: %w", at.Format("15:04"), err)
		}
		if err := m.receive(ctx, m.post.come(m.o.perDay, int(at.Weekday()), half)); err != nil {
			return fmt.Errorf("%s: %w", at.Format("15:04"), err)
		}
		if half%4 == 3 {
			if err := m.sample(ctx, at); err != nil {
				return err
			}
		}
	}
	last := m.report.samples[len(m.report.samples)-1]
	fmt.Fprintf(m.o.out, "%s: %6d messages, temp %s of %s at most, meta %s, data %s, archive %s\n", m.k.Now().Format("2 Jan"), m.report.delivered,
		megabytes(m.w.peak.bytes), megabytes(m.o.temp), megabytes(last.bytes["meta"]), megabytes(last.bytes["data"]), megabytes(last.bytes["archive"]))
	return nil
}

// until lets the slot do what it does by then. The files of databases get the month's
// time: what the schedule knows of their age is when they were written.
func (m *month) until(ctx context.Context, at time.Time) error {
	if err := m.k.run(ctx, at, sleepers); err != nil {
		return err
	}
	return m.stamp()
}

// happen does what is due at half an hour of a day: what users do, and what operators do.
func (m *month) happen(ctx context.Context, day, half int) error {
	switch half {
	case 16, 34: // 08:00 and 17:00
		return m.visits(ctx)
	case 20:
		if day%5 == 1 {
			return m.rename(ctx)
		}
	case 22:
		if day%7 == 2 {
			return m.replace(ctx)
		}
	case 24:
		if day%10 == 2 {
			return m.reboot(ctx)
		}
	case 12: // 06:00, after the quiet hours
		return m.morning(ctx)
	}
	return nil
}
