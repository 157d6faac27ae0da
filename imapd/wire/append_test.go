package wire

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"teraslot/mailbox"
)

func TestAppendArguments(t *testing.T) {
	date := func(unix int64, zone int16) *mailbox.Date { return &mailbox.Date{Unix: unix, Zone: zone} }
	size := func(n int64) Literal { return Literal{Size: n} }
	runParseTests(t, []parseTest{
		{text: "APPEND INBOX {3}", want: &Append{"INBOX", AppendMessage{Literal: size(3)}}},
		{text: "APPEND x {3+}", want: &Append{"x", AppendMessage{Literal: Literal{Size: 3, NonSync: true}}}},
		{text: "APPEND x ~{3}", want: &Append{"x", AppendMessage{Literal: Literal{Size: 3, Binary: true}}}},
		{text: "APPEND x UTF8 (~{3}", want: &Append{"x", AppendMessage{Literal: Literal{Size: 3, Binary: true}, UTF8: true}}},
		{text: "APPEND {1+}\r\nx {99999999999}", want: &Append{"x", AppendMessage{Literal: size(99999999999)}}},
		{text: `APPEND x (\Seen $a) {0}`, want: &Append{"x", AppendMessage{Flags: []string{`\Seen`, "$a"}}}},
		{text: `APPEND x () {1}`, want: &Append{"x", AppendMessage{Flags: []string{}, Literal: size(1)}}},
		{text: `APPEND x "17-Jul-1996 02:44:25 -0700" {1}`, want: &Append{"x", AppendMessage{Date: date(837596665, -420), Literal: size(1)}}},
		{text: `APPEND x (\Seen) " 1-Jan-1970 00:00:00 +0000" {1}`, want: &Append{"x", AppendMessage{Flags: []string{`\Seen`}, Date: date(0, 0), Literal: size(1)}}},
		{text: `APPEND x "1-jan-1970 01:00:60 +0100" {1}`, want: &Append{"x", AppendMessage{Date: date(60, 60), Literal: size(1)}}},
		{text: `APPEND x "01-Jan-0001 00:00:00 -1200" {1}`, want: &Append{"x", AppendMessage{Date: date(-62135553600, -720), Literal: size(1)}}},
		{text: `REPLACE 4 Drafts (\Seen) {5}`, want: &Replace{Target: 4, Mailbox: "Drafts", Message: AppendMessage{Flags: []string{`\Seen`}, Literal: size(5)}}},
		{text: `UID REPLACE * Drafts {5}`, want: &Replace{UID: true, Target: Star, Mailbox: "Drafts", Message: AppendMessage{Literal: size(5)}}},
		{text: "APPEND x", bad: "expected SP"},
		{text: "APPEND x ", bad: "a message literal"},
		{text: "APPEND x abc", bad: "a message literal"},
		{text: `APPEND x "abc"`, bad: "a date such as"},
		{text: `APPEND x (\Seen {1}`, bad: "a flag"},
		{text: `APPEND x "32-Jul-1996 02:44:25 -0700" {1}`, bad: "a date and time of the calendar"},
		{text: `APPEND x "17-Jul-1996 24:44:25 -0700" {1}`, bad: "a date and time of the calendar"},
		{text: `APPEND x "17-Jul-1996 02:60:25 -0700" {1}`, bad: "a date and time of the calendar"},
		{text: `APPEND x "17-Jul-1996 02:44:61 -0700" {1}`, bad: "a date and time of the calendar"},
		{text: `APPEND x "17-Jul-1996 02:44:25 -2400" {1}`, bad: "a zone"},
		{text: `APPEND x "17-Jul-1996 02:44:25 0700" {1}`, bad: "a zone"},
		{text: `APPEND x "17-Jul-1996 2:44:25 +0700" {1}`, bad: "a time"},
		{text: `APPEND x "17-Jul-1996" {1}`, bad: "expected SP"},
		{text: `APPEND x UTF8 ({1}`, bad: "a literal8"},
		{text: `APPEND x UTF8 ~{1}`, bad: "expected ("},
		{text: `APPEND x CATENATE (TEXT {1}`, bad: "a message literal"},
		{text: `REPLACE 1:2 x {1}`, bad: "expected SP"},
		{text: `REPLACE 0 x {1}`, bad: "a number from 1"},
	})
}

// appendAll reads one APPEND and gives its messages as text.
func appendAll(r *Reader) (messages []string, err error) {
	req, err := r.Next()
	if err != nil {
		return nil, err
	}
	var m *AppendMessage
	switch c := req.Command.(type) {
	case *Append:
		m = &c.Message
	case *Replace:
		m = &c.Message
	default:
		return nil, fmt.Errorf("got %s", c.Name())
	}
	for m != nil {
		body, err := r.Message()
		if err != nil {
			return messages, err
		}
		data, err := io.ReadAll(body)
		if err != nil {
			return messages, err
		}
		messages = append(messages, fmt.Sprint(m.Flags, string(data)))
		if m, err = r.More(); err != nil {
			return messages, err
		}
	}
	return messages, nil
}

