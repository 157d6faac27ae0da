package tiers

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sort"

	"teraslot/text"
)

// A term list holds the terms of each field of a segment in order, each between
// two line feeds, so that one pass of bytes.Index finds those that contain a
// string. docs/formats.md has its form.
const termsMagic = "TSLterm1"

// listedFields are the fields whose terms are looked for by more than the whole
// term.
func listedFields() []string {
	return append([]string{text.FieldHeader, text.FieldBody}, text.ValueFields()...)
}

// termListWriter builds a term list in memory.
type termListWriter struct {
	names []string
	ends  []uint64
	data  []byte
}

// field begins the list of the next field.
func (w *termListWriter) field(name string) {
	w.names = append(w.names, name)
	w.data = append(w.data, '\n')
	w.ends = append(w.ends, uint64(len(w.data)))
}

// add appends a term to the field begun last. Terms come in order.
func (w *termListWriter) add(term string) {
	w.data = append(w.data, term...)
	w.data = append(w.data, '\n')
	w.ends[len(w.ends)-1] = uint64(len(w.data))
}

// bytes returns the file: magic, number of fields, then for each the length and
// octets of its name and the length of its list, then the lists.
func (w *termListWriter) bytes() []byte {
	head := append([]byte(termsMagic), byte(len(w.names)))
	from := uint64(0)
	for i, name := range w.names {
		head = append(head, byte(len(name)))
		head = append(head, name...)
		head = binary.BigEndian.AppendUint64(head, w.ends[i]-from)
		from = w.ends[i]
	}
	return append(head, w.data...)
}

// termList is a term list ready to be searched; it shares the memory that it
// was parsed from.
type termList struct {
	fields map[string][]byte
}

var errTermList = errors.New("damaged term list")

// parseTermList reads what termListWriter writes.
func parseTermList(b []byte) (*termList, error) {
	rest, ok := bytes.CutPrefix(b, []byte(termsMagic))
	if !ok || len(rest) == 0 {
		return nil, fmt.Errorf("%w: no magic", errTermList)
	}
	type part struct {
		name string
		size uint64
	}
	parts := make([]part, rest[0])
	rest = rest[1:]
	for i := range parts {
		if len(rest) < 1 || len(rest) < 1+int(rest[0])+8 {
			return nil, fmt.Errorf("%w: the head is cut short", errTermList)
		}
		n := 1 + int(rest[0])
		parts[i] = part{string(rest[1:n]), binary.BigEndian.Uint64(rest[n:])}
		rest = rest[n+8:]
	}
	l := &termList{fields: make(map[string][]byte, len(parts))}
	for _, p := range parts {
		if p.size == 0 || p.size > uint64(len(rest)) || rest[0] != '\n' || rest[p.size-1] != '\n' {
			return nil, fmt.Errorf("%w: field %q", errTermList, p.name)
		}
		l.fields[p.name] = rest[:p.size]
		rest = rest[p.size:]
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d octets too many", errTermList, len(rest))
	}
	return l, nil
}

// all yields a field's terms in order. They share the list's memory.
func (l *termList) all(field string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		list := l.fields[field]
		for at := 1; at < len(list); {
			n := bytes.IndexByte(list[at:], '\n')
			if n < 0 || !yield(list[at:at+n]) {
				return
			}
			at += n + 1
		}
	}
}

// find yields the terms that a lookup means, in order.
func (l *termList) find(q text.Lookup) iter.Seq[[]byte] {
	list := l.fields[q.Field]
	switch q.Op {
	case text.Prefix:
		return prefixed(list, q.Text)
	case text.Suffix:
		return containing(list, q.Text+"\n")
	case text.Inside:
		return containing(list, q.Text)
	}
	return containing(list, "\n"+q.Text+"\n")
}

// containing yields the terms around each place where pattern is found. A
// pattern may begin and end with the line feeds around a term.
func containing(list []byte, pattern string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		p := []byte(pattern)
		for from := 0; len(p) > 0; {
			k := bytes.Index(list[from:], p)
			if k < 0 {
				return
			}
			// The term holds the pattern's octet that is no line feed.
			k += from
			if p[0] == '\n' {
				k++
			}
			start := bytes.LastIndexByte(list[:k], '\n') + 1
			n := bytes.IndexByte(list[k:], '\n')
			if n < 0 || !yield(list[start:k+n]) {
				return
			}
			from = k + n // its line feed may begin the next pattern
		}
	}
}

// prefixed yields the terms that begin with prefix, found by halving.
func prefixed(list []byte, prefix string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		p := []byte(prefix)
		at := sort.Search(len(list), func(i int) bool {
			start := bytes.IndexByte(list[i:], '\n') + i + 1 // the next term
			end := bytes.IndexByte(list[start:], '\n')
			return end < 0 || bytes.Compare(list[start:start+end], p) >= 0
		})
		for at += bytes.IndexByte(list[min(at, len(list)):], '\n') + 1; at < len(list); {
			n := bytes.IndexByte(list[at:], '\n')
			if n < 0 || !bytes.HasPrefix(list[at:at+n], p) || !yield(list[at:at+n]) {
				return
			}
			at += n + 1
		}
	}
}
