package message

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"teraslot/text"
)

// found reports which of the keys are met by Scan's units.
func found(t *testing.T, raw string, keys ...text.Key) []bool {
	t.Helper()
	hits := make([]bool, len(keys))
	err := Scan(t.Context(), strings.NewReader(raw), int64(len(raw)), func(u text.Unit) bool {
		for i, k := range keys {
			hits[i] = hits[i] || k.MatchUnit(u)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return hits
}

// TestScanHidesNothing looks for words behind every limit that there is on the
// structure of a message.
func TestScanHidesNothing(t *testing.T) {
	body := func(s string) text.Key { return text.NewKey(text.InBody, "", s) }
	header := func(name, s string) text.Key { return text.NewKey(text.InHeader, name, s) }
	const mixed = "Content-Type: multipart/mixed; boundary="
	big := strings.Repeat("h", 10<<20)
	long := "; a=" + strings.Repeat("v", 100<<10)
	multiparts := ""
	for i := range 300 {
		multiparts += fmt.Sprintf("%sb%d\n\n--b%d\n", mixed, i, i)
	}
	kept := mixed + "b\n\n"
	for i := range 200 {
		kept += fmt.Sprintf("--b\nContent-Type: text/plain; charset=koi8-r; name=n%d%s\n\n\xf0\xd2\xc9 part%d\n", i, long, i)
	}
	for _, c := range []struct {
		name, raw string
		keys      []text.Key
	}{
		{"a header of a million fields", strings.Repeat("X: y\n", 1_000_000) + "X-Last: lastone\n\nzbody\n",
			[]text.Key{header("X-Last", "lastone"), body("zbody"), header("X", "y")}},
		{"a field of 10 MB", "Subject: s\nX-Big: " + big + " hneedle\nX-Last: lastone\n\nzbody",
			[]text.Key{header("X-Big", "h hneedle"), header("X-Last", "lastone"), body("zbody"), header("subject", "s")}},
		{"a folded field of 10 MB", "X-Big: " + strings.Repeat("hay\n stack\n\t", 1<<20) + "hneedle\nX-Last: lastone\n\nzbody",
			[]text.Key{header("X-Big", "stack hneedle"), header("X-Last", "lastone"), body("zbody")}},
		{"a line of 10 MB that is no field", "A: b\n" + big + " hneedle\nX-Last: lastone\n\nzbody",
			[]text.Key{body("h hneedle"), header("X-Last", "lastone"), body("zbody")}},
		{"the header of a message in it", "Content-Type: message/rfc822\n\n" + strings.Repeat("X: y\n", 1_000_000) + "X-Last: lastone\n\nzbody\n",
			[]text.Key{body("X-Last: lastone"), body("zbody")}},
		{"5,000 messages", strings.Repeat("Subject: level\nContent-Type: message/rfc822\n\n", 5000) + "\ndeepword2", []text.Key{body("deepword2"), body("level")}},
		{"300 multiparts", multiparts + "\ndeepword\n--b0\n\nshallow\n--b0--", []text.Key{body("deepword"), body("shallow")}},
		{"often encoded", encodedMessages(maxEncodedMessages + 3), []text.Key{body("innermost"), body("deepest=3D3D word")}},
		{"as often as is followed", encodedMessages(maxEncodedMessages), []text.Key{body("innermost"), body("deepest= word")}},
		{"100,000 parts", mixed + "b\n\n" + strings.Repeat("--b\n\nx\n", 100_000) +
			"--b\nContent-Transfer-Encoding: base64\n\nemJvZHk=\n--b\nContent-Type: message/rfc822\n\nSubject: inner\n\nx\n--b--\nepilogue",
			[]text.Key{body("zbody"), body("Subject: inner")}},
		{"100,000 parts, the last not text", mixed + "b\n\n" + strings.Repeat("--b\nContent-Type: image/png\n\nx\n", 100_000) + "--b\n\nzbody\n--b--", []text.Key{body("zbody")}},
		{"parts with long headers", kept + "--b--", []text.Key{body("при part0"), body("при part199"), body("n199")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			for i, hit := range found(t, c.raw, c.keys...) {
				if !hit {
					t.Errorf("%v is not found", c.keys[i])
				}
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	raw := mixed + "b\n\n" + strings.Repeat("--b\n\nx\n", 20_000) + "--b--\nepilogue"
	if found(t, raw, body("epilogue"))[0] {
		t.Error("the epilogue of many parts is found")
	}
}

// TestScanMemory holds units without number against what is alive at any time.
func TestScanMemory(t *testing.T) {
	const limit = 48 << 20
	for name, raw := range map[string]string{
		"fields": strings.Repeat("X: y\n", 1_500_000),
		"parts":  "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 600_000),
		"names":  "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\nContent-Type: a/b; name="+strings.Repeat("n", 10_000)+"\n\n", 2_000),
	} {
		t.Run(name, func(t *testing.T) {
			var before, now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			units, most := 0, uint64(0)
			err := Scan(t.Context(), strings.NewReader(raw), int64(len(raw)), func(text.Unit) bool {
				if units++; units%(1<<19) == 0 || units == 1999 {
					runtime.GC()
					runtime.ReadMemStats(&now)
					most = max(most, now.HeapAlloc)
				}
				return true
			})
			if err != nil || most == 0 || most > before.HeapAlloc+limit {
				t.Errorf("%v, %d units, %d MB alive", err, units, int64(most-before.HeapAlloc)>>20)
			}
		})
	}
}

// TestStretches takes messages apart in stretches of any length, and expects the
// same units as of the whole.
func TestStretches(t *testing.T) {
	units := func(t *rapid.T, raw string, parts int) (out []text.Unit) {
		x := extractor{ctx: t.Context(), parts: parts, left: 1 << 30, yield: func(u text.Unit) bool {
			out = append(out, u)
			return true
		}}
		if err := x.run(strings.NewReader(raw), int64(len(raw))); err != nil {
			t.Fatal(err)
		}
		return out
	}
	line := rapid.SampledFrom([]string{"--a", "--b", "--a--", "--b--", "", "text", "rubbish", " folded", "Subject: s",
		"Content-Type: multipart/mixed; boundary=a", "Content-Type: multipart/digest; boundary=b", "Content-Type: multipart/mixed; boundary=c; name=n",
		"Content-Type: message/rfc822", "Content-Description: d", "--c", "Content-Transfer-Encoding: base64", "U3ViamVjdDogeAoKdGV4dAo="})
	rapid.Check(t, func(t *rapid.T) {
		raw := strings.Join(rapid.SliceOfN(line, 1, 60).Draw(t, "lines"), rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end"))
		if rapid.Bool().Draw(t, "multipart") {
			raw = "Content-Type: multipart/mixed; boundary=a\n\n" + raw
		}
		want := units(t, raw, maxParts)
		for most := 1; most < 5; most++ {
			if got := units(t, raw, most); !slices.Equal(got, want) {
				t.Fatalf("%q by %d parts\ngot  %q\nwant %q", raw, most, got, want)
			}
		}
	})
}

// TestEachField reads headers through buffers of any length, and expects the fields
// of the whole.
func TestEachField(t *testing.T) {
	line := rapid.SampledFrom([]string{"A: b\n", "From x y\n", ">From x\n", " fold\r\n", "\tfold\n", "rubbish\n", "B : c\r\n", "\r", "\n", "\r\n", "C:\n", "no end", "From: x\n"})
	rapid.Check(t, func(t *rapid.T) {
		header := strings.Join(rapid.SliceOfN(line, 0, 12).Draw(t, "lines"), "")
		var want, got []string
		for f := range fields([]byte(header)) {
			want = append(want, fmt.Sprintf("%q %q %q", f.name, f.value, f.raw))
		}
		h := fieldReader{r: strings.NewReader(header), end: int64(len(header)), buf: make([]byte, 0, rapid.IntRange(1, 20).Draw(t, "buffer"))}
		err := h.each(t.Context(), func(f field) bool {
			got = append(got, fmt.Sprintf("%q %q %q", f.name, f.value, f.raw))
			return true
		})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q: %v\ngot  %s\nwant %s", header, err, got, want)
		}
	})
}

// TestScanStops ends a scan by yield, by its context, and by a reader that fails.
func TestScanStops(t *testing.T) {
	raw := "A: b\nC: d\n" + "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b--"
	all, err := Extract(t.Context(), strings.NewReader(raw), int64(len(raw)), Limits{})
	if err != nil || len(all.Units) != 5 {
		t.Fatalf("%d units, %v", len(all.Units), err)
	}
	for n := range all.Units {
		var got []text.Unit
		err := Scan(t.Context(), strings.NewReader(raw), int64(len(raw)), func(u text.Unit) bool {
			got = append(got, u)
			return len(got) <= n
		})
		if err != nil || !reflect.DeepEqual(got, all.Units[:n+1]) {
			t.Errorf("stopped behind %d: %v, %q", n, err, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	many := []byte(strings.Repeat("A: b\n", 100_000))
	seen := 0
	err = Scan(ctx, bytes.NewReader(many), int64(len(many)), func(text.Unit) bool {
		seen++
		cancel()
		return true
	})
	if !errors.Is(err, context.Canceled) || seen > 2*fieldBuffer {
		t.Errorf("cancelled: %v behind %d units", err, seen)
	}
	if err := Scan(t.Context(), strings.NewReader(raw), int64(len(raw))+1, func(text.Unit) bool { return true }); err == nil {
		t.Error("a message that is too short is scanned")
	}
}
