package replication

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// samples are frames of every kind with content, and how each is read and written
// again.
func samples() []*frame {
	const u, id = mailbox.User("00112233445566778899aabbccddeeff"), mailbox.ID("0123456789abcdef01234567")
	entry := account.Entry{Account: account.Account{ID: u, Name: "anna", Quota: account.Quota{Bytes: 5, Messages: -1}, Created: time.Unix(99, 0).UTC(), Disabled: true}, Hash: "$argon2id$x"}
	image := mailstore.Image{ModSeq: 1 << 40, UIDValidity: 77, Quota: mailstore.Quota{Bytes: 1}, Subscriptions: []string{"a", "ü"},
		Lineage: mailstore.Lineage{{Slot: "A", UpTo: 5}, {Slot: "B", UpTo: 9}}, Retired: []mailstore.Retired{{Name: "x", UIDValidity: 3, Holder: id}},
		Seen: []mailstore.Tenure{{Slot: "C", UpTo: 4}, {Slot: "D", UpTo: 8}}}
	box := mailstore.BoxImage{State: mailbox.State{ID: id, Name: "INBOX", UIDValidity: 4, UIDNext: 1<<32 - 1, HighestModSeq: 7, CreatedModSeq: 2,
		Counts: mailbox.Counts{Exists: 1, Unseen: 2, Deleted: 3, Size: 4}, Checksum: mailbox.Checksum{A: 1 << 63, B: 2}, SpecialUse: `\Sent`},
		Horizon: 1, Recent: 2, Settings: []mailstore.Setting{{Name: "expire", Value: "never"}}, Made: mailstore.Dot{Slot: "C", ModSeq: 3}, Named: mailstore.Dot{ModSeq: 4}}
	record := mailstore.Entry{Record: mailbox.Record{UID: 9, GUID: mailbox.GUID{1, 2}, Size: 3, ModSeq: 4, CreatedModSeq: 5,
		Flags: mailbox.MakeFlags(`\Seen`, "Key"), InternalDate: mailbox.Date{Unix: -1, Zone: -300}, SentDate: mailbox.Date{Unix: 8, Zone: 60}, SaveDate: 9, Expunged: true}, Thread: mailstore.ThreadKey{7}}
	merged := record
	merged.Provenance = mailstore.Provenance{Made: mailstore.Dot{Slot: "B", ModSeq: 2}, UID: 7, Changed: mailstore.Dot{Slot: "C", ModSeq: 3}}
	change := mailstore.BoxChange{ID: id, Entries: []mailstore.Entry{record, merged}, Drop: mailbox.UIDRange(3, 9), Whole: true}
	guids := []mailbox.GUID{{1}, {2}}
	var e encoder
	e.digest(&userDigest{user: u, account: [32]byte{1}, mail: mailstore.Digest{2}})
	out := []*frame{
		(&hello{1, 2, "store", "slot"}).frame(), (&welcome{1, "slot", true}).frame(), userFrame(u),
		(&stateHead{known: true, account: entry, mail: true, image: image}).frame(), (&stateHead{}).frame(),
		guidsFrame(kindOffer, u, guids), guidsFrame(kindLacking, u, nil),
		(&begin{account: entry, expect: mailstore.Digest{3}}).frame(), (&begin{account: entry}).frame(),
		headFrame(&messageHead{guid: guids[0], size: 70, thread: mailstore.ThreadKey{1}, mailbox: id, uid: 3, validity: 4, date: record.InternalDate}),
		(&result{unequal, []mailbox.ID{id}, "text"}).frame(), {kindDigest, e.b},
	}
	var i encoder
	i.image(&image)
	out = append(out, &frame{kindImage, i.b})
	out = append(out, handed{id: "0123456789abcdef0123456789abcdef"}.frame(), handed{}.frame())
	out = append(out, restFrames(&image)...)
	out = append(out, boxFrames([]mailstore.BoxImage{box, box})...)
	return slices.AppendSeq(out, recordFrames(&change))
}

