package synthetic

import (
	"bytes"
	"context"
	"iter"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"teraslot/bench/corpus"
	"teraslot/message"
	"teraslot/text"
)

// growth counts distinct words against words read, in text.Tokens, of the first
// messages: at each point of read (rising), how many were distinct.
type growth struct {
	words    int
	distinct map[string]bool
	read     []int
	at       []int
}

func (g *growth) add(word string) {
	g.words++
	g.distinct[word] = true
	if len(g.at) < len(g.read) && g.words == g.read[len(g.at)] {
		g.at = append(g.at, len(g.distinct))
	}
}

// kernel is the kernel list's growth in the order of its archive, as
// TestKernelGrowth measures it: words read, distinct words.
var kernel = struct{ body, header [][2]int }{
	body:   [][2]int{{400_000, 7182}, {800_000, 11352}, {1_600_000, 16744}, {3_200_000, 27255}, {6_400_000, 45559}, {11_500_000, 67233}},
	header: [][2]int{{400_000, 29597}, {800_000, 55816}, {1_600_000, 106265}, {3_200_000, 201766}, {6_400_000, 376310}, {12_000_000, 696109}},
}

func points(table [][2]int) (read []int) {
	for _, p := range table {
		read = append(read, p[0])
	}
	return read
}

// measure reads messages until both growths are complete, or there are no more.
func measure(t *testing.T, mail iter.Seq[[]byte], body, header *growth) (messages, octets int) {
	t.Helper()
	for raw := range mail {
		messages, octets = messages+1, octets+len(raw)
		err := message.Scan(context.Background(), bytes.NewReader(raw), int64(len(raw)), func(u text.Unit) bool {
			to, prefix := body, ""
			if u.Kind == text.Header {
				to, prefix = header, u.Name
			}
			for word := range text.Tokens(u.Value()) {
				to.add(prefix + word)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(body.at) == len(body.read) && len(header.at) == len(header.read) {
			break
		}
	}
	return messages, octets
}

func raws(count int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for m := range Messages(Options{Seed: 1, Count: count}) {
			if !yield(m.Raw) {
				return
			}
		}
	}
}

// TestGrowsLikeTheKernelList: COUNT is the number of points compared; 3 by default.
func TestGrowsLikeTheKernelList(t *testing.T) {
	n := 3
	if count, err := strconv.Atoi(os.Getenv("COUNT")); err == nil {
		n = min(max(count, n), len(kernel.body))
	}
	body := &growth{distinct: map[string]bool{}, read: points(kernel.body[:n])}
	header := &growth{distinct: map[string]bool{}, read: points(kernel.header[:n])}
	messages, octets := measure(t, raws(40_000), body, header)
	compare(t, "bodies", body, kernel.body[:n])
	compare(t, "headers", header, kernel.header[:n])
	if mean := octets / messages; mean < 5000 || mean > 9000 {
		t.Errorf("%d octets a message; the kernel list's have 7,018", mean)
	}
	t.Logf("%d messages, %d octets each, %d and %d words each", messages, octets/messages, body.words/messages, header.words/messages)
}

func compare(t *testing.T, what string, g *growth, want [][2]int) {
	t.Helper()
	if len(g.at) != len(want) {
		t.Fatalf("%s: %d words in all, want %d or more", what, g.words, want[len(want)-1][0])
	}
	for i, p := range want {
		off := float64(g.at[i])/float64(p[1]) - 1
		t.Logf("%s: of %8d words %6d are distinct, on the kernel list %6d: %+.0f %%", what, p[0], g.at[i], p[1], 100*off)
		if math.Abs(off) > 0.2 {
			t.Errorf("%s: of %d words %d are distinct, on the kernel list %d", what, p[0], g.at[i], p[1])
		}
	}
}

// TestKernelGrowth measures the figures above anew.
func TestKernelGrowth(t *testing.T) {
	few := len(kernel.body)
	if os.Getenv("COUNT") == "" {
		few = 2 // of 105 MB
	}
	var mail [][]byte
	for _, m := range corpus.Messages(t, "kernel-list") {
		mail = append(mail, m.Raw)
	}
	body := &growth{distinct: map[string]bool{}, read: points(kernel.body[:few])}
	header := &growth{distinct: map[string]bool{}, read: points(kernel.header[:few])}
	measure(t, slices.Values(mail), body, header)
	for _, c := range []struct {
		g    *growth
		want [][2]int
	}{{body, kernel.body[:few]}, {header, kernel.header[:few]}} {
		for i, p := range c.want {
			// The table was read off at ends of messages.
			if i >= len(c.g.at) || math.Abs(float64(c.g.at[i])/float64(p[1])-1) > 0.02 {
				t.Errorf("of %d words %v are distinct, the table has %d", p[0], c.g.at, p[1])
			}
		}
	}
}
