package mailstore

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"

	"teraslot/mailbox"
	"teraslot/message"
)

var errStructureRow = errors.New("cached structure does not match its CRC")

func structureCRC(num uint32, data []byte) int64 {
	var buf [8]byte
	b := binary.BigEndian.AppendUint64(buf[:0], uint64(num))
	return int64(crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, data))
}

// structuresAtOnce bounds how many cached structures one read transaction yields.
const structuresAtOnce = 512

// Structures calls fn with the MIME structure and envelope of each record, in
// their order; i is the record's position. They come from the cache that was
// filled when the message came; where that is damaged or missing, from the message.
func (m *Mail) Structures(ctx context.Context, recs []mailbox.Record, fn func(i int, s *message.Structure) error) error {
	for at := 0; at < len(recs); at += structuresAtOnce {
		encoded, err := m.EncodedStructures(ctx, recs[at:min(at+structuresAtOnce, len(recs))])
		if err != nil {
			return err
		}
		for i, data := range encoded {
			s, err := message.UnmarshalStructure([]byte(data))
			if err != nil {
				return m.wrap(err)
			}
			if err := fn(at+i, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// EncodedStructures returns the structure of each record in the form that
// message.StructureDecoder reads, and which it was seen to read: what Structures
// gives, for those who need not keep it. The sum of sizes is the caller's to bound.
func (m *Mail) EncodedStructures(ctx context.Context, recs []mailbox.Record) ([]string, error) {
	out := make([]string, len(recs))
	missing := m.s.contents.structures(m.user, recs, out)
	if len(missing) == 0 {
		return out, nil
	}
	if err := m.structureRows(ctx, recs, missing, out); err != nil {
		return nil, err
	}
	for _, i := range missing {
		if out[i] != "" {
			continue
		}
		var err error
		if out[i], err = m.encodeStructure(ctx, recs[i]); err != nil {
			return nil, err
		}
	}
	m.s.contents.keepStructures(m.user, recs, missing, out)
	return out, nil
}

// structureRows reads cached structures of the records at some positions, which
// are sorted by their contents, and leaves out what is not whole.
func (m *Mail) structureRows(ctx context.Context, recs []mailbox.Record, at []int, out []string) error {
	var check message.StructureDecoder
	return m.read(ctx, func(c *conn) error {
		for rest := at; len(rest) > 0; {
			n := numRun(recs, rest)
			run := rest[:n]
			err := c.each(`SELECT num, data, crc FROM structure WHERE num BETWEEN ? AND ? ORDER BY num`, func(row []driver.Value) error {
				num, data := uint32(integer(row[0])), blob(row[1])
				for len(run) > 0 && recs[run[0]].Num < num {
					run = run[1:]
				}
				if len(run) == 0 || recs[run[0]].Num != num || structureCRC(num, data) != integer(row[2]) {
					return nil
				}
				encoded := string(data)
				if _, err := check.Decode(encoded); err != nil {
					return nil
				}
				for ; len(run) > 0 && recs[run[0]].Num == num; run = run[1:] {
					out[run[0]] = encoded
				}
				return nil
			}, int64(recs[rest[0]].Num), int64(recs[rest[n-1]].Num))
			if err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
}

// encodeStructure parses a message anew.
func (m *Mail) encodeStructure(ctx context.Context, rec mailbox.Record) (string, error) {
	c, err := m.OpenGUID(ctx, rec.GUID)
	if err != nil {
		return "", err
	}
	s, err := message.Parse(c, c.Size)
	if err = errors.Join(err, c.Close()); err != nil {
		return "", err
	}
	b, err := s.AppendBinary(nil)
	return string(b), err
}

// sortByNum sorts positions of records by the records' contents.
func sortByNum(recs []mailbox.Record, at []int) []int {
	rising := func(a, b int) int { return int(int64(recs[a].Num) - int64(recs[b].Num)) }
	if !slices.IsSortedFunc(at, rising) {
		slices.SortStableFunc(at, rising)
	}
	return at
}

// numGap is how many contents that nobody asked for a scan may step over: so
// many rows cost less than a query of their own.
const numGap = 3

// numRun returns how many of the first positions lie so close together that one
// scan reads their contents best.
func numRun(recs []mailbox.Record, at []int) int {
	n := 1
	for n < len(at) && recs[at[n]].Num-recs[at[n-1]].Num <= numGap+1 {
		n++
	}
	return n
}
