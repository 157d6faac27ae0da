package message

import (
	"net/mail"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	for _, test := range []struct{ value, want string }{
		{"Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T09:55:06-06:00"},
		{"21 Nov 97 09:55:06 GMT", "1997-11-21T09:55:06Z"},
		{"21 Nov 49 09:55 EST", "2049-11-21T09:55:00-05:00"},
		{"21 Nov 50 09:55 Z", "1950-11-21T09:55:00Z"},
		{"21 Nov 102 09:55 +0100", "2002-11-21T09:55:00+01:00"},
		{"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", "1997-11-21T09:55:06-06:00"},
		{"Fri (day), 21 (the) Nov 1997 09:55:06 -0600 (CST (yes))", "1997-11-21T09:55:06-06:00"},
		{"Friday, 21 November 1997, 09:55:06 +0000", "1997-11-21T09:55:06Z"},
		{"Fri Nov 21 09:55:06 1997", "1997-11-21T09:55:06Z"},
		{"Fri Nov  1 09:55:06 CET 1997", "1997-11-01T09:55:06+01:00"},
		{"Fri, Nov 21 1997 9:55:06 PM", "1997-11-21T21:55:06Z"},
		{"Fri, 21 Nov 1997 12:05 AM -0100", "1997-11-21T00:05:00-01:00"},
		{"21-Nov-1997 09:55:06 +0530", "1997-11-21T09:55:06+05:30"},
		{"21 Nov 1997", "1997-11-21T00:00:00Z"},
		{"Fri, 21 Nov 1997 09:55:06", "1997-11-21T09:55:06Z"},
		{"Fri, 21 Nov 1997 09:55:06 GMT+0200", "1997-11-21T09:55:06+02:00"},
		{"Fri, 21 Nov 1997 09:55:06 +02:00", "1997-11-21T09:55:06+02:00"},
		{"Fri, 21 Nov 1997 09:55:06 XYZ", "1997-11-21T09:55:06Z"},
		{"Fri,21 Nov 1997 09:55:06-0600", "1997-11-21T09:55:06-06:00"},
		{"2002/09/14 Sat 02:29:32 CDT", "2002-09-14T02:29:32-05:00"},
		{"09/14/2002 02:29", ""}, {"21 Sept 2002 02:29:00 +9999", "2002-09-21T02:29:00Z"},
		{"1997-11-21T09:55:06+01:00", "1997-11-21T09:55:06+01:00"},
		{"1997-11-21 09:55:06", "1997-11-21T09:55:06Z"},
		{"Fri, 31 Jun 1997 09:55:06 +0000", ""},
		{"29 Feb 2000 00:00:00 +0000", "2000-02-29T00:00:00Z"},
		{"29 Feb 1900 00:00:00 +0000", ""},
		{"Fri, 21 Nov 1997 09:55:60 +0000", "1997-11-21T09:55:59Z"},
		{"Fri, 21 Nov 1997 25:55:00 +0000", "1997-11-21T00:00:00Z"},
		{"Fri, 21 Nov 1997 23:71:99 -0600", "1997-11-21T00:00:00-06:00"},
		{"", ""}, {"yesterday", ""}, {"12", ""}, {"Nov", ""}, {"1 Nov 2000 1+:", "2000-11-01T01:00:00Z"}, {":", ""}, {"+:", ""}, {"1--2", ""}, {"1-Nov-", ""}, {"()", ""}, {"((((", ""}, {",,,,", ""},
		{"May May May May", ""}, {"+ - + -", ""}, {"1 Ma 2000", ""},
	} {
		want, ok := time.Time{}, test.want != ""
		if ok {
			var err error
			if want, err = time.Parse(time.RFC3339, test.want); err != nil {
				t.Fatal(err)
			}
		}
		got, gotOK := ParseDate(test.value)
		if gotOK != ok || !got.Equal(want) {
			t.Errorf("%q: %v %v, want %q", test.value, got, gotOK, test.want)
			continue
		}
		_, a := got.Zone()
		if _, b := want.Zone(); a != b {
			t.Errorf("%q: zone %d, want %d", test.value, a, b)
		}
	}
}

