package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// readAllCommands reads until a final error and gives each command, or its
// error, on a line of its own.
func readAllCommands(r *Reader) (lines []string, final error) {
	for {
		req, err := r.Next()
		var bad *SyntaxError
		switch {
		case errors.As(err, &bad):
			lines = append(lines, fmt.Sprintf("%s BAD %v", bad.Tag, bad))
		case err != nil:
			return lines, err
		default:
			lines = append(lines, req.Tag+" "+req.Command.Name())
		}
	}
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestNextReadsCommandByCommand(t *testing.T) {
	input := crlf("a NOOP\n\n\nb.1 capability\nc LOGIN {3}\nfoo {4+}\nb r \nd uid fetch 1:* flags\ne UID EXPUNGE 7\n")
	for name, src := range map[string]io.Reader{
		"whole":      strings.NewReader(input),
		"one octet":  iotest.OneByteReader(strings.NewReader(input)),
		"halves":     iotest.HalfReader(strings.NewReader(input)),
		"data, err":  iotest.DataErrReader(strings.NewReader(input)),
		"no waiting": bytes.NewBufferString(input),
	} {
		got, err := readAllCommands(NewReader(src, Options{}))
		if err != io.EOF {
			t.Errorf("%s: end: %v, want EOF", name, err)
		}
		want := []string{"a NOOP", "b.1 CAPABILITY", "c LOGIN", "d UID FETCH", "e UID EXPUNGE"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestLiteralsAreAskedForOnlyWhereOneMayStand(t *testing.T) {
	tests := []struct {
		name, input string
		asked       int
		want        []string
	}{
		{"two literals", "a LOGIN {3}\r\nfoo {3}\r\nbar\r\n", 2, []string{"a LOGIN"}},
		{"one asked, one not", "a LOGIN {3}\r\nfoo {3+}\r\nbar\r\n", 1, []string{"a LOGIN"}},
		{"unknown command", "a FOO {3}\r\nb NOOP\r\n", 0, []string{"a BAD at octet 5: unknown command", "b NOOP"}},
		{"no argument expected", "a NOOP {3}\r\nb NOOP\r\n", 0, []string{"a BAD NOOP: at octet 7: expected the end of the command", "b NOOP"}},
		{"wrong before it", "a LIST ( {3}\r\nb NOOP\r\n", 0, []string{"a BAD LIST: at octet 8: expected a selection option", "b NOOP"}},
		{"literal8 as a string", "a LOGIN ~{3}\r\nb NOOP\r\n", 0, []string{"a BAD LOGIN: at octet 8: expected a literal without ~", "b NOOP"}},
		{"message", "a APPEND INBOX {3}\r\nb NOOP\r\n", 0, []string{"a APPEND", "b NOOP"}},
		{"name of a mailbox, then a message", "a APPEND {5}\r\nINBOX {3+}\r\nabc\r\nb NOOP\r\n", 1, []string{"a APPEND", "b NOOP"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			// One octet at a time: what follows an unasked literal was sent after the answer.
			r := NewReader(iotest.OneByteReader(strings.NewReader(tt.input)), Options{Continue: func() error { asked++; return nil }})
			got, err := readAllCommands(r)
			if err != io.EOF {
				t.Errorf("end: %v, want EOF", err)
			}
			if !reflect.DeepEqual(got, tt.want) || asked != tt.asked {
				t.Errorf("got %q after asking %d times, want %q after %d", got, asked, tt.want, tt.asked)
			}
		})
	}
}

// evil is what nobody may get executed through a refused literal.
const evil = "x1 DELETE INBOX\r\nx2 NOOP\r\n"

func TestRefusedLiteralsAreNotParsed(t *testing.T) {
	long := evil + strings.Repeat(evil, 200)
	limits := Limits{Line: 200, Literals: 100, NonSync: 50}
	tests := []struct{ name, command, literal, want string }{
		{"argument beyond the limit", "a LOGIN", long, "a BAD LOGIN: at octet 8: too big"},
		{"argument beyond LITERAL-", "a LOGIN", evil + evil + evil[:10], "a BAD LOGIN: at octet 8: too big"},
		{"message not taken", "a APPEND INBOX", long, "a APPEND"},
		{"message with bad flags", "a APPEND INBOX (", long, "a BAD APPEND: at octet 16: expected a flag"},
		{"message for REPLACE without a mailbox", "a REPLACE 1", long, "a BAD REPLACE: at octet 12: too big"},
		{"unknown command", "a FROB", evil, "a BAD at octet 6: unknown command"},
		{"no tag", "(", evil, " BAD at octet 0: expected a tag"},
		{"in an open quoted string", `a SEARCH TEXT "`, evil, "a BAD SEARCH: at octet 16: expected the end of a quoted string"},
		{"behind NUL", "a SEARCH \x00 TEXT", evil, "a BAD at octet 0: expected no NUL in a line"},
		{"behind a bare CR", "a SEARCH \r TEXT", evil, "a BAD at octet 0: expected no carriage return within a line"},
		{"line too long", "a SEARCH TEXT " + strings.Repeat("x", 300), evil, "a BAD at octet 0: too big"},
		{"line much too long", "a SEARCH TEXT " + strings.Repeat("x", 30000), long, "a BAD at octet 0: too big"},
		{"a literal after literals", "a LOGIN {3+}\r\nfoo {3+}\r\nbar", evil, "a BAD LOGIN: at octet 16: expected the end of the command"},
		{"a tag alone", "a", evil, "a BAD at octet 2: expected a command"},
		{"nothing", "", evil, " BAD at octet 0: expected a tag"},
	}
	for _, tt := range tests {
		for _, form := range []string{"{%d+}", "~{%d+}"} {
			t.Run(tt.name+form, func(t *testing.T) {
				input := tt.command + " " + fmt.Sprintf(form, len(tt.literal)) + "\r\n" + tt.literal + "\r\nz LOGOUT\r\n"
				got, err := readAllCommands(NewReader(strings.NewReader(input), Options{Limits: limits}))
				if err != io.EOF {
					t.Errorf("end: %v, want EOF", err)
				}
				if len(got) != 2 || got[1] != "z LOGOUT" {
					t.Fatalf("got %q, want the answer to one command and z LOGOUT", got)
				}
				if form == "{%d+}" && got[0] != tt.want {
					t.Errorf("got %q, want %q", got[0], tt.want)
				}
			})
		}
	}
}

func TestRefusedLiteralFollowedByAnother(t *testing.T) {
	input := "a LOGIN {9000000+}\r\n" + strings.Repeat("y", 9000000) + " {26+}\r\n" + evil + "\r\nz LOGOUT\r\n"
	got, err := readAllCommands(NewReader(strings.NewReader(input), Options{}))
	if want := []string{"a BAD LOGIN: at octet 8: too big", "z LOGOUT"}; err != io.EOF || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v, want %q, EOF", got, err, want)
	}
}

func TestReaderBreaks(t *testing.T) {
	limits := Limits{Line: 100, Literals: 100, Drain: 1000}
	tests := []struct {
		name, input string
		before      []string // what is answered before it breaks
	}{
		{"refused literal too long to discard", "a LOGIN {1001+}\r\n" + evil, []string{"a BAD LOGIN: at octet 8: too big"}},
		{"literal of more than 63 bits", "a LOGIN {99999999999999999999999+}\r\n" + evil, []string{"a BAD LOGIN: at octet 8: too big"}},
		{"synchronizing literal sent unasked", "a LOGIN {101}\r\n" + evil, []string{"a BAD LOGIN: at octet 8: too big"}},
		{"synchronizing message sent unasked", "a APPEND INBOX {101}\r\n" + evil, []string{"a APPEND"}},
		{"bare line feed", "a NOOP\nb NOOP\r\n", nil},
		{"bare line feed in a quoted string", "a LOGIN \"x\nx1 DELETE INBOX\r\n", nil},
		{"line without an end", strings.Repeat("x", 2000), nil},
		{"line without an end but a literal's announcement", strings.Repeat("{", 200) + strings.Repeat("0", 300) + "+}\r\n" + evil, nil},
		{"command of literals without an end", "a LOGIN " + strings.Repeat("{0+}\r\n", 1000), []string{"a BAD LOGIN: at octet 8: expected SP"}},
		{"input that ends in a line", "a NOOP\r\nb NO", []string{"a NOOP"}},
		{"input that ends in a literal", "a LOGIN {10+}\r\nfoo", nil},
		{"input that ends in a refused literal", "a LOGIN {200+}\r\nfoo", []string{"a BAD LOGIN: at octet 8: too big"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader(strings.NewReader(tt.input), Options{Limits: limits})
			got, err := readAllCommands(r)
			if !errors.Is(err, ErrBroken) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("end: %v, want ErrBroken or an unexpected end", err)
			}
			if !reflect.DeepEqual(got, tt.before) {
				t.Errorf("before it: %q, want %q", got, tt.before)
			}
			if r.Err() != err {
				t.Errorf("Err() = %v, want %v", r.Err(), err)
			}
			if _, again := r.Next(); again != err {
				t.Errorf("Next after it: %v, want the same", again)
			}
			if _, again := r.Line(); again != err {
				t.Errorf("Line after it: %v, want the same", again)
			}
			if again := r.Wait(); again != err {
				t.Errorf("Wait after it: %v, want the same", again)
			}
			if _, again := r.Message(); again != err {
				t.Errorf("Message after it: %v, want the same", again)
			}
			if _, again := r.More(); again != err {
				t.Errorf("More after it: %v, want the same", again)
			}
		})
	}
}

// endless gives the same text for ever and counts what was read of it.
type endless struct {
	text string
	read int64
}

func (e *endless) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		n += copy(b[n:], e.text[(e.read+int64(n))%int64(len(e.text)):])
	}
	e.read += int64(n)
	return n, nil
}

