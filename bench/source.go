package main

import (
	"bytes"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"teraslot/bench/corpus"
	"teraslot/bench/synthetic"
)

// source is mail that can be read again and again, in one order.
type source struct {
	name string
	all  iter.Seq2[corpus.Message, error]
}

// archives are the corpora of real mail, by their names in a directory of archives.
var archives = []string{"spamassassin", "kernel-list"}

// sources are the corpora that the options name: several where CORPUS is a directory
// of archives.
func (b *bench) sources() []source {
	if b.o.count > 0 {
		return []source{b.made(b.o.count)}
	}
	if b.o.corpus == "" {
		b.Fatal("CORPUS names no mail: an mbox, a Maildir or a directory; N= makes synthetic mail")
	}
	var out []source
	for _, name := range archives {
		path := filepath.Join(b.o.corpus, name+".tar.xz")
		if _, err := os.Stat(path); err == nil && (b.o.only == "" || b.o.only == name) {
			mail, err := corpus.Read(path)
			b.must(err)
			out = append(out, source{name, b.clean(func(yield func(corpus.Message, error) bool) {
				for _, m := range mail {
					if !yield(m, nil) {
						return
					}
				}
			})})
		}
	}
	if len(out) == 0 {
		out = []source{{filepath.Base(b.o.corpus), b.clean(corpus.Open(b.o.corpus))}}
	}
	for range out[0].all {
		return out
	}
	b.Fatalf("%s holds no mail: it is to be an mbox, a Maildir, a directory of messages or of archives", b.o.corpus)
	return nil
}

// first is the corpus of workloads that need one.
func (b *bench) first() source { return b.sources()[0] }

// made is synthetic mail, labelled as such.
func (b *bench) made(n int) source { return b.madeWith(n, 0) }

// madeWith is synthetic mail of which so many of 100 messages carry a file; see
// synthetic.Options.
func (b *bench) madeWith(n, files int) source {
	name := fmt.Sprintf("synthetic, %d messages", n)
	if files > 0 {
		name += fmt.Sprintf(", %d of 100 with a file", files)
	}
	return source{name, func(yield func(corpus.Message, error) bool) {
		i := 0
		for m := range synthetic.Messages(synthetic.Options{Seed: b.o.seed, Count: n, Files: files}) {
			if i++; !yield(corpus.Message{Name: fmt.Sprint(i), Raw: m.Raw}, nil) {
				return
			}
		}
	}}
}

// large is synthetic mail, so much or as much as the options say.
func (b *bench) large(n int) source { return b.made(b.many(n)) }

// many is a number of messages to make, or what the options say instead: so many, or at most
// so many.
func (b *bench) many(n int) int {
	switch {
	case b.o.count > 0:
		return b.o.count
	case b.o.limit > 0:
		return min(n, b.o.limit)
	}
	return n
}

// clean leaves out what no server takes (mail of white space, octets that are NUL),
// and ends the last line, as a server does: so all have the same mail.
func (b *bench) clean(all iter.Seq2[corpus.Message, error]) iter.Seq2[corpus.Message, error] {
	return func(yield func(corpus.Message, error) bool) {
		n := 0
		for m, err := range all {
			if err == nil {
				if len(bytes.TrimSpace(m.Raw)) == 0 || bytes.IndexByte(m.Raw, 0) >= 0 {
					continue
				}
				if !bytes.HasSuffix(m.Raw, []byte("\r\n")) {
					m.Raw = append(slices.Clip(m.Raw), "\r\n"...)
				}
			}
			if n++; b.o.limit > 0 && n > b.o.limit || !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// held reads a source into memory, for workloads of a few thousand messages.
func (b *bench) held(s source) (mail []corpus.Message) {
	for m, err := range s.all {
		b.must(err)
		mail = append(mail, m)
	}
	return mail
}

// of is mail in memory as a source.
func of(name string, mail []corpus.Message) source {
	return source{name, func(yield func(corpus.Message, error) bool) {
		for _, m := range mail {
			if !yield(m, nil) {
				return
			}
		}
	}}
}