// TestDatesOfRealMail holds the dates of real mail against net/mail's, which
// understands fewer, does not know where named zones lie, and moves the clock of
// "GMT+1".
func TestDatesOfRealMail(t *testing.T) {
	both, more := 0, 0
	for _, archive := range archives {
		corpus(t, archive, func(name string, raw []byte) {
			s, err := Parse(strings.NewReader(string(raw)), int64(len(raw)))
			if err != nil {
				t.Fatal(err)
			}
			got, ok := s.Envelope.SentDate()
			want, err := mail.ParseDate(s.Envelope.Date)
			sameClock := got.Format(time.DateTime) == want.Format(time.DateTime)
			named := !strings.ContainsAny(s.Envelope.Date, "+-")
			switch {
			case strings.Contains(s.Envelope.Date, "GMT+"):
			case err == nil && (!ok || !sameClock || !named && !got.Equal(want)):
				t.Errorf("%s: %q is %v, %v; net/mail says %v", name, s.Envelope.Date, got, ok, want)
			case err == nil:
				both++
			case ok:
				more++
			case s.Envelope.Date != "":
				t.Logf("%s: %q is no date", name, s.Envelope.Date)
			}
		})
	}
	t.Logf("%d dates agree, %d more were read", both, more)
	if both < 5000 {
		t.Errorf("only %d dates compared", both)
	}
}

func TestMessageIDs(t *testing.T) {
	for _, test := range []struct {
		value string
		want  []string
	}{
		{"", nil},
		{"<a@b>", []string{"a@b"}},
		{"<a@b><c@d>\r\n <a@b> <e@f>", []string{"a@b", "c@d", "a@b", "e@f"}},
		{"Message of Monday <a@b> from Joe", []string{"a@b"}},
		{"<a @b>", []string{"a@b"}},
		{`<"a"@b>`, []string{"a@b"}},
		{`<"a\ b\"c"@d>`, []string{"abc@d"}}, {`<a\b@c>`, []string{`a\b@c`}},
		{"<a@b", nil},
		{"<a <b@c>", []string{"b@c"}},
		{"<>", nil},
	} {
		if got := MessageIDs(test.value); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: %q", test.value, got)
		}
	}
	for value, want := range map[string]string{"<a@b>": "a@b", "a@b": "a@b", "": "", "<a@b": "a@b", "x <a@b> <c@d>": "a@b"} {
		if got := MessageID(&Envelope{MessageID: value}); got != want {
			t.Errorf("%q: %q", value, got)
		}
	}
}

func TestReferences(t *testing.T) {
	for _, test := range []struct {
		raw  string
		want []string
	}{
		{"References: <a@b>\n <c@d>\nIn-Reply-To: <e@f>\n\n", []string{"a@b", "c@d"}},
		{"References: none\nIn-Reply-To: <e@f> <g@h>\n\n", []string{"e@f"}},
		{"Subject: x\n\nReferences: <a@b>", nil},
	} {
		s, err := check([]byte(test.raw))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Ancestors(); !slices.Equal(got, test.want) {
			t.Errorf("%q: %q", test.raw, got)
		}
	}
}

// TestDayAsWritten: the second after 23:59:59 belongs to the day that is written.
func TestDayAsWritten(t *testing.T) {
	for _, date := range []string{"Sat, 31 Dec 2016 23:59:60 +0000", "Sat, 31 Dec 2016 24:00:00 +0000", "Sat, 31 Dec 2016 24:00 -0500"} {
		if got, ok := ParseDate(date); !ok || got.Day() != 31 || got.Month() != 12 {
			t.Errorf("%s is %v, %t", date, got, ok)
		}
	}
	if got, ok := ParseDate("Sat, 31 Dec 2016 00:00:10 +2400"); ok && got.Day() != 31 {
		t.Errorf("a zone of 24 hours moves the day: %v", got)
	}
}