func TestEndlessInputEndsWithinBounds(t *testing.T) {
	for _, text := range []string{"x", "a NOOP ", "{0+}\r\n", "(", `"`, "\x00", "a {1+}\r\n", "\r"} {
		src := &endless{text: text}
		r := NewReader(src, Options{Limits: Limits{Line: 1 << 10, Drain: 1 << 20}})
		var err error
		for range 2 {
			if _, err = r.Next(); errors.Is(err, ErrBroken) {
				break
			}
		}
		if !errors.Is(err, ErrBroken) {
			t.Errorf("%q for ever: %v, want ErrBroken", text, err)
		}
		if src.read > 4<<20 {
			t.Errorf("%q for ever: %d octets read before it broke", text, src.read)
		}
		if cap(r.line) > 16<<10 {
			t.Errorf("%q for ever: %d octets kept", text, cap(r.line))
		}
	}
}

func TestAnnouncedLiteralCostsNoMemoryBeforeItComes(t *testing.T) {
	const clients = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range clients {
		r := NewReader(strings.NewReader("a LOGIN {1000000+}\r\nabc"), Options{})
		if _, err := r.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / clients; each > 64<<10 {
		t.Errorf("%d octets allocated for a literal of which 3 octets came", each)
	}
}

func TestLimitsOfArguments(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
		input  string
		ok     bool
	}{
		{"literals together at the limit", Limits{Literals: 6}, "a LOGIN {3+}\r\nabc {3+}\r\nabc\r\n", true},
		{"literals together above it", Limits{Literals: 5}, "a LOGIN {3+}\r\nabc {3+}\r\nabc\r\n", false},
		{"not synchronizing, at the limit", Limits{NonSync: 3}, "a LOGIN {3+}\r\nabc x\r\n", true},
		{"not synchronizing, above it", Limits{NonSync: 2}, "a LOGIN {3+}\r\nabc x\r\n", false},
		{"synchronizing, above the other's limit", Limits{NonSync: 2}, "a LOGIN {3}\r\nabc x\r\n", true},
		{"none but synchronizing", Limits{NonSync: -1}, "a LOGIN {0+}\r\n x\r\n", false},
		{"line at the limit", Limits{Line: 11}, "a LOGIN x y\r\n", true},
		{"line above it", Limits{Line: 10}, "a LOGIN x y\r\n", false},
		{"lines together at the limit", Limits{Line: 16}, "a LOGIN {3+}\r\nabc x\r\n"[:14] + "abc xx\r\n", true},
		{"lines together above it", Limits{Line: 14}, "a LOGIN {3+}\r\nabc xx\r\n", false},
		{"depth at the limit", Limits{Depth: 3}, "a SEARCH NOT NOT (ALL)\r\n", true},
		{"depth above it", Limits{Depth: 2}, "a SEARCH NOT NOT (ALL)\r\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader(strings.NewReader(tt.input+"b NOOP\r\n"), Options{Limits: tt.limits})
			_, err := r.Next()
			if (err == nil) != tt.ok {
				t.Errorf("got %v, want ok = %v", err, tt.ok)
			}
			if err != nil && !errors.Is(err, ErrTooBig) && !errors.Is(err, ErrTooDeep) {
				t.Errorf("got %v, want a limit as the cause", err)
			}
			if req, err := r.Next(); err != nil || req.Tag != "b" {
				t.Errorf("next: %v, %v, want command b", req, err)
			}
		})
	}
}

