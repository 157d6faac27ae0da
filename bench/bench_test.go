package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"teraslot/bench/corpus"
	"teraslot/bench/queries"
	"teraslot/disk"
)

func TestDurations(t *testing.T) {
	var hundred durations
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i))
	}
	tests := []struct {
		of   durations
		q    float64
		want time.Duration
	}{
		{nil, 0.5, 0},
		{durations{7}, 0, 7}, {durations{7}, 0.99, 7}, {durations{7}, 1, 7},
		{durations{3, 1, 2}, 0.5, 2}, {durations{4, 1, 2, 3}, 0.5, 2},
		{hundred, 0, 1}, {hundred, 0.5, 50}, {hundred, 0.99, 99}, {hundred, 0.991, 100}, {hundred, 1, 100},
	}
	for _, tt := range tests {
		if got := tt.of.at(tt.q); got != tt.want {
			t.Errorf("%v of %v: %v, want %v", tt.q, tt.of, got, tt.want)
		}
	}
	if hundred[0] != 100 {
		t.Error("the times were put in another order")
	}
}

// TestQuantiles: so many of the times are at most the quantile, and it is one of them.
func TestQuantiles(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var d durations
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 50), 1, 60).Draw(r, "times") {
			d = append(d, time.Duration(n))
		}
		q := rapid.Float64Range(0, 1).Draw(r, "q")
		got, below, upTo := d.at(q), 0, 0
		for _, v := range d {
			if v < got {
				below++
			}
			if v <= got {
				upTo++
			}
		}
		if upTo == below || float64(upTo) < q*float64(len(d))-1e-9 || below > 0 && float64(below) > q*float64(len(d)) {
			r.Errorf("%v of %v: %v has %d below and %d up to it", q, d, got, below, upTo)
		}
	})
}

func TestRatio(t *testing.T) {
	for _, tt := range []struct {
		a, b float64
		want string
	}{{1, 2, "2.00×"}, {2, 1, "0.50×"}, {1, 12.34, "12.3×"}, {1, 340, "340×"}, {0, 1, ""}, {1, 0, ""}} {
		if got := ratio(tt.a, tt.b); got != tt.want {
			t.Errorf("%v of %v: %q, want %q", tt.b, tt.a, got, tt.want)
		}
	}
}

func TestPerEach(t *testing.T) {
	for _, tt := range []struct {
		cpu  time.Duration
		n    int
		want string
	}{{time.Second, 100, "10.0 ms"}, {time.Second, 0, ""}, {0, 5, ""}} {
		if got := perEach(tt.cpu, tt.n); got != tt.want {
			t.Errorf("%v for %d: %q, want %q", tt.cpu, tt.n, got, tt.want)
		}
	}
}

// TestProcessOf: this process is of the session that the kernel says, which is 0 where its leader
// lives outside a container; no process has the number 0.
func TestProcessOf(t *testing.T) {
	session, err := unix.Getsid(0)
	if err != nil {
		t.Fatal(err)
	}
	one, ok := processOf(os.Getpid())
	if !ok || one.session != session || one.used < 0 || one.used > time.Hour {
		t.Errorf("%+v, %v", one, ok)
	}
	if one, ok := processOf(0); ok {
		t.Errorf("%+v", one)
	}
}

