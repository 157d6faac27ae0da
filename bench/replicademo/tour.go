package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

const (
	user     = "demo"
	password = "teraslot"
)

var slots = []string{"a", "b", "c"}

// demo is a store of three slots on this machine.
type demo struct {
	bin, examples, root string
	free                bool
	out                 io.Writer
	addresses           map[string]string // of IMAP
	running             map[string]*process
	sent                int
}

// process is a slot that was started.
type process struct {
	*exec.Cmd
	exited chan struct{} // closed when it has ended
	err    error         // how; set before exited is closed
}

func (d *demo) config(name string) string  { return filepath.Join(d.root, name+".toml") }
func (d *demo) address(name string) string { return d.addresses[name] }

// ports gives each address of the files a free one, if that is wanted.
func (d *demo) ports() (map[string]string, error) {
	d.addresses, d.running = map[string]string{}, map[string]*process{}
	out := map[string]string{}
	if !d.free {
		return out, nil
	}
	for _, name := range slots {
		text, err := os.ReadFile(filepath.Join(d.examples, "store-"+name+".toml"))
		if err != nil {
			return nil, err
		}
		for _, at := range portOf.FindAll(text, -1) {
			if out[string(at)] != "" {
				continue
			}
			l, err := freePort()
			if err != nil {
				return nil, err
			}
			defer l.Close() // all at once, so that no port is given twice
			out[string(at)] = l.Addr().String()
		}
	}
	return out, nil
}

// freePort listens on a port below those that the system gives to connections: when it is
// let go it stays free until a slot takes it.
func freePort() (l net.Listener, err error) {
	for range 100 {
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))); err == nil {
			return l, nil
		}
	}
	return nil, err
}

func (d *demo) slotctl(ctx context.Context, name, input string, args ...string) error {
	c := exec.CommandContext(ctx, filepath.Join(d.bin, "slotctl"), append([]string{"-C", d.config(name)}, args...)...)
	c.Stdin = strings.NewReader(input)
	out, err := c.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		fmt.Fprint(d.out, "  | ", line)
	}
	if err != nil {
		return fmt.Errorf("slotctl %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// start starts a slot; log goes to a file beside its configuration.
func (d *demo) start(name string) error {
	log, err := os.OpenFile(filepath.Join(d.root, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	c := exec.Command(filepath.Join(d.bin, "imapd"), "serve", "--config", d.config(name))
	c.Stdout, c.Stderr = log, log
	// A slot must not outlive the demo, however that ends.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		return err
	}
	p := &process{Cmd: c, exited: make(chan struct{})}
	go func() {
		p.err = c.Wait()
		close(p.exited)
	}()
	d.running[name] = p
	return nil
}

// kill ends a slot without a word.
func (d *demo) kill(name string) error {
	c := d.running[name]
	delete(d.running, name)
	err := c.Process.Kill()
	<-c.exited
	return err
}

// stop ends all slots in order.
func (d *demo) stop() error {
	var errs []error
	for name, c := range d.running {
		err := c.Process.Signal(syscall.SIGTERM)
		<-c.exited
		if err := errors.Join(err, c.err); err != nil {
			errs = append(errs, fmt.Errorf("slot %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// log is what a slot has written.
func (d *demo) log(name string) string {
	b, err := os.ReadFile(filepath.Join(d.root, name+".log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (d *demo) sayf(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// tour shows what a store does.
func (d *demo) tour(ctx context.Context) error {
	for _, name := range slots {
		if err := d.start(name); err != nil {
			return err
		}
	}
	d.sayf("Three slots run: a is the master, b and c are its replicas.")
	if err := d.write(ctx, 20); err != nil {
		return err
	}
	for _, name := range slots[1:] {
		if err := d.reads(ctx, name); err != nil {
			return err
		}
	}
	if err := d.refuses(ctx, "c"); err != nil {
		return err
	}
	d.sayf("\nb is killed; the client writes on.")
	if err := d.kill("b"); err != nil {
		return err
	}
	if err := d.write(ctx, 30); err != nil {
		return err
	}
	if err := d.reads(ctx, "c"); err != nil {
		return err
	}
	if err := d.slotctl(ctx, "a", "", "replication", "status"); err != nil {
		return err
	}
	d.sayf("b is started again.")
	if err := d.start("b"); err != nil {
		return err
	}
	if err := d.reads(ctx, "b"); err != nil {
		return err
	}
	d.sayf("\nEverything is compared, every message read on all sides:")
	if err := d.slotctl(ctx, "a", "", "replication", "verify", "--messages"); err != nil {
		return err
	}
	d.sayf("  | equal")
	return d.slotctl(ctx, "a", "", "replication", "status")
}

// dial logs in, when the slot is up and knows the user.
func (d *demo) dial(ctx context.Context, name string) (*imapclient.Client, error) {
	var last error
	for {
		c, err := imapclient.DialInsecure(d.address(name), nil)
		if err == nil {
			if err = c.Login(user, password).Wait(); err == nil {
				return c, nil
			}
			err = errors.Join(err, c.Close())
		}
		last = err
		select {
		case <-d.running[name].exited:
			return nil, fmt.Errorf("slot %s ended: %w\n%s", name, d.running[name].err, d.log(name))
		default:
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return nil, fmt.Errorf("slot %s: %w: %w\n%s", name, err, last, d.log(name))
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write appends messages at the master, and flags the first of them.
func (d *demo) write(ctx context.Context, n int) error {
	c, err := d.dial(ctx, "a")
	if err != nil {
		return err
	}
	defer c.Close()
	for range n {
		d.sent++
		text := fmt.Sprintf("From: a@example.org\r\nSubject: letter %d\r\n\r\nThe number is word%d.\r\n", d.sent, d.sent)
		a := c.Append("INBOX", int64(len(text)), nil)
		_, err := a.Write([]byte(text))
		err = errors.Join(err, a.Close())
		if _, e := a.Wait(); err != nil || e != nil {
			return errors.Join(err, e)
		}
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return err
	}
	flags := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged}}
	if err := c.Store(imap.SeqSetNum(uint32(d.sent)), flags, nil).Close(); err != nil {
		return err
	}
	d.sayf("A client wrote %d messages to the master and flagged the last.", n)
	return c.Logout().Wait()
}

// reads waits until a replica shows and finds what the master has.
func (d *demo) reads(ctx context.Context, name string) error {
	begun := time.Now()
	c, err := d.dial(ctx, name)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		s, err := c.Select("INBOX", nil).Wait()
		if err != nil {
			return err
		}
		hits, err := c.Search(&imap.SearchCriteria{Body: []string{fmt.Sprintf("word%d.", d.sent)}, Flag: []imap.Flag{imap.FlagFlagged}}, nil).Wait()
		if err != nil {
			return err
		}
		if int(s.NumMessages) == d.sent && len(hits.AllSeqNums()) == 1 {
			d.sayf("%s has all %d messages, and finds the last by its text and flag (after %d ms).", name, d.sent, time.Since(begun).Milliseconds())
			return c.Logout().Wait()
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("slot %s has %d of %d messages: %w", name, s.NumMessages, d.sent, err)
		}
	}
}

// refuses tries to change a replica.
func (d *demo) refuses(ctx context.Context, name string) error {
	c, err := d.dial(ctx, name)
	if err != nil {
		return err
	}
	defer c.Close()
	err = c.Create("Mine", nil).Wait()
	var refused *imap.Error
	if !errors.As(err, &refused) {
		return fmt.Errorf("slot %s let a client make a mailbox: %v", name, err)
	}
	d.sayf("%s lets nobody change it: %v", name, refused)
	return c.Logout().Wait()
}