func TestAppendStreamsMessages(t *testing.T) {
	big := strings.Repeat("0123456789\r\n", 20000)
	tests := []struct {
		name, input string
		want        []string
		asked       int
	}{
		{"one", "a APPEND x {5}\r\nhello\r\n", []string{"[]hello"}, 1},
		{"one unasked", "a APPEND x {5+}\r\nhello\r\n", []string{"[]hello"}, 0},
		{"a command inside", "a APPEND x {22+}\r\nx1 DELETE INBOX\r\n{99+}\r\n\r\n", []string{"[]x1 DELETE INBOX\r\n{99+}"}, 0},
		{"NUL and bare line ends inside", "a APPEND x ~{6+}\r\na\x00\nb\r\xff\r\n", []string{"[]a\x00\nb\r\xff"}, 0},
		{"empty", "a APPEND x {0+}\r\n\r\n", []string{"[]"}, 0},
		{"a space after it", "a APPEND x {1+}\r\nx \r\n", []string{"[]x"}, 0},
		{"big", fmt.Sprintf("a APPEND x {%d+}\r\n%s\r\n", len(big), big), []string{"[]" + big}, 0},
		{"several", "a APPEND x (a) {1+}\r\n1 {1}\r\n2 (b c) \" 1-Jan-1970 00:00:00 +0000\" {1}\r\n3\r\n", []string{"[a]1", "[]2", "[b c]3"}, 2},
		{"UTF8", "a APPEND x UTF8 (~{2+}\r\n\xc3\xa4) UTF8 (~{1+}\r\nx)\r\n", []string{"[]ä", "[]x"}, 0},
		{"name asked for, too", "a APPEND {1}\r\nx {1}\r\n1\r\n", []string{"[]1"}, 2},
		{"replace", "a UID REPLACE 3 x {2}\r\nhi\r\n", []string{"[]hi"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			r := NewReader(iotest.HalfReader(strings.NewReader(tt.input+"z NOOP\r\n")), Options{Continue: func() error { asked++; return nil }})
			got, err := appendAll(r)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %.100q, %v, want %.100q", got, err, tt.want)
			}
			if asked != tt.asked {
				t.Errorf("asked %d times, want %d", asked, tt.asked)
			}
			if req, err := r.Next(); err != nil || req.Tag != "z" {
				t.Errorf("then %v, %v, want z", req, err)
			}
		})
	}
}

// The limit of a line is each message's own, or a long import would fail in its midst.
func TestAppendOfManyMessages(t *testing.T) {
	const n = 500
	input := "a APPEND x" + strings.Repeat(" (\\Seen) {3+}\r\nabc", n) + "\r\n"
	r := NewReader(strings.NewReader(input), Options{Limits: Limits{Line: 100}})
	if got, err := appendAll(r); err != nil || len(got) != n {
		t.Errorf("%d messages, %v, want %d", len(got), err, n)
	}
	r = NewReader(strings.NewReader(strings.TrimSuffix(input, "\r\n")), Options{})
	if _, err := appendAll(r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut short: %v, want an unexpected end", err)
	}
}

func TestWrongAfterAMessage(t *testing.T) {
	tests := []struct{ name, input, bad string }{
		{"text", "a APPEND x {1+}\r\n1x\r\n", "the end of the command"},
		{"not a message", "a APPEND x {1+}\r\n1 foo {26+}\r\n" + evil + "\r\n", "a message literal"},
		{"no space before the next", "a APPEND x {1+}\r\n1{26+}\r\n" + evil + "\r\n", "the end of the command"},
		{"UTF8 not closed", "a APPEND x UTF8 (~{1+}\r\n1\r\n", "expected )"},
		{"second message of REPLACE", "a REPLACE 1 x {1+}\r\n1 {26+}\r\n" + evil + "\r\n", "the end of the command"},
		{"NUL", "a APPEND x {1+}\r\n1 \x00\r\n", "no NUL in a line"},
		{"line too long", "a APPEND x {1+}\r\n1 " + strings.Repeat("(", 1000) + "\r\n", "too big"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader(strings.NewReader(tt.input+"z NOOP\r\n"), Options{Limits: Limits{Line: 500}})
			_, err := appendAll(r)
			var bad *SyntaxError
			if !errors.As(err, &bad) || !strings.Contains(bad.Error(), tt.bad) || bad.Tag != "a" {
				t.Errorf("got %v, want %s of command a", err, tt.bad)
			}
			if req, err := r.Next(); err != nil || req.Tag != "z" {
				t.Errorf("then %v, %v, want z", req, err)
			}
		})
	}
}

func TestMessageReadInPart(t *testing.T) {
	r := NewReader(strings.NewReader("a APPEND x {26+}\r\n"+evil+" {26+}\r\n"+evil+"\r\nz NOOP\r\n"), Options{})
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	body, err := r.Message()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Message(); !errors.Is(err, ErrNoMessage) {
		t.Errorf("a message taken twice: %v", err)
	}
	if m, err := r.More(); err != nil || m == nil || m.Literal.Size != 26 {
		t.Errorf("More: %v, %v", m, err)
	}
	if _, err := r.More(); !errors.Is(err, ErrNoMessage) {
		t.Errorf("More before the message was taken: %v", err)
	}
	if req, err := r.Next(); err != nil || req.Tag != "z" {
		t.Errorf("then %v, %v, want z", req, err)
	}
}

func TestMessageCutShort(t *testing.T) {
	r := NewReader(strings.NewReader("a APPEND x {100+}\r\nhello"), Options{})
	if _, err := appendAll(r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want an unexpected end", err)
	}
	if r.Err() == nil {
		t.Error("the reader is not broken")
	}
}

func TestMessageWithoutOne(t *testing.T) {
	r := NewReader(strings.NewReader("a LOGIN x y\r\nb LOGIN x {1}\r\n"), Options{Accept: func(string, string, Literal) error { return ErrTooBig }})
	for range 2 {
		r.Next()
		if _, err := r.Message(); !errors.Is(err, ErrNoMessage) {
			t.Errorf("Message: %v", err)
		}
		if _, err := r.More(); !errors.Is(err, ErrNoMessage) {
			t.Errorf("More: %v", err)
		}
	}
}