func TestMillis(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0.000 ms", 54 * time.Microsecond: "0.054 ms", 1234 * time.Microsecond: "1.23 ms", 12345 * time.Microsecond: "12.3 ms", time.Second: "1000 ms"} {
		if got := millis(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// TestTable prints the same figures as text, whose columns stand one below the other,
// and as Markdown, whose rows have as many cells as its head.
func TestTable(t *testing.T) {
	print := func(markdown bool) []string {
		var out bytes.Buffer
		b := &bench{table: &table{out: &out, markdown: markdown, peer: "cyrus"}}
		b.table.begin("x: y")
		b.timed("BODY, ½ a word", durations{time.Millisecond, 3 * time.Millisecond, 2 * time.Millisecond}, durations{340 * time.Millisecond}, figure{hits: "7", equal: "3/3", wanted: "1 ms"})
		b.rate("index", work{3200, time.Second}, work{320, time.Second}, "3200/s")
		b.rate("alone", work{10, time.Second}, work{}, "")
		b.timed("their own", nil, durations{time.Second}, figure{})
		return strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	}
	text := print(false)
	if text = text[1:]; len(text) != 6 || text[0] != "## x: y" || !strings.Contains(text[1], "cyrus") {
		t.Fatalf("%q", text)
	}
	text = text[1:]
	for i, want := range []string{"2.00 ms  3.00 ms  3.00 ms             340 ms   340 ms             170×      3         7         3/3                 1 ms", "3200/s", "10/s"} {
		if !strings.Contains(text[1+i], want) {
			t.Errorf("%q has no %q", text[1+i], want)
		}
	}
	if !strings.Contains(text[2], "10.0×") || strings.Contains(text[3], "×") || strings.Contains(text[4], "×") {
		t.Errorf("ratios: %q", text)
	}
	end := func(s, cell string) int { return len([]rune(s[:strings.Index(s, cell)+len(cell)])) }
	if end(text[0], "ours") != end(text[1], "2.00 ms") || end(text[0], "cyrus") != end(text[2], "320/s") {
		t.Errorf("columns:\n%s", strings.Join(text, "\n"))
	}
	cells := 0
	for _, line := range print(true) {
		if n := strings.Count(line, "|"); strings.HasPrefix(line, "|") {
			if cells == 0 {
				cells = n
			}
			if n != cells {
				t.Errorf("%d cells, the head has %d: %s", n, cells, line)
			}
		}
	}
	if cells != len(widths)+2 || len(widths) != len(figure{}.cells()) {
		t.Errorf("%d cells, %d widths", cells, len(widths))
	}
}

func TestFound(t *testing.T) {
	for in, want := range map[string][]uint32{
		"":                  nil,
		"* SEARCH\r\n":      nil,
		"* SEARCH 1 22\r\n": {1, 22},
		"* 3 EXISTS\r\n* SEARCH 5\r\n* SEARCH 6\r\n": {5, 6},
		"* SEARCH 4294967296 7 (MODSEQ 9)\r\n":       {7},
	} {
		if got := found([]byte(in)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

func TestEqual(t *testing.T) {
	one, two := queries.Answer{Hits: 1, Sum: 1}, queries.Answer{Hits: 1, Sum: 2}
	a := asked{answers: []queries.Answer{one, two}, times: durations{1, 2}}
	for want, oracle := range map[string][]queries.Answer{"": nil, "2/2": {one, two}, "1/2": {one, one, one}, "0/2": {two, one}} {
		if got := a.equal(oracle); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if a.hits() != 2 || (asked{}).equal([]queries.Answer{one}) != "" {
		t.Errorf("%d hits", a.hits())
	}
}

func TestSlowest(t *testing.T) {
	list := []queries.Query{{Keys: []queries.Key{{Scope: queries.Body, Value: "a"}}}, {Keys: []queries.Key{{Scope: queries.Body, Value: "b"}}}, {}}
	if got := slowest(list, durations{time.Millisecond, 2 * time.Millisecond}, 5); !slices.Equal(got, []string{`2.00 ms BODY "b"`, `1.00 ms BODY "a"`}) {
		t.Errorf("%q", got)
	}
}

// TestTurns: all queries of all kinds, none twice, the kinds by turns.
func TestTurns(t *testing.T) {
	q := func(kind queries.Kind, n int) (list []queries.Query) {
		for i := range n {
			list = append(list, queries.Query{Kind: kind, Smaller: i + 1})
		}
		return list
	}
	got := turns(drawn{lists: map[queries.Kind][]queries.Query{queries.Word: q(queries.Word, 1), queries.Title: q(queries.Title, 3)}})
	var kinds []string
	for _, q := range got {
		kinds = append(kinds, fmt.Sprint(q.Kind, q.Smaller))
	}
	if want := []string{"BODY, a word1", "SUBJECT, a word1", "SUBJECT, a word2", "SUBJECT, a word3"}; !slices.Equal(kinds, want) {
		t.Errorf("%q", kinds)
	}
}

// TestPaced: calls begin at their time, and one that is held up delays those behind it
// in its line: their times say so.
func TestPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		begun := map[int]time.Duration{}
		start := time.Now()
		late, times := (&bench{}).paced(10, 10, 2, func(line, i int) {
			mu.Lock()
			begun[i] = time.Since(start)
			mu.Unlock()
			if i%2 != line {
				t.Errorf("call %d in line %d", i, line)
			}
			if i == 2 {
				time.Sleep(500 * time.Millisecond)
			}
		})
		for i, want := range []time.Duration{0, 100, 200, 300, 700, 500, 700, 700, 800, 900} {
			if begun[i] != want*time.Millisecond {
				t.Errorf("call %d began at %v, want %v ms", i, begun[i], int(want))
			}
		}
		if times[2] != 500*time.Millisecond || times[4] != 300*time.Millisecond || times[5] != 0 || late != 1 {
			t.Errorf("late %d, times %v", late, times)
		}
	})
}

// TestTimedLocks: only exclusive holders of index.lock are timed, from the first try at
// the gate on.
func TestTimedLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		locks := &timedLocks{FS: disk.NewMemory()}
		try := func(name string, mode disk.LockMode) io.Closer {
			c, err := locks.TryLock("/"+name, mode)
			if errors.Is(err, disk.ErrLocked) {
				return nil
			}
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		reader := try("index.lock", disk.Shared)
		gate := try("index.gate", disk.Exclusive)
		if try("index.lock", disk.Exclusive) != nil {
			t.Fatal("two hold it")
		}
		time.Sleep(30 * time.Millisecond)
		reader.Close()
		held := try("index.lock", disk.Exclusive)
		gate.Close()
		time.Sleep(4 * time.Millisecond)
		held.Close()
		try("index.write", disk.Exclusive).Close()
		if !slices.Equal(locks.waited, durations{30 * time.Millisecond}) || !slices.Equal(locks.held, durations{4 * time.Millisecond}) {
			t.Errorf("waited %v, held %v", locks.waited, locks.held)
		}
	})
}

func message(name, text string) corpus.Message { return corpus.Message{Name: name, Raw: []byte(text)} }

// TestClean: what no server takes is left out, before the limit counts.
func TestClean(t *testing.T) {
	b := &bench{o: options{limit: 2}}
	all := of("x", []corpus.Message{message("blank", " \r\n"), message("nul", "a\x00b"), message("a", "A: 1"), message("b", "B: 2\r\n"), message("c", "C: 3\r\n")})
	var got []string
	for m, err := range b.clean(all.all) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(m.Raw))
	}
	if !slices.Equal(got, []string{"A: 1\r\n", "B: 2\r\n"}) {
		t.Errorf("%q", got)
	}
	failing := func(yield func(corpus.Message, error) bool) {
		_ = yield(corpus.Message{}, io.ErrUnexpectedEOF) && yield(message("a", "A: 1\r\n"), nil)
	}
	n := 0
	for _, err := range b.clean(failing) {
		if n++; !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d items", n)
	}
}

