package replication

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
)

// tally is one side of an Apply that sums what passes, in its order, but for messages, which have
// sums of their own. The master's commit says the sum: a change of which a frame is missing, doubled,
// displaced or another's is not applied, whoever has made that of it.
type tally struct {
	exchange
	sum hash.Hash
}

func newTally(x exchange) *tally { return &tally{x, sha256.New()} }

// SendMsg sends a frame.
func (t *tally) SendMsg(m any) error {
	t.add(m.(*frame))
	return t.exchange.SendMsg(m)
}

// RecvMsg takes the next frame.
func (t *tally) RecvMsg(m any) error {
	err := t.exchange.RecvMsg(m)
	if err == nil {
		t.add(m.(*frame))
	}
	return err
}

func (t *tally) add(f *frame) {
	switch f.kind {
	case kindMessage, kindData, kindCommit:
		return
	}
	var e encoder
	e.uint(uint64(f.kind), uint64(len(f.body)))
	t.sum.Write(e.b)
	t.sum.Write(f.body)
}

// commit is the frame behind all that has passed.
func (t *tally) commit() *frame { return &frame{kindCommit, t.sum.Sum(nil)} }

// check holds a commit against what has passed.
func (t *tally) check(f *frame) error {
	if f.kind != kindCommit || !bytes.Equal(f.body, t.sum.Sum(nil)) {
		return fmt.Errorf("kind %d, and what came is not what was sent: %w", f.kind, ErrWire)
	}
	return nil
}
