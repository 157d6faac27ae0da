package queries

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"

	"teraslot/bench/corpus"
	"teraslot/message"
	"teraslot/text"
)

// Answer is what a query finds: how many messages, and which, as a sum without order.
type Answer struct {
	Hits int
	Sum  uint64
}

// Add puts in the message at a place of the corpus, counted from 0.
func (a *Answer) Add(place int) {
	a.Hits++
	x := uint64(place) + 0x9e3779b97f4a7c15 // splitmix64
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	a.Sum += x ^ x>>31
}

// Answers finds what each query finds in the mail. It refuses fuzzy ones.
func Answers(mail iter.Seq2[corpus.Message, error], list []Query) ([]Answer, error) {
	o, err := newOracle(list)
	if err != nil {
		return nil, err
	}
	place := 0
	for m, err := range mail {
		if err != nil {
			return nil, err
		}
		if err := o.read(place, m.Raw); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		place++
	}
	return o.answers, nil
}

// oracle looks for all keys of all queries in one message after another.
type oracle struct {
	list    []Query
	answers []Answer
	keys    []Key
	of      [][]int // the keys with each pattern of the automaton
	first   []int   // of each query's keys
	found   []int   // by key: the message it was last found in, from 1
	texts   *automaton
}

func newOracle(list []Query) (*oracle, error) {
	o := &oracle{list: list, answers: make([]Answer, len(list)), texts: newAutomaton()}
	for _, q := range list {
		if q.Fuzzy {
			return nil, fmt.Errorf("%v: what a fuzzy key finds is not defined", q)
		}
		o.first = append(o.first, len(o.keys))
		for _, k := range q.Keys {
			id := o.texts.add(text.Normalize(k.Value))
			if id == len(o.of) {
				o.of = append(o.of, nil)
			}
			o.of[id] = append(o.of[id], len(o.keys))
			o.keys = append(o.keys, k)
		}
	}
	o.found = make([]int, len(o.keys))
	o.texts.finish()
	return o, nil
}

func (o *oracle) read(place int, raw []byte) error {
	err := message.Scan(context.Background(), bytes.NewReader(raw), int64(len(raw)), func(u text.Unit) bool {
		o.unit(place, u)
		return true
	})
	for i, q := range o.list {
		if o.holds(q, o.first[i], place, len(raw)) {
			o.answers[i].Add(place)
		}
	}
	return err
}

// unit notes the keys that a unit has. A key of a field is not looked for in the
// field's name.
func (o *oracle) unit(place int, u text.Unit) {
	value := len(u.Text) - len(u.Value())
	for id, end := range o.texts.matches(u.Text) {
		start := end - len(o.texts.patterns[id])
		for _, k := range o.of[id] {
			if o.found[k] == place+1 {
				continue
			}
			if _, ok := o.keys[k].in(u); ok && (o.keys[k].Scope == Text || start >= value) {
				o.found[k] = place + 1
			}
		}
	}
}

func (o *oracle) holds(q Query, first, place, size int) bool {
	if q.Smaller > 0 && size >= q.Smaller {
		return false
	}
	for i, k := range q.Keys {
		if (o.found[first+i] == place+1) == k.Not {
			return false
		}
	}
	return true
}

// scan is what a query means, said once more and slowly: tests hold Answers to it.
func scan(q Query, raw []byte) bool {
	for _, k := range q.Keys {
		found := false
		// The mail lies in memory, so nothing can fail but ctx, which does not end.
		_ = message.Scan(context.Background(), bytes.NewReader(raw), int64(len(raw)), func(u text.Unit) bool {
			value, ok := k.in(u)
			found = ok && strings.Contains(value, text.Normalize(k.Value))
			return !found
		})
		if found == k.Not {
			return false
		}
	}
	return q.Smaller == 0 || len(raw) < q.Smaller
}
