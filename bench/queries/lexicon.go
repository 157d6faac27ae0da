package queries

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"

	"teraslot/bench/corpus"
	"teraslot/message"
	"teraslot/text"
)

// Lexicon is what a corpus offers to ask for.
type Lexicon struct {
	Messages int // read
	// every is how many messages stand for one that was read.
	every    int
	rand     *rand.Rand
	body     map[string]int // messages read that have a word
	from     map[string]int
	subject  map[string]int
	passages sample[[]string] // neighbouring words of a body
	headers  sample[Key]      // a word of any field
	together sample[string]   // what stands together in a body, symbols and all
	fields   map[string]*sample[Key]
}

// passageWords is how many neighbours a passage has.
const passageWords = 4

// sampleSize bounds the passages and header words that are kept.
const sampleSize = 20_000

// Read makes a lexicon of every nth message, the first included.
func Read(mail iter.Seq2[corpus.Message, error], seed uint64, every int) (*Lexicon, error) {
	r := rand.New(rand.NewPCG(seed, 0x6c657869636f6e))
	l := &Lexicon{every: max(1, every), rand: r, body: map[string]int{}, from: map[string]int{}, subject: map[string]int{}}
	l.passages.rand, l.headers.rand, l.together.rand = r, r, r
	l.fields = map[string]*sample[Key]{}
	for _, name := range fieldNames {
		l.fields[name] = &sample[Key]{rand: r}
	}
	i := -1
	for m, err := range mail {
		if err != nil {
			return nil, err
		}
		if i++; i%l.every != 0 {
			continue
		}
		if err := l.add(m); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return l, nil
}

// add counts the words of a message once each.
func (l *Lexicon) add(m corpus.Message) error {
	l.Messages++
	body, from, subject := map[string]bool{}, map[string]bool{}, map[string]bool{}
	err := message.Scan(context.Background(), bytes.NewReader(m.Raw), int64(len(m.Raw)), func(u text.Unit) bool {
		words := wordsOf(u.Value())
		switch {
		case u.Kind == text.Body:
			note(body, words)
			l.takePassages(u.Value())
		case len(words) > 0:
			l.takeField(u)
			l.headers.offer(Key{Scope: Header, Name: u.Name, Value: words[l.rand.IntN(len(words))]})
			switch u.Name {
			case "from":
				note(from, words)
			case "subject":
				note(subject, words)
			}
		}
		return true
	})
	for _, c := range []struct {
		to   map[string]int
		from map[string]bool
	}{{l.body, body}, {l.from, from}, {l.subject, subject}} {
		for w := range c.from {
			c.to[w]++
		}
	}
	return err
}

func note(set map[string]bool, words []string) {
	for _, w := range words {
		set[w] = true
	}
}

// takePassages takes neighbours from ten random places of a text.
func (l *Lexicon) takePassages(s string) {
	for range 10 {
		if len(s) >= 40 {
			l.passage(s)
			l.takeTogether(s)
		}
	}
}

// passage takes neighbours from a random place. Words with something beside white
// space between them are none: peers read such a key in other ways.
func (l *Lexicon) passage(s string) {
	at := l.rand.IntN(len(s) - 20)
	fields := strings.Fields(s[at:min(len(s), at+120)])
	if len(fields) < passageWords+2 {
		return
	}
	fields = fields[1 : 1+passageWords] // the first may be a part
	for i, f := range fields {
		if !isWord(f) {
			return
		}
		fields[i] = strings.ToLower(f)
	}
	l.passages.offer(fields)
}

// wordsOf are the words of folded text, in small letters.
func wordsOf(s string) (words []string) {
	for token := range text.Tokens(s) {
		if isWord(token) {
			words = append(words, strings.ToLower(token))
		}
	}
	return words
}

// isWord: 2 to 20 letters and digits, the first of them a letter. Pairs of a script
// without spaces are words, too. ASCII, or a script as it is written: folding takes
// the marks off letters, and who searches for a word writes them.
func isWord(s string) bool {
	if n := utf8.RuneCountInString(s); n < 2 || n > 20 {
		return false
	}
	for i, r := range s {
		if !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return true
}

// sample keeps a uniform sample of what it was offered.
type sample[T any] struct {
	rand *rand.Rand
	kept []T
	seen int
}

func (s *sample[T]) offer(v T) {
	s.seen++
	if len(s.kept) < sampleSize {
		s.kept = append(s.kept, v)
	} else if i := s.rand.IntN(s.seen); i < sampleSize {
		s.kept[i] = v
	}
}
