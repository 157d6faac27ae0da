package message

import (
	"fmt"
	"strings"
	"testing"
)

// show writes addresses as ENVELOPE does, shortly.
func show(list []Address) string {
	var out []string
	for _, a := range list {
		switch a.Kind {
		case GroupStart:
			out = append(out, a.Mailbox+":")
		case GroupEnd:
			out = append(out, ";")
		default:
			s := fmt.Sprintf("<%s|%s>", a.Mailbox, a.Host)
			if a.Route != "" {
				s = a.Route + s
			}
			if a.Name != "" {
				s = a.Name + s
			}
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

func TestParseAddresses(t *testing.T) {
	for _, test := range []struct{ value, want string }{
		{"", ""},
		{" , ,", ""},
		{"a@b", "<a|b>"},
		{"a@b,c@d", "<a|b> <c|d>"},
		{"Joe Doe <joe@x.org>", "Joe Doe<joe|x.org>"},
		{`"Doe, Joe" <joe@x.org>, b@c`, "Doe, Joe<joe|x.org> <b|c>"},
		{`"a \"b\" \\" <c@d>`, `a "b" \<c|d>`},
		{"J. Doe Jr. <j@x>", "J. Doe Jr.<j|x>"},
		{`"a""b" c<d@e>`, "ab c<d|e>"},
		{"a@b (Joe (the) Doe)", "Joe (the) Doe<a|b>"},
		{"(Joe) a@b", "Joe<a|b>"},
		{"Name (comment) <a@b>", "Name<a|b>"},
		{"<a@b> (Joe)", "Joe<a|b>"},
		{"=?utf-8?q?J=C3=B6?= <j@x>", "=?utf-8?q?J=C3=B6?=<j|x>"},
		{"J\xf6 <j@x>", "J\xf6<j|x>"},
		{`"joe doe"@x`, "<joe doe|x>"},
		{`a@b@c`, "<a@b|c>"},
		{"joe . doe @ x . org", "<joe.doe|x.org>"},
		{"a@[127.0.0.1]", "<a|[127.0.0.1]>"},
		{"a@[IPv6:::1], b@c", "<a|[IPv6:::1]> <b|c>"},
		{"<@r1,@r2:a@b>", "@r1,@r2<a|b>"},
		{"root", "<root|>"},
		{"Joe Doe", "<Joe Doe|>"},
		{"<root>", "<root|>"},
		{"<>", ""},
		{"Name <>", "Name<|>"},
		{"friends: a@b, Joe <c@d>;, e@f", "friends: <a|b> Joe<c|d> ; <e|f>"},
		{"undisclosed-recipients:;", "undisclosed-recipients: ;"},
		{"Undisclosed recipients: ;", "Undisclosed recipients: ;"},
		{"g: a@b", "g: <a|b> ;"},
		{"g: h: a@b; c@d;", "g: <ha|b> ; <c|d>"},
		{"a@b; c@d", "<a|b> <c|d>"},
		{"<a@b> <c@d>", "<a|b> <c|d>"},
		{"A <a@b> B <c@d>", "A<a|b> <c|d>"},
		{"A <a@b>, \"B <c@d>", "A<a|b> <B <c@d>|>"},
		{"A <a@b, c@d", "A<a|b> <c|d>"},
		{"A <<a@b>>", "A<a|b>"},
		{"mailto:a@b", "mailto: <a|b> ;"},
		{"a@b (never closed", "never closed<a|b>"},
		{"a\\,b@c", "<a\\|> <b|c>"},
		{"@", ""},
	} {
		if got := show(ParseAddresses(test.value)); got != test.want {
			t.Errorf("%s\ngot  %s\nwant %s", test.value, got, test.want)
		}
	}
}

func TestEnvelope(t *testing.T) {
	raw := "Date: Mon, 1 Jan\r\n\t2024 (x)\r\nSubject:\r\nFrom: a@b\r\nSender:\r\nReply-To: c@d\r\nTo: e@f\r\nTo: g@h\r\nSubject: second\r\n" +
		"In-Reply-To: <1@x>\r\nMessage-Id:  <2@x> \r\n\r\n"
	s, err := check([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	e := s.Envelope
	got := fmt.Sprintf("%q %q %s %s %s %s %s %s %q %q", e.Date, e.Subject, show(e.From), show(e.Sender), show(e.ReplyTo),
		show(e.To), show(e.Cc), show(e.Bcc), e.InReplyTo, e.MessageID)
	want := `"Mon, 1 Jan\t2024 (x)" "" <a|b> <a|b> <c|d> <e|f> <g|h>   "<1@x>" "<2@x>"`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !e.Has(FieldSubject) || e.Has(FieldBcc) || !e.Has(FieldSender) {
		t.Errorf("present: %b", e.Present)
	}
}
