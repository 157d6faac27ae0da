package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"

	"teraslot/bench/sample"
	"teraslot/cmd/internal/importer"
	"teraslot/cmd/internal/source"
	"teraslot/cmd/internal/terminal"
	"teraslot/message"
	"teraslot/slot"
)

// tour shows everything once.
func (d *demo) tour(ctx context.Context) error {
	d.say("Teraslot %s: a slot below %s, its log in imapd.log there.", slot.Version, d.config.Root)
	if err := d.importMail(ctx); err != nil {
		return err
	}
	c, err := d.login()
	if err != nil {
		return err
	}
	defer c.Close()
	for _, step := range []func(context.Context, *imapclient.Client) error{d.deliver, d.awaitIndex, d.searches, d.compact, d.searches} {
		if err := step(ctx, c); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	d.connect()
	return c.Logout().Wait()
}

// importMail makes the user and gives him mail; what he has from an earlier run
// is left out.
func (d *demo) importMail(ctx context.Context) error {
	c, err := slot.Administer(ctx, d.config, slot.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	user := slot.AddUser{Name: demoUser, Password: demoPassword}
	err = c.AddUser(ctx, user)
	var remote *slot.RemoteError
	if errors.As(err, &remote) && remote.Status == http.StatusConflict {
		err = c.Change(ctx, "passwd", slot.ChangeUser{Name: demoUser, Password: demoPassword})
	}
	if err != nil {
		return err
	}
	items, size, what, err := d.source(ctx)
	if err != nil {
		return err
	}
	d.say("\nImporting %s for the user %s.", what, demoUser)
	line := terminal.NewProgress(os.Stderr)
	begun := time.Now()
	result, err := importer.Run(ctx, c, items, importer.Options{
		User: demoUser, SkipExisting: true,
		Report: func(place string, err error) {
			line.Clear()
			d.say("  not imported: %s: %v", place, err)
		},
		Progress: func(r importer.Result) {
			line.Show(time.Now(), func() string { return fmt.Sprintf("  %d messages, %d %%", r.Messages(), 100*r.Read/max(size, 1)) })
		},
	})
	line.Clear()
	if err != nil {
		return err
	}
	took := time.Since(begun)
	d.say("  %d messages of %.1f MB in %s, %.0f a second; %d were there already, %d could not be imported",
		result.Stored, float64(result.Bytes)/1e6, elapsed(took), float64(result.Stored)/took.Seconds(), result.Skipped, result.Failed)
	return nil
}

// source is the reader's own mail, or the sample.
func (d *demo) source(ctx context.Context) (items iter.Seq[source.Item], size int64, what string, err error) {
	if d.mail != "" {
		s, err := source.Open(d.mail, source.Options{Folders: true})
		if err != nil {
			return nil, 0, "", err
		}
		return s.Items(ctx), s.Size(), fmt.Sprintf("%s (%s)", d.mail, s.Format()), nil
	}
	return sampleItems(), 0, fmt.Sprintf("%d sample messages in 20 languages and more than 30 charsets", sampleCount), nil
}

const sampleCount = 600

func sampleItems() iter.Seq[source.Item] {
	return func(yield func(source.Item) bool) {
		n := 0
		for m := range sample.Messages(sample.Options{Seed: 1, Count: sampleCount}) {
			n++
			place := "sample message " + strconv.Itoa(n)
			it := source.Item{Place: place, Key: place, Flags: m.Flags, Date: m.Date, Body: m.Raw}
			if m.Mailbox != "INBOX" {
				it.Mailbox = m.Mailbox
			}
			if !yield(it) {
				return
			}
		}
	}
}

func (d *demo) login() (*imapclient.Client, error) {
	c, err := imapclient.DialInsecure(d.at.IMAP[0], nil)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if err := c.Login(demoUser, demoPassword).Wait(); err != nil {
		return nil, errors.Join(fmt.Errorf("demo: login: %w", err), c.Close())
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return nil, errors.Join(fmt.Errorf("demo: select: %w", err), c.Close())
	}
	return c, nil
}

// deliver delivers a message by LMTP and finds it by IMAP SEARCH at once.
func (d *demo) deliver(_ context.Context, c *imapclient.Client) error {
	conn, err := net.Dial("tcp", d.at.LMTP[0])
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	l := smtp.NewClientLMTP(conn)
	defer l.Close()
	if err := l.Hello("localhost"); err != nil {
		return fmt.Errorf("demo: LMTP: %w", err)
	}
	d.say("\nFrom delivery to found: a message with a word that no other has, by LMTP, then IMAP SEARCH BODY.")
	for i := range 3 {
		word := fmt.Sprintf("w%dx%d", time.Now().UnixNano(), i)
		begun := time.Now()
		if err := l.SendMail("friend@example.org", []string{demoUser + "@localhost"}, strings.NewReader(letter(word))); err != nil {
			return fmt.Errorf("demo: LMTP: %w", err)
		}
		acknowledged := time.Since(begun)
		hits, err := find(c, &imap.SearchCriteria{Body: []string{word}})
		if err != nil {
			return err
		}
		found := time.Since(begun)
		if hits != 1 {
			return fmt.Errorf("demo: the delivered message is found %d times, not once", hits)
		}
		d.say("  acknowledged (on disk) after %-9s found after %s", elapsed(acknowledged)+",", elapsed(found))
	}
	return nil
}

func letter(word string) string {
	return "From: A friend <friend@example.org>\r\nTo: demo@localhost\r\nSubject: Look for me\r\nDate: " +
		time.Now().Format(time.RFC1123Z) + "\r\nMessage-ID: <" + word + "@example.org>\r\n\r\nThe word is " + word + ".\r\n"
}

// find returns the number of hits of a search.
func find(c *imapclient.Client, criteria *imap.SearchCriteria) (int, error) {
	found, err := c.UIDSearch(criteria, nil).Wait()
	if err != nil {
		return 0, fmt.Errorf("demo: search: %w", err)
	}
	return len(found.AllUIDs()), nil
}

// awaitIndex waits until a search is answered by the index alone. Nobody has to:
// what is not indexed is scanned.
func (d *demo) awaitIndex(ctx context.Context, c *imapclient.Client) error {
	begun := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		before, err := d.answered(ctx)
		if err != nil {
			return err
		}
		if _, err := find(c, &imap.SearchCriteria{Body: []string{"zyzzyva"}}); err != nil {
			return err
		}
		after, err := d.answered(ctx)
		if err != nil {
			return err
		}
		if after.scanned == before.scanned {
			d.say("\nThe rolling squatter has caught up %s later; until then, what was not indexed was scanned.", elapsed(time.Since(begun)))
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// counts are how many messages searches were answered for so far, by what.
type counts struct{ indexed, verified, scanned int }

// answered reads the slot's metrics.
func (d *demo) answered(ctx context.Context) (n counts, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.at.Metrics[0]+"/metrics", nil)
	if err != nil {
		return n, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return n, fmt.Errorf("demo: metrics: %w", err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		for by, to := range map[string]*int{"index": &n.indexed, "verify": &n.verified, "scan": &n.scanned} {
			if value, ok := strings.CutPrefix(lines.Text(), `teraslot_search_messages_total{by="`+by+`"} `); ok {
				f, err := strconv.ParseFloat(value, 64)
				if err != nil {
					return n, fmt.Errorf("demo: metrics: %w", err)
				}
				*to = int(f)
			}
		}
	}
	return n, lines.Err()
}

// searches runs a few searches and shows hits, times, and what answered.
func (d *demo) searches(ctx context.Context, c *imapclient.Client) error {
	keys := sampleKeys
	if d.mail != "" {
		var err error
		if keys, err = ownKeys(c); err != nil {
			return err
		}
	}
	d.say("\n  %-44s %6s %10s %9s %9s %8s", "SEARCH", "hits", "time", "indexed", "verified", "scanned")
	for _, k := range keys {
		before, err := d.answered(ctx)
		if err != nil {
			return err
		}
		begun := time.Now()
		hits, err := find(c, k.criteria)
		if err != nil {
			return err
		}
		took := time.Since(begun)
		after, err := d.answered(ctx)
		if err != nil {
			return err
		}
		d.say("  %-44s %6d %10s %9d %9d %8d", k.text, hits, elapsed(took),
			after.indexed-before.indexed, after.verified-before.verified, after.scanned-before.scanned)
	}
	return nil
}

// key is a search and its words.
type key struct {
	text     string
	criteria *imap.SearchCriteria
}

func bodyKey(text string) key {
	return key{"BODY " + strconv.Quote(text), &imap.SearchCriteria{Body: []string{text}}}
}

func textKey(text string) key {
	return key{"TEXT " + strconv.Quote(text), &imap.SearchCriteria{Text: []string{text}}}
}

func headerKey(name, text string) key {
	return key{strings.ToUpper(name) + " " + strconv.Quote(text),
		&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: name, Value: text}}}}
}

// sampleKeys find something in the sample, in several scripts: words, parts of
// words, phrases, symbols.
var sampleKeys = []key{
	bodyKey("lighthouse"),
	bodyKey("ladder, the short one"),
	bodyKey("allow"),
	bodyKey("c++"),
	headerKey("From", "dvořáček"),
	headerKey("Subject", "harbour"),
	bodyKey("geschwindigkeitsüberschreitung"),
	bodyKey("маяк"),
	bodyKey("灯台"),
	bodyKey("등대"),
	{"ANSWERED BODY \"the\" NOT SEEN", &imap.SearchCriteria{Flag: []imap.Flag{imap.FlagAnswered}, NotFlag: []imap.Flag{imap.FlagSeen}, Body: []string{"the"}}},
}

// ownKeys takes words from the subjects of the reader's own latest mail.
func ownKeys(c *imapclient.Client) ([]key, error) {
	status, err := c.Status("INBOX", &imap.StatusOptions{NumMessages: true}).Wait()
	if err != nil || status.NumMessages == nil || *status.NumMessages == 0 {
		return nil, err
	}
	var set imap.SeqSet
	set.AddRange(max(*status.NumMessages, 200)-199, *status.NumMessages)
	messages, err := c.Fetch(set, &imap.FetchOptions{Envelope: true}).Collect()
	if err != nil {
		return nil, fmt.Errorf("demo: fetch: %w", err)
	}
	seen := map[string]bool{}
	var keys []key
	for _, m := range messages {
		// The client knows few charsets: what it cannot decode it leaves encoded.
		for word := range strings.FieldsSeq(message.DecodeHeader(m.Envelope.Subject)) {
			word = strings.Trim(word, `[](){}<>"'.,:;!?`)
			if len([]rune(word)) < 6 || strings.ContainsFunc(word, unicode.IsControl) || seen[strings.ToLower(word)] || len(keys) >= 10 {
				continue
			}
			seen[strings.ToLower(word)] = true
			if keys = append(keys, textKey(word)); len(keys)%2 == 0 {
				keys = append(keys, headerKey("Subject", word))
			}
		}
	}
	return keys, nil
}

// compact has a process of its own compact the index while a client searches.
func (d *demo) compact(ctx context.Context, c *imapclient.Client) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"-C", d.file, "-v", "-z", "data", "-t", "temp,data", "-u", demoUser}
	d.say("\nCompacting the index by another process, searching meanwhile: squatter %s", strings.Join(args, " "))
	squatter := exec.CommandContext(ctx, filepath.Join(filepath.Dir(self), "squatter"), args...)
	type outcome struct {
		text []byte
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		text, err := squatter.CombinedOutput()
		done <- outcome{text, err}
	}()
	searched, slowest := 0, time.Duration(0)
	for {
		select {
		case o := <-done:
			for line := range strings.Lines(string(o.text)) {
				d.say("  | %s", strings.TrimRight(line, "\n"))
			}
			if o.err != nil {
				return fmt.Errorf("demo: squatter: %w", o.err)
			}
			d.say("  %d searches meanwhile, the slowest took %s", searched, elapsed(slowest))
			return nil
		default:
		}
		begun := time.Now()
		if _, err := find(c, &imap.SearchCriteria{Body: []string{"lighthouse"}}); err != nil {
			return err
		}
		searched, slowest = searched+1, max(slowest, time.Since(begun))
	}
}

// connect tells how to reach the slot.
func (d *demo) connect() {
	d.say("\nConnect with any mail program: user %s, password %s", demoUser, demoPassword)
	d.say("  IMAP     %s (STARTTLS), %s (TLS, self-signed)", d.at.IMAP[0], d.at.IMAPTLS[0])
	d.say("  LMTP     %s", strings.Join(d.at.LMTP, ", "))
	d.say("  metrics  http://%s/metrics", d.at.Metrics[0])
	d.say("  curl -k 'imaps://%s/INBOX?TEXT%%20lighthouse' -u %s:%s", d.at.IMAPTLS[0], demoUser, demoPassword)
	d.say("  bin/slotctl -C %s user list", d.file)
}
