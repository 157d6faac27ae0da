package mailbox

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDate(t *testing.T) {
	zone := func(h, m int) *time.Location { return time.FixedZone("", h*3600+m*60) }
	for _, c := range []struct {
		t    time.Time
		want Date
		day  string
	}{
		{time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), Date{0, 0}, "1970-01-01"},
		{time.Date(1970, 1, 1, 0, 30, 0, 0, zone(1, 0)), Date{-1800, 60}, "1970-01-01"},
		{time.Date(1969, 12, 31, 23, 0, 0, 0, zone(-2, 0)), Date{3600, -120}, "1969-12-31"},
		{time.Date(2024, 2, 29, 23, 59, 59, 999, zone(14, 0)), Date{1709200799, 840}, "2024-02-29"},
		{time.Date(2024, 3, 1, 0, 0, 0, 0, zone(-12, 0)), Date{1709294400, -720}, "2024-03-01"},
		{time.Date(2024, 3, 1, 1, 2, 3, 0, zone(5, 45)), Date{1709234223, 345}, "2024-03-01"},
		{time.Date(1900, 1, 1, 0, 0, 0, 0, zone(-23, -59)), Date{-2208902460, -1439}, "1900-01-01"},
	} {
		d := DateOf(c.t)
		if d != c.want {
			t.Errorf("%v is %v, want %v", c.t, d, c.want)
		}
		if got := d.Time(); got.Unix() != c.t.Unix() || got.Format("2006-01-02 -0700") != c.t.Format("2006-01-02 -0700") {
			t.Errorf("%v comes back as %v", c.t, got)
		}
		if got := time.Unix(int64(d.Day())*86400, 0).UTC().Format(time.DateOnly); got != c.day {
			t.Errorf("%v is on %s, want %s", c.t, got, c.day)
		}
	}
}

// TestDateZones: a zone with seconds, as before standard time, or one beyond what
// a date may have, must not come out as another moment.
func TestDateZones(t *testing.T) {
	for offset, want := range map[int]int16{53*60 + 28: 53, -(4*3600 + 56*60 + 2): -296, 100 * 3600: 1439, -100 * 3600: -1439, 60 * 70_000: 1439} {
		moment := time.Date(1880, 6, 1, 12, 0, 0, 0, time.FixedZone("LMT", offset))
		d := DateOf(moment)
		if d.Zone != want || d.Unix != moment.Unix() {
			t.Errorf("offset %d: %v, want zone %d", offset, d, want)
		}
	}
}

func TestDayAgainstTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Date{rapid.Int64Range(-1e11, 1e11).Draw(t, "unix"), rapid.Int16Range(-1439, 1439).Draw(t, "zone")}
		y, m, day := d.Time().Date()
		want := time.Date(y, m, day, 0, 0, 0, 0, time.UTC).Unix() / 86400
		if int64(d.Day()) != want {
			t.Fatalf("%v: day %d, want %d", d, d.Day(), want)
		}
		if DateOf(d.Time()) != d {
			t.Fatalf("%v comes back as %v", d, DateOf(d.Time()))
		}
	})
}

// TestExtremeDays: a date from a damaged header has a day nonetheless, on the
// right side of all others.
func TestExtremeDays(t *testing.T) {
	if d := (Date{math.MaxInt64, 1439}).Day(); d != math.MaxInt32 {
		t.Errorf("the last day is %d", d)
	}
	if d := (Date{math.MinInt64, -1439}).Day(); d != math.MinInt32 {
		t.Errorf("the first day is %d", d)
	}
}

