package sample

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"time"

	"teraslot/mailbox"
)

// Options say what mail to make. The zero value makes 400 messages.
type Options struct {
	Seed  uint64
	Count int       // 0 is 400
	Since time.Time // of the first message; zero is 2019-03-01
	Until time.Time // of the last message; zero is 2026-10-01
	// Owner is whose mail it is: recipient of most, author of what is in Sent.
	// Empty is "Ada Winter <ada@example.org>".
	Owner Person
}

// Person is a name and an address.
type Person struct{ Name, Address string }

// Message is one message and what is known about it.
type Message struct {
	Mailbox string // where it lies: INBOX, Sent, Archive/2021 (and other years)
	Flags   mailbox.Flags
	Date    time.Time // of its Date field and its arrival
	Raw     []byte    // CRLF line ends
	// Kind names the shape: plain, alternative, attachment, …
	Kind     string
	Language string
	Charset  string // of its main text
	Subject  string // decoded, with its Re:
	From     string // decoded display name
	// Lines are passages of its text, decoded: each is found by SEARCH BODY.
	Lines []string
}

// Messages yields Options.Count messages, oldest first.
func Messages(o Options) iter.Seq[Message] {
	o = o.complete()
	return func(yield func(Message) bool) {
		g := &generator{
			Options: o,
			rand:    rand.New(rand.NewPCG(o.Seed, 0x7e2a510)),
			books:   phrasebooks(),
		}
		step := o.Until.Sub(o.Since) / time.Duration(o.Count)
		for i := range o.Count {
			jitter := time.Duration(g.rand.Int64N(int64(step)/2 + 1))
			at := o.Since.Add(time.Duration(i)*step + jitter).Truncate(time.Second)
			if !yield(g.message(i, at)) {
				return
			}
		}
	}
}

func (o Options) complete() Options {
	if o.Count <= 0 {
		o.Count = 400
	}
	if o.Since.IsZero() {
		o.Since = time.Date(2019, 3, 1, 8, 0, 0, 0, time.UTC)
	}
	if !o.Until.After(o.Since) {
		o.Until = time.Date(2026, 10, 1, 8, 0, 0, 0, time.UTC)
		if !o.Until.After(o.Since) {
			o.Until = o.Since.Add(time.Duration(o.Count) * time.Hour)
		}
	}
	if o.Owner == (Person{}) {
		o.Owner = Person{"Ada Winter", "ada@example.org"}
	}
	return o
}

// generator makes messages one after another; each may answer an earlier one.
type generator struct {
	Options
	rand   *rand.Rand
	books  []*phrasebook
	recent []thread // the latest messages that may be answered
}

// thread is what an answer needs of the message it answers.
type thread struct {
	book       *phrasebook
	id         string
	references []string
	subject    string
	quote      string
	list       bool
}

// draft is a message while it is made.
type draft struct {
	Message
	book     *phrasebook
	id       string
	parent   *thread
	from, to Person
	encoding string // of text: 7bit, 8bit, quoted-printable, base64
	word     byte   // encoded words of RFC 2047: B or Q
	rand     *rand.Rand
}

// zones are minutes east of UTC of the authors.
var zones = []int{0, 60, 120, -300, 540, 330, -480, 180}

func (g *generator) message(i int, at time.Time) Message {
	d := &draft{book: g.pickBook(), rand: g.rand}
	if len(g.recent) > 0 && g.rand.IntN(100) < 45 {
		t := g.recent[g.rand.IntN(len(g.recent))]
		d.parent, d.book = &t, t.book
	}
	d.id = fmt.Sprintf("<%d.%08x@%s.example>", i+1, g.rand.Uint32(), d.book.language)
	d.Date = at.In(time.FixedZone("", zones[g.rand.IntN(len(zones))]*60))
	d.Language = d.book.language
	d.Charset = pick(g.rand, d.book.charsets)
	d.encoding = d.pickEncoding()
	d.word = "BQ"[g.rand.IntN(2)]
	d.Subject = d.fill(pick(g.rand, d.book.subjects))
	if d.parent != nil {
		d.Subject = "Re: " + strings.TrimPrefix(d.parent.subject, "Re: ")
	}
	g.address(d)
	shape := g.pickShape(d)
	d.Kind = shape.name
	d.Raw = shape.make(d)
	g.remember(d)
	return d.Message
}

// pickBook chooses a language; a quarter of the mail is English.
func (g *generator) pickBook() *phrasebook {
	if g.rand.IntN(100) < 25 {
		for _, b := range g.books {
			if b.language == "en" {
				return b
			}
		}
	}
	return pick(g.rand, g.books)
}

// address chooses author, recipient, mailbox and flags.
func (g *generator) address(d *draft) {
	author := d.book.people[g.rand.IntN(len(d.book.people))]
	d.from, d.to, d.Mailbox = author, g.Owner, "INBOX"
	switch age := g.Until.Sub(d.Date); {
	case g.rand.IntN(100) < 12:
		d.from, d.to, d.Mailbox = g.Owner, author, "Sent"
	case age > 4*365*24*time.Hour:
		d.Mailbox = fmt.Sprintf("Archive/%d", d.Date.Year())
	}
	d.From = d.from.Name
	var flags []string
	for _, f := range []struct {
		name    string
		percent int
	}{{`\Seen`, 85}, {`\Answered`, 15}, {`\Flagged`, 6}, {"$Forwarded", 4}, {"travel", 3}} {
		if g.rand.IntN(100) < f.percent || f.name == `\Seen` && d.Mailbox == "Sent" {
			flags = append(flags, f.name)
		}
	}
	d.Flags = mailbox.MakeFlags(flags...)
}

// remember keeps the message for answers, a bounded number of them.
func (g *generator) remember(d *draft) {
	t := thread{book: d.book, id: d.id, subject: d.Subject, list: d.Kind == "list"}
	if d.parent != nil {
		t.references = append(t.references, d.parent.references...)
	}
	t.references = append(t.references, d.id)
	if len(d.Lines) > 0 {
		t.quote = d.Lines[0]
	}
	g.recent = append(g.recent, t)
	if len(g.recent) > 12 {
		g.recent = g.recent[1:]
	}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// pickEncoding chooses a transfer encoding that the charset can live with.
func (d *draft) pickEncoding() string {
	if d.Charset == "us-ascii" || d.Charset == "iso-2022-jp" {
		return "7bit"
	}
	return pick(d.rand, []string{"8bit", "quoted-printable", "base64"})
}

// fill puts numbers in the place of {n}.
func (d *draft) fill(s string) string {
	for strings.Contains(s, "{n}") {
		s = strings.Replace(s, "{n}", fmt.Sprint(2+d.rand.IntN(9998)), 1)
	}
	return s
}

// text chooses n different lines and remembers them.
func (d *draft) text(n int) []string {
	order := d.rand.Perm(len(d.book.lines))
	var lines []string
	for _, i := range order[:min(n, len(order))] {
		lines = append(lines, d.fill(d.book.lines[i]))
	}
	d.Lines = append(d.Lines, lines...)
	return lines
}
