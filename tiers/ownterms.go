package tiers

import "hash/maphash"

// ownTerms are the terms of the document at hand, each once. A message says most of its
// terms more than once; here these meet in memory that the processor holds, and the
// segment's tables, which are far larger, are asked once for each.
type ownTerms struct {
	slots []ownSlot // a power of two
	short []ownShort
	long  []ownLong
	seeds seeds
	seed  maphash.Seed
}

type ownSlot struct {
	key   uint64 // of a long one: its hash
	field uint32 // and whether it is long, in the lowest bit
	place uint32 // in short or long, and 1; 0: free
}

// ownShort is a term that its key tells all of.
type ownShort struct {
	key   uint64
	field uint32
	term  uint32 // its number, when the document is done
	count uint8
}

// ownLong is another.
type ownLong struct {
	hash, key uint64
	text      string
	field     uint32
	term      uint32
	count     uint8
}

// ownSlots is how many slots the table has for most messages.
const ownSlots = 1 << 12

// maxOwn is for how many terms of a document memory is kept for the next one.
const maxOwn = 1 << 16

// reset begins another segment, whose table of long terms goes by the same hashes.
func (o *ownTerms) reset() { o.seeds, o.seed = newSeeds(), maphash.MakeSeed() }

// begin empties the table for another document.
func (o *ownTerms) begin() {
	if len(o.slots) != ownSlots {
		o.slots = make([]ownSlot, ownSlots)
	} else {
		clear(o.slots)
	}
	if cap(o.short)+cap(o.long) > maxOwn {
		o.short, o.long = nil, nil
	}
	o.forget()
}

// forget lets go of what belongs to the document.
func (o *ownTerms) forget() {
	clear(o.long)
	o.short, o.long = o.short[:0], o.long[:0]
}

// len is how many terms there are.
func (o *ownTerms) len() int { return len(o.short) + len(o.long) }

// addShort counts a term that its key tells all of, and returns its place.
func (o *ownTerms) addShort(key uint64, field uint32, counted bool) uint32 {
	mask := uint64(len(o.slots) - 1)
	for at := o.seeds.hash(key, field) & mask; ; at = (at + 1) & mask {
		s := &o.slots[at]
		if s.place == 0 {
			o.short = append(o.short, ownShort{key: key, field: field, count: 1})
			*s = ownSlot{key, field << 1, uint32(len(o.short))}
			o.room()
			return uint32(len(o.short)) - 1
		}
		if s.key == key && s.field == field<<1 {
			if t := &o.short[s.place-1]; counted && t.count < 255 {
				t.count++
			}
			return s.place - 1
		}
	}
}

// addLong counts another term.
func (o *ownTerms) addLong(key uint64, text string, field uint32, counted bool) uint32 {
	hash := maphash.String(o.seed, text)
	mask := uint64(len(o.slots) - 1)
	for at := (hash + uint64(field)) & mask; ; at = (at + 1) & mask {
		s := &o.slots[at]
		if s.place == 0 {
			o.long = append(o.long, ownLong{hash: hash, key: key, text: text, field: field, count: 1})
			*s = ownSlot{hash, field<<1 | 1, uint32(len(o.long))}
			o.room()
			return uint32(len(o.long)) - 1
		}
		if s.key != hash || s.field != field<<1|1 {
			continue
		}
		if t := &o.long[s.place-1]; t.text == text {
			if counted && t.count < 255 {
				t.count++
			}
			return s.place - 1
		}
	}
}

// room makes the table twice as large when half of it is taken.
func (o *ownTerms) room() {
	if 2*o.len() <= len(o.slots) {
		return
	}
	o.slots = make([]ownSlot, 2*len(o.slots))
	for i := range o.short {
		t := &o.short[i]
		o.put(o.seeds.hash(t.key, t.field), ownSlot{t.key, t.field << 1, uint32(i) + 1})
	}
	for i := range o.long {
		t := &o.long[i]
		o.put(t.hash+uint64(t.field), ownSlot{t.hash, t.field<<1 | 1, uint32(i) + 1})
	}
}

// put puts a slot at the first free place from a hash on.
func (o *ownTerms) put(hash uint64, s ownSlot) {
	mask := uint64(len(o.slots) - 1)
	at := hash & mask
	for o.slots[at].place != 0 {
		at = (at + 1) & mask
	}
	o.slots[at] = s
}