// TestSources: synthetic mail where N asks for it, a directory of messages otherwise; each
// can be read twice.
func TestSources(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"1": "A: 1\n", "2": "B: 2\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		o    options
		name string
		n    int
	}{{options{corpus: dir}, filepath.Base(dir), 2}, {options{corpus: dir, count: 5, seed: 1}, "synthetic, 5 messages", 5}} {
		b := &bench{o: tt.o}
		src := b.first()
		first, second := b.held(src), b.held(src)
		if src.name != tt.name || len(first) != tt.n || len(second) != tt.n || !bytes.Equal(first[1].Raw, second[1].Raw) {
			t.Errorf("%+v: %q, %d and %d messages", tt.o, src.name, len(first), len(second))
		}
	}
}

func TestAfter(t *testing.T) {
	mail := []corpus.Message{message("1", "a"), message("2", "b"), message("3", "c")}
	for n, want := range map[int]string{0: "123", 2: "3", 3: "", 9: ""} {
		got := ""
		for m := range after(of("x", mail).all, n) {
			got += m.Name
		}
		if got != want {
			t.Errorf("after %d: %q, want %q", n, got, want)
		}
	}
}

func TestWorkloadsAreNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range slices.Concat(workloads, extra) {
		if w.name == "" || w.what == "" || w.run == nil || seen[w.name] {
			t.Errorf("%+v", w.name)
		}
		seen[w.name] = true
	}
}