// again reads a frame and writes what it says: nil if it cannot be read.
func again(f *frame) *frame {
	var out *frame
	read := func(fn func(d *decoder) *frame) {
		d := &decoder{b: f.body}
		if g := fn(d); d.end() == nil {
			out = g
		}
	}
	switch f.kind {
	case kindHello:
		read(func(d *decoder) *frame { var h hello; h.parse(d); return h.frame() })
	case kindWelcome:
		read(func(d *decoder) *frame { var w welcome; w.parse(d); return w.frame() })
	case kindUser:
		read(func(d *decoder) *frame { return userFrame(d.user()) })
	case kindState:
		read(func(d *decoder) *frame { var s stateHead; s.parse(d); return s.frame() })
	case kindBoxes:
		read(func(d *decoder) *frame {
			var e encoder
			for _, b := range d.boxes() {
				e.box(&b)
			}
			return &frame{kindBoxes, e.b}
		})
	case kindHanded:
		read(func(d *decoder) *frame { h := handed{}; h.parse(d); return h.frame() })
	case kindOffer, kindLacking:
		read(func(d *decoder) *frame { u := d.user(); return guidsFrame(f.kind, u, d.guids()) })
	case kindBegin:
		read(func(d *decoder) *frame { var b begin; b.parse(d); return b.frame() })
	case kindMessage:
		read(func(d *decoder) *frame { var m messageHead; m.parse(d); return headFrame(&m) })
	case kindImage:
		read(func(d *decoder) *frame { i := d.image(); var e encoder; e.image(&i); return &frame{kindImage, e.b} })
	case kindRest:
		read(func(d *decoder) *frame {
			var i mailstore.Image
			d.rest(&i)
			if all := restFrames(&i); len(all) > 0 {
				return all[0]
			}
			return &frame{kind: kindRest}
		})
	case kindRecords:
		read(func(d *decoder) *frame {
			c := d.records()
			var e encoder
			e.string(string(c.ID))
			e.bool(c.Whole)
			e.uids(c.Drop)
			for i := range c.Entries {
				e.entry(&c.Entries[i])
			}
			return &frame{kindRecords, e.b}
		})
	case kindResult:
		read(func(d *decoder) *frame { var r result; r.parse(d); return r.frame() })
	case kindDigest:
		read(func(d *decoder) *frame {
			var e encoder
			for _, one := range d.digests() {
				e.digest(&one)
			}
			return &frame{kindDigest, e.b}
		})
	}
	return out
}

func TestFramesAreReadAsTheyWereWritten(t *testing.T) {
	for _, f := range samples() {
		g := again(f)
		if g == nil || !bytes.Equal(f.body, g.body) {
			t.Errorf("kind %d: %x is read as %x", f.kind, f.body, g)
		}
		for n := range f.body { // cut off anywhere, it is no frame, or another
			if short := again(&frame{f.kind, f.body[:n]}); short != nil && bytes.Equal(short.body, f.body) {
				t.Errorf("kind %d cut to %d octets is read as whole", f.kind, n)
			}
		}
	}
}

// TestRecordFramesArePutTogether: many records come in several frames of bounded size.
func TestRecordFramesArePutTogether(t *testing.T) {
	c := mailstore.BoxChange{ID: "0123456789abcdef01234567", Drop: mailbox.UIDRange(1, 2)}
	for i := range 9000 {
		c.Entries = append(c.Entries, mailstore.Entry{Record: mailbox.Record{UID: mailbox.UID(i + 1), Flags: mailbox.MakeFlags("Some", "Keywords")}})
	}
	to := takeover{records: map[mailbox.ID]int{}}
	frames := slices.Collect(recordFrames(&c))
	if len(frames) < 3 {
		t.Fatalf("%d frames", len(frames))
	}
	for _, f := range frames {
		if len(f.body) >= maxFrame {
			t.Fatalf("a frame of %d octets", len(f.body))
		}
		if err := to.take(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if got := to.change.Boxes; len(got) != 1 || !reflect.DeepEqual(got[0], c) {
		t.Fatalf("put together: %d mailboxes", len(got))
	}
}

// TestLongImagesComeInSeveralFrames: more subscriptions than a frame holds arrive all, and in order.
func TestLongImagesComeInSeveralFrames(t *testing.T) {
	want := mailstore.Image{ModSeq: 7}
	for i := range 40_000 {
		want.Subscriptions = append(want.Subscriptions, fmt.Sprintf("a mailbox with a name that is not short, %d", i))
		want.Retired = append(want.Retired, mailstore.Retired{Name: "x", UIDValidity: mailbox.UIDValidity(i)})
	}
	var e encoder
	e.image(&want)
	to := takeover{records: map[mailbox.ID]int{}}
	frames := append([]*frame{{kindImage, e.b}}, imageFrames(&want)...)
	if len(frames) < 6 {
		t.Errorf("%d frames", len(frames))
	}
	for _, f := range frames {
		if len(f.body) >= maxFrame {
			t.Errorf("a frame of %d octets", len(f.body))
		}
		if err := to.take(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(to.change.Image, want) {
		t.Error("the image arrived as another")
	}
	if err := (&takeover{}).take(t.Context(), frames[1]); !errors.Is(err, ErrWire) {
		t.Errorf("a rest without its image: %v", err)
	}
}

// FuzzFrames: nothing that comes makes the decoder fault, and what it takes it writes
// as something that it reads alike.
func FuzzFrames(f *testing.F) {
	for _, s := range samples() {
		f.Add(byte(s.kind), s.body)
	}
	f.Fuzz(func(t *testing.T, k byte, body []byte) {
		g := again(&frame{kind(k), body})
		if g == nil {
			return
		}
		if h := again(g); h == nil || !bytes.Equal(g.body, h.body) {
			t.Fatalf("kind %d: %x was read, written as %x, and then as %x", k, body, g.body, h)
		}
	})
}

// headFrame is a frame of a message's head alone.
func headFrame(m *messageHead) *frame {
	var e encoder
	e.messageHead(m)
	return &frame{kindMessage, e.b}
}
