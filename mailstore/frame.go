package mailstore

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"

	"teraslot/mailbox"
)

// The sizes and versions of docs/formats.md, "Message pack".
const (
	packMagic      = "TSPK"
	packVersion    = 1
	packHeaderSize = 48

	frameMagic      = "TSMF"
	frameVersion    = 1
	frameHeaderSize = 84
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errFrame   = errors.New("frame is damaged")
	errPack    = errors.New("pack header is damaged")
	errContent = errors.New("message bytes do not match their CRC")
)

// appendPackHeader appends the header of pack n of user u.
func appendPackHeader(b []byte, n uint64, u mailbox.User) []byte {
	start := len(b)
	b = append(b, packMagic...)
	b = append(b, packVersion, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, n)
	var id [16]byte
	hex.Decode(id[:], []byte(u)) // a user id is hexadecimal: ParseUser
	b = append(b, id[:]...)
	b = append(b, make([]byte, 12)...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// checkPackHeader tells whether b begins a pack n of user u.
func checkPackHeader(b []byte, n uint64, u mailbox.User) error {
	if len(b) < packHeaderSize || string(b[:4]) != packMagic {
		return errPack
	}
	if b[4] != packVersion {
		return fmt.Errorf("pack version %d: %w", b[4], ErrVersion)
	}
	if string(b[:packHeaderSize]) != string(appendPackHeader(nil, n, u)) {
		return errPack
	}
	return nil
}

// frame is the header of a message in a pack.
type frame struct {
	Length      int64
	GUID        mailbox.GUID
	Mailbox     mailbox.ID
	UID         mailbox.UID
	UIDValidity mailbox.UIDValidity
	Internal    mailbox.Date
	CRC         uint32 // of the message
}

func (f *frame) append(b []byte) []byte {
	start := len(b)
	b = append(b, frameMagic...)
	b = append(b, frameVersion, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(f.Internal.Zone))
	b = binary.BigEndian.AppendUint64(b, uint64(f.Length))
	b = append(b, f.GUID[:]...)
	var id [12]byte
	hex.Decode(id[:], []byte(f.Mailbox)) // a mailbox id is hexadecimal: ParseID
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(f.UID))
	b = binary.BigEndian.AppendUint32(b, uint32(f.UIDValidity))
	b = binary.BigEndian.AppendUint64(b, uint64(f.Internal.Unix))
	b = binary.BigEndian.AppendUint32(b, f.CRC)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseFrame reads what append wrote. It never panics, and takes nothing that
// its CRC does not cover.
func parseFrame(b []byte) (frame, error) {
	var f frame
	if len(b) < frameHeaderSize || string(b[:4]) != frameMagic {
		return f, errFrame
	}
	if b[4] != frameVersion {
		return f, fmt.Errorf("frame version %d: %w", b[4], ErrVersion)
	}
	if crc32.Checksum(b[:80], castagnoli) != binary.BigEndian.Uint32(b[80:]) {
		return f, errFrame
	}
	f.Internal.Zone = int16(binary.BigEndian.Uint16(b[6:]))
	f.Length = int64(binary.BigEndian.Uint64(b[8:]))
	copy(f.GUID[:], b[16:48])
	f.Mailbox = mailbox.ID(hex.EncodeToString(b[48:60]))
	f.UID = mailbox.UID(binary.BigEndian.Uint32(b[60:]))
	f.UIDValidity = mailbox.UIDValidity(binary.BigEndian.Uint32(b[64:]))
	f.Internal.Unix = int64(binary.BigEndian.Uint64(b[68:]))
	f.CRC = binary.BigEndian.Uint32(b[76:])
	if f.Length < 0 {
		return f, errFrame
	}
	return f, nil
}