// TestPut asks a server of two lines: answers are taken apart, what is refused is counted, and
// a budget that is used up ends it.
func TestPut(t *testing.T) {
	replies := map[string]string{"a": "* SEARCH 3 1\r\n", "b": "* SEARCH\r\n", "c": ""}
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		for r := bufio.NewReader(far); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			tag, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			word := strings.Trim(rest[strings.LastIndexByte(rest, ' ')+1:], `"`)
			status := "OK"
			if word == "c" {
				status = "NO"
			}
			if _, err := fmt.Fprintf(far, "%s%s %s done\r\n", replies[word], tag, status); err != nil {
				return
			}
		}
	}()
	c := &client{b: &bench{}, conn: near}
	var list []queries.Query
	for _, word := range []string{"a", "b", "c"} {
		list = append(list, queries.Query{Keys: []queries.Key{{Scope: queries.Body, Value: word}}})
	}
	got := put(c, list, time.Hour, places)
	var want queries.Answer
	want.Add(0)
	want.Add(2)
	if len(got.times) != 3 || got.refused != 1 || got.hits() != 2 || got.answers[0] != want || got.answers[1] != (queries.Answer{}) {
		t.Errorf("%+v", got)
	}
	if got := put(c, list, -1, places); len(got.times) != 0 {
		t.Errorf("without a budget: %+v", got)
	}
	if got := put(nil, list, time.Hour, places); len(got.times) != 0 || got.equal(make([]queries.Answer, 3)) != "" {
		t.Errorf("without a server: %+v", got)
	}
}

// TestWriteMbox: a file has a chunk at most and the next one goes on; nothing is left out.
func TestWriteMbox(t *testing.T) {
	b := &bench{table: &table{out: io.Discard}}
	mail := make([]corpus.Message, chunk+3)
	for i := range mail {
		mail[i] = message(fmt.Sprint(i), "A: 1\r\n")
	}
	next, stop := iter.Pull2(of("x", mail).all)
	defer stop()
	path := filepath.Join(t.TempDir(), "mbox")
	for _, want := range []int{chunk, 3, 0} {
		n, octets := b.writeMbox(path, next)
		if n != want || octets != int64(6*want) {
			t.Errorf("%d messages, %d octets, want %d", n, octets, want)
		}
		got := 0
		for m, err := range corpus.Open(path) {
			if err != nil {
				t.Fatal(err)
			}
			if got++; len(m.Raw) != 6 && want > 0 {
				t.Fatalf("%q", m.Raw)
			}
		}
		if want > 0 && got != want {
			t.Errorf("%d messages in the file, want %d", got, want)
		}
	}
}

// TestPlaces: the peer's UIDs are told apart from those of none of the corpus.
func TestPlaces(t *testing.T) {
	p := &peer{}
	p.remember(2, 0)
	p.remember(5, 1)
	for uid, want := range map[uint32]int{0: -1, 1: -1, 2: 0, 4: -1, 5: 1, 6: -1} {
		if got := p.place(uid); got != want {
			t.Errorf("UID %d: %d, want %d", uid, got, want)
		}
	}
}

// TestMemoryAndFiles: sizes below a directory, dropped pages still readable.
func TestMemoryAndFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"x": "1234", "a/y": "12"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := &bench{}
	var total int64
	b.each(dir, func(_ string, size int64) { total += size })
	b.forget(dir)
	if text, err := os.ReadFile(filepath.Join(dir, "x")); total != 6 || err != nil || string(text) != "1234" {
		t.Errorf("%d octets; %q, %v", total, text, err)
	}
}

// TestCleanups run once, the last first.
func TestCleanups(t *testing.T) {
	b := &bench{}
	var order []int
	for i := range 3 {
		b.Cleanup(func() { order = append(order, i) })
	}
	b.close()
	b.close()
	if !slices.Equal(order, []int{2, 1, 0}) {
		t.Errorf("%v", order)
	}
}
