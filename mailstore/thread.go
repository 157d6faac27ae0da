package mailstore

import (
	"crypto/sha256"
	"database/sql/driver"
	"slices"

	"teraslot/mailbox"
	"teraslot/message"
)

// sentDate is the Date field as written, or the internal date.
func sentDate(s *message.Structure, internal mailbox.Date) mailbox.Date {
	if t, ok := s.Envelope.SentDate(); ok {
		return mailbox.DateOf(t)
	}
	return internal
}

// maxReferences bounds the message-ids of one message that are remembered: the
// nearest ancestors.
const maxReferences = 32

// threadOf finds the thread of a new message, and remembers the message-ids
// that later ones may name. A message belongs to the thread of its nearest known
// ancestor; one that comes before its ancestors founds a thread that they join,
// because what it refers to is remembered as well. A thread id never changes, so
// two threads that turn out to be one stay two (RFC 8474 §5.2 allows it).
func (t *txn) threadOf(msg *Message) (thread, error) {
	var id thread
	copy(id[:], msg.GUID[:])
	refs := msg.references
	for i := len(refs) - 1; i >= 0 && msg.thread == nil; i-- {
		found, err := t.c.one(`SELECT thread FROM {thread} WHERE ref = ?`, func(row []driver.Value) error {
			copy(id[:], blob(row[0]))
			return nil
		}, refs[i])
		if err != nil {
			return id, err
		}
		if found {
			break
		}
	}
	if msg.thread != nil {
		id = *msg.thread
	}
	for _, ref := range refs {
		if err := t.c.exec(`INSERT OR IGNORE INTO thread VALUES (?, ?)`, ref, id[:]); err != nil {
			return id, err
		}
	}
	return id, nil
}

// references returns the keys of the message-ids that a message names, oldest
// ancestor first and itself last.
func references(msg *Message) [][]byte {
	ids := slices.Clip(msg.structure.Ancestors())
	if own := message.MessageID(msg.structure.Envelope); own != "" {
		ids = append(ids, own)
	}
	ids = ids[max(0, len(ids)-maxReferences):]
	keys := make([][]byte, 0, len(ids))
	for _, id := range ids {
		sum := sha256.Sum256([]byte(id))
		keys = append(keys, sum[:len(thread{})])
	}
	return keys
}
