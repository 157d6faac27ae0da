package sealed

import (
	"database/sql/driver"
	"slices"
)

// Mend returns what a damaged row was, where one bit of it or of its CRC is wrong, or the value of one
// column for which there is another that the CRC proves: values holds, for each column, what
// it may have been. ok says whether that is so. row is the sealed columns; nothing of it is changed.
//
// A CRC-32C tells up to four wrong bits of some 650 octets from one, so that what it proves is
// what was written.
func (t Table) Mend(row []driver.Value, crc int64, values [][]driver.Value) (mended []driver.Value, ok bool) {
	try := append([]driver.Value{t.Name}, row...)
	sound := func() bool { return Sum(try...) == crc }
	if oneBit(Sum(try...), crc) { // of the CRC itself
		return row, true
	}
	for i := range row {
		was := try[1+i]
		for _, v := range append(flips(row[i]), at(values, i)...) {
			if try[1+i] = v; sound() {
				return slices.Clone(try[1:]), true
			}
		}
		try[1+i] = was
	}
	return nil, false
}

func at(values [][]driver.Value, i int) []driver.Value {
	if i < len(values) {
		return values[i]
	}
	return nil
}

func oneBit(a, b int64) bool {
	x := a ^ b
	return x&(x-1) == 0
}

// maxFlips bounds the octets of a value of which each bit is tried.
const maxFlips = 1024

// flips returns the values that differ from one in a single bit.
func flips(v driver.Value) (out []driver.Value) {
	switch v := v.(type) {
	case int64:
		for bit := range 64 {
			out = append(out, v^1<<bit)
		}
	case string:
		for _, b := range flips([]byte(v)) {
			out = append(out, string(b.([]byte)))
		}
	case []byte:
		for i := range min(len(v), maxFlips) {
			for bit := range 8 {
				b := slices.Clone(v)
				b[i] ^= 1 << bit
				out = append(out, b)
			}
		}
	}
	return out
}
