package mailbox

import (
	"crypto/sha256"
	"encoding/binary"
)

// Checksum is an order-free digest of the records of a mailbox that are not
// expunged: 128 bits, the sum (modulo 2^64, in two halves) of a hash of each
// record. Adding and then removing a record gives back the checksum before, so
// it is kept up with each change at constant cost. The zero value is the
// checksum of no records.
type Checksum struct{ A, B uint64 }

// checksumVersion changes whenever digest covers other fields, so that slots of
// different versions see a difference instead of false equality.
const checksumVersion = 1

// digest hashes all that clients see of a record.
func (r *Record) digest() Checksum {
	var buf [160]byte
	b := append(buf[:0], checksumVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(r.UID))
	b = append(b, r.GUID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.ModSeq))
	b = binary.BigEndian.AppendUint64(b, uint64(r.CreatedModSeq))
	b = binary.BigEndian.AppendUint64(b, uint64(r.Size))
	b = binary.BigEndian.AppendUint64(b, uint64(r.InternalDate.Unix))
	b = binary.BigEndian.AppendUint16(b, uint16(r.InternalDate.Zone))
	b = binary.BigEndian.AppendUint64(b, uint64(r.SaveDate))
	b = append(b, byte(r.Flags.System))
	b = append(b, lowerASCII(r.Flags.Keywords)...)
	h := sha256.Sum256(b)
	return Checksum{binary.BigEndian.Uint64(h[:8]), binary.BigEndian.Uint64(h[8:16])}
}

// Add takes the record in. An expunged record changes nothing.
func (c *Checksum) Add(r *Record) {
	if r.Expunged {
		return
	}
	d := r.digest()
	c.A += d.A
	c.B += d.B
}

// Remove takes out a record that was added as it is given. An expunged record
// changes nothing.
func (c *Checksum) Remove(r *Record) {
	if r.Expunged {
		return
	}
	d := r.digest()
	c.A -= d.A
	c.B -= d.B
}