var anyRecord = rapid.Custom(func(t *rapid.T) Record {
	return Record{
		UID:           anyUID.Draw(t, "uid"),
		Num:           rapid.Uint32().Draw(t, "num"),
		GUID:          GUIDOf([]byte{byte(rapid.IntRange(0, 3).Draw(t, "content"))}),
		Size:          rapid.Int64Range(0, 1<<40).Draw(t, "size"),
		ModSeq:        ModSeq(rapid.Uint64Range(1, 1<<62).Draw(t, "modseq")),
		CreatedModSeq: ModSeq(rapid.Uint64Range(1, 1<<62).Draw(t, "created")),
		Flags:         MakeFlags(anyNames.Draw(t, "flags")...),
		InternalDate:  Date{rapid.Int64().Draw(t, "date"), rapid.Int16().Draw(t, "zone")},
		SaveDate:      rapid.Int64().Draw(t, "saved"),
		Expunged:      rapid.Bool().Draw(t, "expunged"),
	}
})

func TestChecksumIsOrderFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOf(anyRecord).Draw(t, "records")
		order := rapid.Permutation(records).Draw(t, "order")
		var a, b Checksum
		for i := range records {
			a.Add(&records[i])
			b.Add(&order[i])
		}
		if a != b {
			t.Fatalf("%v in one order, %v in another", a, b)
		}
		for i := range order {
			a.Remove(&order[i])
		}
		if a != (Checksum{}) {
			t.Fatalf("with all records removed: %v", a)
		}
	})
}

// TestChecksumSees: each field that a client or replica sees makes a difference,
// and nothing else does.
func TestChecksumSees(t *testing.T) {
	base := Record{UID: 1, Num: 2, GUID: GUIDOf([]byte("x")), Size: 3, ModSeq: 4, CreatedModSeq: 5,
		Flags: MakeFlags(`\Seen`, "Work"), InternalDate: Date{6, 7}, SentDate: Date{8, 9}, SaveDate: 10}
	sum := func(r Record) (c Checksum) { c.Add(&r); return c }
	seen := map[Checksum]string{sum(base): "nothing"}
	for name, change := range map[string]func(*Record){
		"UID":           func(r *Record) { r.UID++ },
		"GUID":          func(r *Record) { r.GUID[31]++ },
		"Size":          func(r *Record) { r.Size++ },
		"ModSeq":        func(r *Record) { r.ModSeq++ },
		"CreatedModSeq": func(r *Record) { r.CreatedModSeq++ },
		"system flags":  func(r *Record) { r.Flags.System |= Deleted },
		"no keywords":   func(r *Record) { r.Flags.Keywords = "" },
		"keywords":      func(r *Record) { r.Flags = MakeFlags(`\Seen`, "Work", "Play") },
		"InternalDate":  func(r *Record) { r.InternalDate.Unix++ },
		"zone":          func(r *Record) { r.InternalDate.Zone++ },
		"SaveDate":      func(r *Record) { r.SaveDate++ },
		"expunged":      func(r *Record) { r.Expunged = true },
	} {
		r := base
		change(&r)
		if other, ok := seen[sum(r)]; ok {
			t.Errorf("a change of %s looks like a change of %s", name, other)
		}
		seen[sum(r)] = name
	}
	for name, change := range map[string]func(*Record){
		"Num, a slot's own":       func(r *Record) { r.Num++ },
		"SentDate, derived":       func(r *Record) { r.SentDate.Unix++ },
		"spelling of the keyword": func(r *Record) { r.Flags = MakeFlags("WORK", `\SEEN`) },
	} {
		r := base
		change(&r)
		if sum(r) != sum(base) {
			t.Errorf("%s makes a difference", name)
		}
	}
}

// TestChecksumIsStable: slots of one version must agree for ever. If this fails,
// checksumVersion has to rise.
func TestChecksumIsStable(t *testing.T) {
	r := Record{UID: 1, Num: 2, GUID: GUIDOf([]byte("x")), Size: 3, ModSeq: 4, CreatedModSeq: 5,
		Flags: MakeFlags(`\Seen`, "Work"), InternalDate: Date{6, -7}, SaveDate: 10}
	var c Checksum
	c.Add(&r)
	if want := (Checksum{0xbb12b0d8c4e07534, 0x13fa084a94320e06}); c != want {
		t.Errorf("%#x, want %#x", c, want)
	}
}
