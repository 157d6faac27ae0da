package synthetic

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"time"
)

// Label is the header field that every message has.
const Label = "X-Synthetic: made by teraslot for measurements, nobody wrote this"

// Options say what to make.
type Options struct {
	Seed  uint64
	Count int // messages
	// Files is how many of 100 messages carry a file. 0: 3.
	Files int
}

// Message is one message.
type Message struct {
	Raw  []byte // CRLF line ends
	Date time.Time
	Kind Kind
	// Language is that of the thread, a subtag of BCP 47; the words are nobody's.
	Language string
}

// Kind tells what a message carries beside text.
type Kind string

// The kinds, in the order of their shares.
const (
	Plain       Kind = "plain"
	Patch       Kind = "patch"
	Alternative Kind = "alternative" // text and HTML
	Attachment  Kind = "attachment"  // text and a file
)

// Messages yields Options.Count messages, the oldest first.
func Messages(o Options) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		g := newGenerator(o.Seed)
		g.files = o.Files
		for i := range o.Count {
			if !yield(g.message(i)) {
				return
			}
		}
	}
}

// kept is how many threads may still be answered.
const kept = 400

// generator makes messages one after another.
type generator struct {
	rand    *rand.Rand
	files   int      // Options.Files
	threads []thread // at most kept
	lexica  []*lexicon
}

// thread is what an answer needs of the message that it answers.
type thread struct {
	lexicon    *lexicon
	subject    string
	references []string
	quote      []string // lines of the last message
	topic      []string // words that its messages repeat
}

// begun is the date of the first message; the others follow some minutes apart.
var begun = time.Date(2008, 1, 7, 6, 0, 0, 0, time.UTC)

func newGenerator(seed uint64) *generator {
	g := &generator{rand: rand.New(rand.NewPCG(seed, 0x73796e7468657469))}
	g.lexica = newLexica(g.rand)
	return g
}

// draft is a message while it is made.
type draft struct {
	*generator
	thread
	at      time.Time
	id      string
	from    person
	answers bool
	kind    Kind
	head    strings.Builder
}

func (g *generator) message(i int) Message {
	d := &draft{generator: g, at: begun.Add(time.Duration(i)*11*time.Minute + time.Duration(g.rand.IntN(600))*time.Second)}
	slot := g.rand.IntN(kept)
	if slot < len(g.threads) && g.rand.IntN(100) < 75 {
		d.thread, d.answers = g.threads[slot], true
	} else {
		d.thread = g.begin()
	}
	d.from = g.person()
	d.id = fmt.Sprintf("<%s.%d-%d-%s@%s>", d.at.Format("20060102150405"), 10000+g.rand.IntN(22000), i, d.from.local, d.from.host)
	lines := d.text()
	body := d.body(lines)
	d.header(body.header)
	d.remember(slot, lines)
	raw := make([]byte, 0, d.head.Len()+2+len(body.text))
	raw = append(append(append(raw, d.head.String()...), "\r\n"...), body.text...)
	return Message{Raw: raw, Date: d.at, Kind: d.kind, Language: d.lexicon.language}
}

// begin opens a thread.
func (g *generator) begin() thread {
	t := thread{lexicon: g.lexica[0]}
	if g.rand.IntN(100) < 8 {
		t.lexicon = g.lexica[1+g.rand.IntN(len(g.lexica)-1)]
	}
	for range 12 {
		t.topic = append(t.topic, t.lexicon.word())
	}
	t.subject = strings.Join(t.topic[:3+g.rand.IntN(5)], t.lexicon.space)
	if g.rand.IntN(3) == 0 {
		t.subject = fmt.Sprintf("[PATCH %d/%d] %s", 1+g.rand.IntN(9), 9+g.rand.IntN(20), t.subject)
	}
	return t
}

// remember puts the thread where it may be answered.
func (d *draft) remember(slot int, lines []string) {
	t := d.thread
	t.references = append(append([]string(nil), t.references[max(0, len(t.references)-9):]...), d.id)
	t.quote = lines
	if slot < len(d.threads) {
		d.threads[slot] = t
	} else {
		d.threads = append(d.threads, t)
	}
}