func TestLimitsAreRefilledForEachCommand(t *testing.T) {
	r := NewReader(strings.NewReader(strings.Repeat("a LOGIN {5+}\r\nabcde x\r\n", 3)), Options{Limits: Limits{Literals: 5, Line: 20}})
	got, err := readAllCommands(r)
	if want := []string{"a LOGIN", "a LOGIN", "a LOGIN"}; !reflect.DeepEqual(got, want) || err != io.EOF {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestSetLimits(t *testing.T) {
	r := NewReader(strings.NewReader(strings.Repeat("a LOGIN {5+}\r\nabcde x\r\n", 2)), Options{Limits: Limits{Literals: 1}})
	if _, err := r.Next(); !errors.Is(err, ErrTooBig) {
		t.Errorf("before: %v, want ErrTooBig", err)
	}
	r.SetLimits(Limits{})
	if _, err := r.Next(); err != nil {
		t.Errorf("after: %v", err)
	}
}

func TestAcceptRefuses(t *testing.T) {
	no := errors.New("no literals today")
	var asked []string
	accept := func(tag, command string, l Literal) error {
		asked = append(asked, fmt.Sprint(tag, " ", command, " ", l.Size, l.NonSync))
		return no
	}
	r := NewReader(strings.NewReader("a LOGIN {3+}\r\nfoo bar\r\nb LOGIN x y\r\n"), Options{Accept: accept})
	if _, err := r.Next(); !errors.Is(err, no) {
		t.Errorf("got %v, want the reason", err)
	}
	if req, err := r.Next(); err != nil || req.Tag != "b" {
		t.Errorf("then %v, %v", req, err)
	}
	if want := []string{"a LOGIN 3 true"}; !reflect.DeepEqual(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

func TestContinueFails(t *testing.T) {
	gone := errors.New("gone")
	r := NewReader(strings.NewReader("a LOGIN {3}\r\nfoo bar\r\n"), Options{Continue: func() error { return gone }})
	if _, err := r.Next(); !errors.Is(err, gone) || r.Err() == nil {
		t.Errorf("got %v, Err() = %v", err, r.Err())
	}
}

func TestLine(t *testing.T) {
	r := NewReader(strings.NewReader("a IDLE\r\nDONE\r\nb AUTHENTICATE PLAIN\r\n\r\n*\r\nc NOOP\r\n"), Options{})
	steps := []struct{ command, line string }{{"IDLE", "DONE"}, {"AUTHENTICATE", ""}, {"", "*"}, {"NOOP", ""}}
	for _, s := range steps {
		if s.command != "" {
			req, err := r.Next()
			if err != nil || req.Command.Name() != s.command {
				t.Fatalf("got %v, %v, want %s", req, err, s.command)
			}
		}
		if s.command == "NOOP" {
			break
		}
		if line, err := r.Line(); err != nil || line != s.line {
			t.Errorf("got %q, %v, want %q", line, err, s.line)
		}
	}
	if _, err := r.Line(); err != io.EOF {
		t.Errorf("at the end: %v, want EOF", err)
	}
}

func TestLineBreaksOnWhatIsNone(t *testing.T) {
	for _, input := range []string{"DONE {3+}\r\nabc\r\n", strings.Repeat("x", 200) + "\r\n", "DONE\n"} {
		r := NewReader(strings.NewReader(input), Options{Limits: Limits{Line: 100}})
		if line, err := r.Line(); !errors.Is(err, ErrBroken) {
			t.Errorf("%q: got %q, %v, want ErrBroken", input, line, err)
		}
	}
}

func TestWaitTakesNothing(t *testing.T) {
	r := NewReader(strings.NewReader("a NOOP\r\n"), Options{})
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if r.Buffered() != len("a NOOP\r\n") {
		t.Errorf("Buffered() = %d", r.Buffered())
	}
	if req, err := r.Next(); err != nil || req.Tag != "a" {
		t.Errorf("got %v, %v", req, err)
	}
	if err := r.Wait(); err != io.EOF {
		t.Errorf("at the end: %v, want EOF", err)
	}
}

func TestWaitSurvivesADeadline(t *testing.T) {
	timeout := errors.New("deadline")
	src := io.MultiReader(iotest.ErrReader(timeout))
	r := NewReader(src, Options{})
	if err := r.Wait(); !errors.Is(err, timeout) {
		t.Fatalf("got %v, want the deadline's error", err)
	}
	if r.Err() != nil {
		t.Errorf("a deadline broke the reader: %v", r.Err())
	}
}

func TestResetRefusesInjectedText(t *testing.T) {
	tls := strings.NewReader("b NOOP\r\n")
	r := NewReader(strings.NewReader("a STARTTLS\r\n"), Options{})
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if err := r.Reset(tls); err != nil {
		t.Fatalf("nothing waits, and yet: %v", err)
	}
	if req, err := r.Next(); err != nil || req.Tag != "b" {
		t.Errorf("on the new stream: %v, %v", req, err)
	}
	r = NewReader(strings.NewReader("a STARTTLS\r\nb NOOP\r\n"), Options{})
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if err := r.Reset(tls); !errors.Is(err, ErrBroken) {
		t.Errorf("text before TLS: %v, want ErrBroken", err)
	}
	if _, err := r.Next(); !errors.Is(err, ErrBroken) {
		t.Errorf("and then: %v, want ErrBroken", err)
	}
}

func TestAnnouncement(t *testing.T) {
	tests := []struct {
		line  string
		want  Literal
		start int
		ok    bool
	}{
		{"a {3}", Literal{Size: 3}, 2, true},
		{"a {3+}", Literal{Size: 3, NonSync: true}, 2, true},
		{"a ~{3}", Literal{Size: 3, Binary: true}, 2, true},
		{"a ~{3+}", Literal{Size: 3, NonSync: true, Binary: true}, 2, true},
		{"{0}", Literal{}, 0, true},
		{"{003}", Literal{Size: 3}, 0, true},
		{"{9223372036854775807}", Literal{Size: math.MaxInt64}, 0, true},
		{"{9223372036854775808}", Literal{Size: math.MaxInt64}, 0, true},
		{"foo{3}", Literal{Size: 3}, 3, true},
		{"", Literal{}, 0, false},
		{"}", Literal{}, 0, false},
		{"{}", Literal{}, 0, false},
		{"{+}", Literal{}, 0, false},
		{"3}", Literal{}, 0, false},
		{"{3-}", Literal{}, 0, false},
		{"{-3}", Literal{}, 0, false},
		{"{3} ", Literal{}, 0, false},
		{"{3}}", Literal{}, 0, false},
		{"{3++}", Literal{}, 0, false},
		{"{a3}", Literal{}, 0, false},
	}
	for _, tt := range tests {
		l, start, ok := announcement([]byte(tt.line))
		if l != tt.want || start != tt.start || ok != tt.ok {
			t.Errorf("%q: got %+v, %d, %v, want %+v, %d, %v", tt.line, l, start, ok, tt.want, tt.start, tt.ok)
		}
	}
}
