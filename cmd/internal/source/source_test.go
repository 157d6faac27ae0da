package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// write makes files below a new directory; names that end in "/" are directories.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func items(t *testing.T, path string, o Options) []Item {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(s.Items(t.Context()))
}

func bodies(list []Item) []string {
	var out []string
	for _, it := range list {
		if it.Err != nil {
			out = append(out, it.Err.Error())
		} else {
			out = append(out, strings.ReplaceAll(string(it.Body), "\r\n", "\n"))
		}
	}
	return out
}

// told is what a test expects of an item: its text, or that it is refused.
func told(list []Item) map[string]string {
	out := make(map[string]string)
	for _, it := range list {
		switch {
		case errors.Is(it.Err, ErrNoFile):
			out[filepath.Base(it.Place)] = "no file"
		case it.Err != nil:
			out[filepath.Base(it.Place)] = it.Err.Error()
		default:
			out[filepath.Base(it.Place)] = it.Mailbox + "|" + strings.TrimSpace(string(it.Body))
		}
	}
	return out
}

// TestNameFile: a folder of an export is the mailbox that its file names; a name that no
// mailbox can have is an error with the file's, and nothing is guessed.
func TestNameFile(t *testing.T) {
	dir := write(t, map[string]string{"cur/1": "A: 1\n", ".Cut/cur/2": "A: 2\n", ".Cut/" + NameFile: "Work/Größe\n"})
	if got := told(items(t, dir, Options{})); !maps.Equal(got, map[string]string{"1": "|A: 1", "2": "Work/Größe|A: 2"}) {
		t.Errorf("%q", got)
	}
	for _, name := range []string{"", "\n", "a//b\n", "a\nb\n", "\xff\n", strings.Repeat("x", maxNameFile+1)} {
		dir := write(t, map[string]string{"cur/1": "A: 1\n", ".Cut/cur/2": "A: 2\n", ".Cut/" + NameFile: name})
		if _, _, err := maildirs(dir); !errors.Is(err, mailstore.ErrName) || !strings.Contains(err.Error(), NameFile) {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

// What is no regular file is read if it leads to one; else it is reported, and
// never opened: a pipe would be waited for.
func TestLinksAndOtherFiles(t *testing.T) {
	elsewhere := write(t, map[string]string{"letter": "A: linked\n", "folder/cur/5": "A: in a linked folder\n"})
	for name, c := range map[string]struct {
		files map[string]string
		below string
		want  map[string]string
	}{
		"maildir": {map[string]string{"cur/1:2,S": "A: 1\n", "new/": ""}, "cur",
			map[string]string{"1:2,S": "|A: 1", "2:2,S": "|A: linked", "3:2,S": "no file", "4": "no file", "6": "no file", ".Linked": "no file"}},
		"directory": {map[string]string{"in/1": "A: 1\n"}, "in",
			map[string]string{"1": "|A: 1", "2:2,S": "|A: linked", "3:2,S": "no file", "4": "no file", "6": "no file"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, c.files)
			for name, to := range map[string]string{c.below + "/2:2,S": filepath.Join(elsewhere, "letter"),
				c.below + "/3:2,S": filepath.Join(elsewhere, "nothing"), c.below + "/4": elsewhere, ".Linked": filepath.Join(elsewhere, "folder")} {
				if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			if err := syscall.Mkfifo(filepath.Join(dir, c.below, "6"), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := told(items(t, dir, Options{})); !maps.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(dir, link); err != nil {
				t.Fatal(err)
			}
			if got := told(items(t, link, Options{})); !maps.Equal(got, c.want) {
				t.Errorf("by a link: got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestMbox(t *testing.T) {
	const from = "From ada@example.org Mon Jan  6 10:20:30 2020\n"
	for _, c := range []struct {
		name string
		o    Options
		mbox string
		want []string
	}{
		{"two", Options{}, from + "A: 1\n\nx\n\n" + from + "B: 2\n\ny\n\n", []string{"A: 1\n\nx\n", "B: 2\n\ny\n"}},
		{"no empty line at the end", Options{}, from + "A: 1\n\nx\n", []string{"A: 1\n\nx\n"}},
		{"no line end at the end", Options{}, from + "A: 1\n\nx", []string{"A: 1\n\nx"}},
		{"CRLF", Options{}, strings.ReplaceAll(from+"A: 1\n\nx\n\n"+from+"B: 2\n\ny\n\n", "\n", "\r\n"), []string{"A: 1\n\nx\n", "B: 2\n\ny\n"}},
		{"quoted", Options{}, from + "A: 1\n\n>From x\n>>From y\n> From z\n", []string{"A: 1\n\nFrom x\n>From y\n> From z\n"}},
		{"quoted by mboxo", Options{Mboxo: true}, from + "A: 1\n\n>From x\n>>From y\n", []string{"A: 1\n\nFrom x\n>>From y\n"}},
		{"unquoted in text", Options{}, from + "A: 1\n\nx\n\nFrom here it is a mile.\n\n" + from + "B: 2\n\ny\n",
			[]string{"A: 1\n\nx\n\nFrom here it is a mile.\n", "B: 2\n\ny\n"}},
		{"a separator in the middle of a paragraph", Options{}, from + "A: 1\n\nx\n" + from, []string{"A: 1\n\nx\n" + from}},
		{"header only", Options{}, from + "A: 1\n\n\n" + from + "B: 2\n\n\n", []string{"A: 1\n\n", "B: 2\n\n"}},
		{"empty message", Options{}, from + from + "B: 2\n\ny\n", []string{from + "B: 2\n\ny\n"}},
		{"nothing between", Options{}, from + "\n" + from + "B: 2\n\ny\n", []string{"message is empty", "B: 2\n\ny\n"}},
		{"too big", Options{MaxMessage: 20}, from + "A: 1\n\n" + strings.Repeat("long ", 10) + "\n\n" + from + "B: 2\n\ny\n",
			[]string{"more than 20 bytes: message is too big", "B: 2\n\ny\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(write(t, map[string]string{"m": c.mbox}), "m")
			list := items(t, path, c.o)
			if got := bodies(list); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			var read int64
			for _, it := range list {
				if read += it.Read; it.Place != path+"@"+it.Key {
					t.Errorf("place %s, key %s", it.Place, it.Key)
				}
			}
			if info, err := os.Stat(path); err != nil || read != info.Size() {
				t.Errorf("messages are worth %d bytes of %d (%v)", read, info.Size(), err)
			}
		})
	}
}

func TestMboxDatesAndFlags(t *testing.T) {
	dir := write(t, map[string]string{"m": "From x@y  Fri Dec  4 09:08:07 2015\nStatus: RO\nX-Status: AF\nX-Keywords: work $Label1\n\na\n\n" +
		"From x@y Fri Dec 04 09:08:07 +0200 2015\nStatus: O\n\nb\n\n" +
		"From - Fri, 4 Dec 2015 09:08:07 +0200\n\nStatus: R\n\n"})
	list := items(t, filepath.Join(dir, "m"), Options{})
	if len(list) != 3 {
		t.Fatalf("%d messages", len(list))
	}
	if want := mailbox.MakeFlags(`\Seen`, `\Answered`, `\Flagged`, "work", "$Label1"); list[0].Flags != want {
		t.Errorf("flags %v, want %v", list[0].Flags, want)
	}
	if list[1].Flags != (mailbox.Flags{}) || list[2].Flags != (mailbox.Flags{}) {
		t.Errorf("flags %v and %v, want none: one is new, the other has it in its text", list[1].Flags, list[2].Flags)
	}
	local := time.Date(2015, 12, 4, 9, 8, 7, 0, time.UTC)
	for i, want := range []time.Time{local, local.Add(-2 * time.Hour), local.Add(-2 * time.Hour)} {
		if !list[i].Date.Equal(want) {
			t.Errorf("message %d: date %v, want %v", i, list[i].Date, want)
		}
	}
}

// TestMboxRoundTrip writes random messages by the rules of mboxrd and reads
// them back.
func TestMboxRoundTrip(t *testing.T) {
	dir := t.TempDir()
	line := rapid.OneOf(
		rapid.SampledFrom([]string{"", "From here", ">From there", ">>From x Mon Jan  6 10:20:30 2020", "From x Mon Jan  6 10:20:30 2020", "text", "From: a@b", ">"}),
		rapid.StringMatching(`[ -~]{0,40}`))
	rapid.Check(t, func(t *rapid.T) {
		var file bytes.Buffer
		var want []string
		for range rapid.IntRange(1, 6).Draw(t, "messages") {
			body := "Subject: x\n\n" + strings.Join(rapid.SliceOfN(line, 0, 12).Draw(t, "lines"), "\n") + "\n"
			want = append(want, body)
			file.WriteString("From a@b Mon Jan  6 10:20:30 2020\n")
			for l := range strings.Lines(body) {
				if strings.HasPrefix(strings.TrimLeft(l, ">"), "From ") {
					file.WriteByte('>')
				}
				file.WriteString(l)
			}
			file.WriteByte('\n')
		}
		path := filepath.Join(dir, "m")
		if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Options{Format: Mbox})
		if err != nil {
			t.Fatal(err)
		}
		if got := bodies(slices.Collect(s.Items(context.Background()))); !slices.Equal(got, want) {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
	})
}

func FuzzMbox(f *testing.F) {
	f.Add([]byte("From a Mon Jan  6 10:20:30 2020\nA: 1\n\nx\n\nFrom b Mon Jan  6 10:20:30 2020\n\n\n"), false)
	f.Add([]byte("From \n"), true)
	path := filepath.Join(f.TempDir(), "m")
	f.Fuzz(func(t *testing.T, content []byte, mboxo bool) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Options{Format: Mbox, Mboxo: mboxo, MaxMessage: 100})
		if err != nil {
			t.Fatal(err)
		}
		var kept int
		for it := range s.Items(t.Context()) {
			if it.Err == nil && (len(it.Body) == 0 || len(it.Body) > 100) {
				t.Errorf("a body of %d bytes", len(it.Body))
			}
			kept += len(it.Body)
		}
		if kept > 2*len(content) {
			t.Errorf("%d bytes of %d", kept, len(content))
		}
	})
}

func TestMaildir(t *testing.T) {
	dir := write(t, map[string]string{
		"cur/2.b.host:2,FS":                "B: 2\n\nb\n",
		"cur/1.a.host:2,Rab":               "A: 1\n\na\n",
		"new/3.c.host":                     "C: 3\r\n\r\nc\r\n",
		"tmp/9.z.host":                     "never seen\n",
		"cur/.hidden":                      "never seen\n",
		"dovecot-keywords":                 "0 $Important\n1 holiday\n",
		".Lists.Go/cur/4.d.host:2,PT":      "D: 4\n\nd\n",
		".Lists.Go/new/":                   "",
		".Entw&APw-rfe/cur/5.e.host;2,D":   "E: 5\n\ne\n",
		"Work/Plans/cur/6.f.host!2,S":      "F: 6\n\nf\n",
		"Work/not mail/notes.txt":          "never seen\n",
		".Lists.Go/cur/7.empty.host:2,":    "",
		".Lists.Go/dovecot-keywords":       "1 other\n",
		".Lists.Go/cur/8.keyword.host:2,b": "H: 8\n\nh\n",
	})
	stamp := time.Date(2018, 5, 6, 7, 8, 9, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "new/3.c.host"), stamp, stamp); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Format() != Maildir {
		t.Fatalf("taken for %s", s.Format())
	}
	got := map[string]string{}
	for it := range s.Items(t.Context()) {
		rel, err := filepath.Rel(dir, it.Place)
		if err != nil {
			t.Fatal(err)
		}
		got[rel] = fmt.Sprintf("%s|%s|%v", it.Mailbox, it.Flags, it.Err)
		if rel == "new/3.c.host" && (!it.Date.Equal(stamp) || string(it.Body) != "C: 3\r\n\r\nc\r\n") {
			t.Errorf("%s: %v %q", rel, it.Date, it.Body)
		}
	}
	want := map[string]string{
		"cur/1.a.host:2,Rab":               `|\Answered $Important holiday|<nil>`,
		"cur/2.b.host:2,FS":                `|\Seen \Flagged|<nil>`,
		"new/3.c.host":                     `||<nil>`,
		".Lists.Go/cur/4.d.host:2,PT":      `Lists/Go|\Deleted $Forwarded|<nil>`,
		".Entw&APw-rfe/cur/5.e.host;2,D":   `Entwürfe|\Draft|<nil>`,
		"Work/Plans/cur/6.f.host!2,S":      `Work/Plans|\Seen|<nil>`,
		".Lists.Go/cur/7.empty.host:2,":    `Lists/Go||message is empty`,
		".Lists.Go/cur/8.keyword.host:2,b": `Lists/Go|other|<nil>`,
	}
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: %q, want %q", name, got[name], w)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s is no message", name)
	}
}

func TestMaildirKeySurvivesFlagChange(t *testing.T) {
	dir := write(t, map[string]string{"new/1.a.host": "A: 1\n\n", "cur/": ""})
	before := items(t, dir, Options{})
	if err := os.Rename(filepath.Join(dir, "new/1.a.host"), filepath.Join(dir, "cur/1.a.host:2,S")); err != nil {
		t.Fatal(err)
	}
	after := items(t, dir, Options{})
	if len(before) != 1 || len(after) != 1 || before[0].Key != after[0].Key {
		t.Errorf("%v, then %v", before, after)
	}
}

func TestDirectory(t *testing.T) {
	files := map[string]string{
		"a.eml":     "From x@y Mon Jan  6 10:20:30 2020\nA: 1\n\nFrom x Mon Jan  6 10:20:30 2020\n",
		"b.eml":     "From : old@style.example\n\nb\n",
		"sub/c.eml": "C: 3\n\nc\n",
		".git/x":    "never seen\n",
	}
	dir := write(t, files)
	flat := items(t, dir, Options{})
	if got := bodies(flat); !slices.Equal(got, []string{"A: 1\n\nFrom x Mon Jan  6 10:20:30 2020\n", files["b.eml"], files["sub/c.eml"]}) {
		t.Errorf("%q", got)
	}
	if flat[2].Mailbox != "" || items(t, dir, Options{Folders: true})[2].Mailbox != "sub" {
		t.Error("a subdirectory is a mailbox only on request")
	}
	if flat[0].Date.Year() != 2020 {
		t.Errorf("date %v: the \"From \" line has one", flat[0].Date)
	}
	one := items(t, filepath.Join(dir, "b.eml"), Options{})
	if len(one) != 1 || one[0].Err != nil {
		t.Errorf("a single message: %v", one)
	}
}

// TestMboxesInDirectory: an mbox of several messages is not taken for one message, and an export to mboxes
// not for a directory of messages.
func TestMboxesInDirectory(t *testing.T) {
	const one, two = "From a@b Mon Jan  6 10:20:30 2020\nA: 1\n\nx\n\n", "From a@b Mon Jan  6 10:20:30 2020\nA: 2\n\ny\n"
	dir := write(t, map[string]string{
		"crlf":     strings.ReplaceAll(one+two, "\n", "\r\n"),
		"forward":  one + "From me to you Mon Jan  6 10:20:30 2020\nno field\n",
		"old":      one,
		"quoted":   one + "p\n\n>From me\n>>From you\nend\n\n",
		"dateless": "From me\nA: 1\n\n>From me\n",
		"several":  one + two,
	})
	const refused = "an mbox of several messages: import it by itself"
	want := map[string]string{
		"crlf": refused, "several": refused, "old": "|A: 1\r\n\r\nx",
		// An mbox of one message is quoted like others; what has no date in its "From " line is none.
		"quoted": "|A: 1\r\n\r\nx\r\n\r\np\r\n\r\nFrom me\r\n>From you\r\nend", "dateless": "|A: 1\r\n\r\n>From me",
		"forward": "|A: 1\r\n\r\nx\r\n\r\nFrom me to you Mon Jan  6 10:20:30 2020\r\nno field",
	}
	if got := told(items(t, dir, Options{Folders: true})); !maps.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	want["quoted"] = strings.Replace(want["quoted"], "\n>From you", "\n>>From you", 1)
	if got := told(items(t, dir, Options{Folders: true, Mboxo: true})); !maps.Equal(got, want) {
		t.Errorf("by a writer who quoted less: got %q\nwant %q", got, want)
	}
	// The empty line that parts messages goes, one that ends the header stays.
	for file, want := range map[string]string{"x\n\n": "A: 1\n\nx\n", "x\n\n\n": "A: 1\n\nx\n\n", "": "A: 1\n\n"} {
		path := filepath.Join(write(t, map[string]string{"m": "From a@b Mon Jan  6 10:20:30 2020\nA: 1\n\n" + file}), "m")
		if got := bodies(items(t, filepath.Dir(path), Options{})); !slices.Equal(got, []string{want}) {
			t.Errorf("of %q there is %q, want %q", file, got, want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "teraslot-export.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrFormat) {
		t.Errorf("an export to mboxes: %v", err)
	}
	if list := items(t, filepath.Join(dir, "several"), Options{}); len(list) != 2 || list[0].Err != nil {
		t.Errorf("by itself: %v", list)
	}
}

// TestMessageOfEmptyLine: it is one for those who served it, and APPEND takes it; only a file with
// nothing in it is none.
func TestMessageOfEmptyLine(t *testing.T) {
	dir := write(t, map[string]string{"cur/1": "\n", "cur/2": "", "new/3": "\r\n"})
	got := items(t, dir, Options{})
	if len(got) != 3 {
		t.Fatalf("%v", got)
	}
	for i, want := range []string{"\n", ErrEmpty.Error(), "\n"} {
		if b := bodies(got)[i]; b != want {
			t.Errorf("%s: %q, want %q", got[i].Place, b, want)
		}
	}
}

func TestUnreadableMessageStopsNothing(t *testing.T) {
	if os.Geteuid() == 0 {
		// The superuser reads every file: let the file vanish instead.
		dir := write(t, map[string]string{"a": "A: 1\n\n", "b": "B: 2\n\n", "c": "C: 3\n\n"})
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "b")); err != nil {
			t.Fatal(err)
		}
		list := slices.Collect(s.Items(t.Context()))
		if len(list) != 3 || list[0].Err != nil || list[1].Err == nil || list[2].Err != nil {
			t.Errorf("%v", list)
		}
		return
	}
	dir := write(t, map[string]string{"a": "A: 1\n\n", "b": "B: 2\n\n", "c": "C: 3\n\n"})
	if err := os.Chmod(filepath.Join(dir, "b"), 0); err != nil {
		t.Fatal(err)
	}
	list := items(t, dir, Options{})
	if len(list) != 3 || list[0].Err != nil || list[1].Err == nil || list[2].Err != nil {
		t.Errorf("%v", list)
	}
}

// TestMboxBeginsWithEmptyLines: it is not taken for one message, and a message that
// begins so is not taken for an mbox.
func TestMboxBeginsWithEmptyLines(t *testing.T) {
	const from = "From ada@example.org Mon Jan  6 10:20:30 2020\n"
	dir := write(t, map[string]string{
		"mbox": "\n\r\n" + from + "A: 1\n\nx\n\n" + from + "B: 2\n\ny\n",
		"mail": "\nA: 1\n\n" + from, "empty": "\n\n",
	})
	for name, want := range map[string]int{"mbox": 2, "mail": 1, "empty": 1} {
		if got := len(items(t, filepath.Join(dir, name), Options{})); got != want {
			t.Errorf("%s: %d messages, want %d", name, got, want)
		}
	}
}

func TestNotMail(t *testing.T) {
	dir := write(t, map[string]string{"text": "no mail\n"})
	for _, c := range []struct {
		path   string
		format Format
	}{{dir, Mbox}, {dir, Maildir}, {filepath.Join(dir, "text"), Maildir}} {
		if _, err := Open(c.path, Options{Format: c.format}); !errors.Is(err, ErrFormat) {
			t.Errorf("%s as %s: %v", c.path, c.format, err)
		}
	}
	list := items(t, filepath.Join(dir, "text"), Options{Format: Mbox})
	if len(list) != 1 || !errors.Is(list[0].Err, ErrFormat) || list[0].Key != "" {
		t.Errorf("text as mbox: %v", list)
	}
	if _, err := Open(filepath.Join(dir, "absent"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}
