package message

import (
	"bytes"
	"slices"
	"testing"

	"teraslot/text"
)

// shown returns the units of a message as they are written.
func shown(t testing.TB, raw []byte, limit int64) (units []text.Unit) {
	t.Helper()
	err := Show(t.Context(), bytes.NewReader(raw), int64(len(raw)), limit, func(u text.Unit) bool {
		units = append(units, u)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return units
}

func TestShowIsWhatIsWritten(t *testing.T) {
	raw := []byte("From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\nSubject: Two\r\n  lines\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n<p>Caf\xe9  au <b>lait</b></p>")
	want := []text.Unit{
		{Kind: text.Header, Name: "from", Text: "From: Jürgen <j@example.org>"},
		{Kind: text.Header, Name: "subject", Text: "Subject: Two  lines"},
		{Kind: text.Header, Name: "content-type", Text: "Content-Type: text/html; charset=iso-8859-1"},
	}
	got := shown(t, raw, 1<<20)
	if len(got) != 4 || !slices.Equal(got[:3], want) || text.Normalize(got[3].Text) != " CAFE\u0301 AU LAIT " {
		t.Errorf("got %q", got)
	}
	if got := shown(t, raw, 20); len(got) != 0 {
		t.Errorf("20 octets of text hold %q", got)
	}
}

// agreesWithScan holds that Show and Scan give the same.
func agreesWithScan(t testing.TB, raw []byte) {
	t.Helper()
	written := shown(t, raw, 1<<40)
	for i := range written {
		written[i].Text = text.Normalize(written[i].Text)
	}
	var scanned []text.Unit
	if err := Scan(t.Context(), bytes.NewReader(raw), int64(len(raw)), func(u text.Unit) bool {
		scanned = append(scanned, u)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(written, scanned) {
		t.Errorf("%.300q\nshown   %.600q\nscanned %.600q", raw, written, scanned)
	}
}

func FuzzShowAgreesWithScan(f *testing.F) {
	f.Add([]byte("Subject: a\u00a8\r\n\r\n \u00a0\r\n"))
	f.Add([]byte("no field\r\nA: b\r\n\r\n\u3000"))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n\u200b\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>&nbsp;</p>\r\n--x--"))
	f.Fuzz(func(t *testing.T, raw []byte) { agreesWithScan(t, raw) })
}
