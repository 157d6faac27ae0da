package exporter

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"teraslot/disk"
	"teraslot/mailbox"
)

const keywordsFile = "dovecot-keywords"

// keywords are what the letters a to z mean in the names of a folder's files.
type keywords struct {
	names [26]string
	index map[string]int // lower case → letter
}

// readKeywords reads what an earlier run wrote, so that letters keep their meaning.
func (r *run) readKeywords(dir string) (k keywords, err error) {
	b, err := disk.ReadFile(r.fs, filepath.Join(dir, keywordsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	for line := range strings.Lines(string(b)) {
		number, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if n, err := strconv.Atoi(number); err == nil && 0 <= n && n < len(k.names) {
			k.names[n] = name
		}
	}
	return k, err
}

// assign gives each keyword of the records a letter, the most used first, and
// returns those for which there was none left, with their numbers of messages.
func (k *keywords) assign(recs []mailbox.Record) (lost map[string]int) {
	counts, spelling := countKeywords(recs)
	k.index = make(map[string]int)
	var free []int // letters of nothing come before those that no message has now
	for i, name := range k.names {
		word := lower(name)
		_, twice := k.index[word]
		switch {
		case name == "" || twice:
			k.names[i] = ""
			free = append(free, i)
		case counts[word] > 0:
			k.index[word] = i
		}
	}
	for i, name := range k.names {
		if name != "" && counts[lower(name)] == 0 {
			free = append(free, i)
		}
	}
	byUse := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	lost = make(map[string]int)
	for _, word := range byUse {
		switch _, known := k.index[word]; {
		case known:
		case len(free) == 0:
			lost[spelling[word]] = counts[word]
		default:
			k.index[word], k.names[free[0]] = free[0], spelling[word]
			free = free[1:]
		}
	}
	return lost
}

// countKeywords counts in how many messages each keyword is, by lower case, and
// returns the first spelling of each.
func countKeywords(recs []mailbox.Record) (counts map[string]int, spelling map[string]string) {
	counts, spelling = make(map[string]int), make(map[string]string)
	for _, rec := range recs {
		for _, name := range rec.Flags.KeywordList() {
			word := lower(name)
			if counts[word]++; counts[word] == 1 {
				spelling[word] = name
			}
		}
	}
	return counts, spelling
}

// lower folds ASCII only, as mailbox.Flags does: U+212A is not the letter k.
func lower(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// letters are the flags of a file's name, in the order of ASCII. $Forwarded has
// both a keyword's letter, which Dovecot reads, and P, which others do.
func (k *keywords) letters(f mailbox.Flags) string {
	var b []byte
	for _, x := range []struct {
		flag   mailbox.System
		letter byte
	}{{mailbox.Draft, 'D'}, {mailbox.Flagged, 'F'}, {mailbox.Answered, 'R'}, {mailbox.Seen, 'S'}, {mailbox.Deleted, 'T'}} {
		if f.Has(x.flag) {
			b = append(b, x.letter)
		}
	}
	for _, name := range f.KeywordList() {
		if strings.EqualFold(name, "$Forwarded") {
			b = append(b, 'P')
		}
		if i, ok := k.index[lower(name)]; ok {
			b = append(b, 'a'+byte(i))
		}
	}
	slices.Sort(b)
	return string(b)
}

// publishKeywords writes dovecot-keywords, unless there is neither a keyword nor a file.
func (r *run) publishKeywords(dir string, k *keywords) error {
	name := filepath.Join(dir, keywordsFile)
	if _, there, err := exists(r.fs, name); err != nil || !there && k.names == [26]string{} {
		return err
	}
	return disk.Publish(r.fs, name, 0o600, func(w io.Writer) error {
		for i, name := range k.names {
			if name != "" {
				if _, err := fmt.Fprintf(w, "%d %s\n", i, name); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
