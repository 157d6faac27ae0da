package squatter_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"teraslot/bench/corpus"
	"teraslot/squatter"
)

// withAttachment puts a real message before an attachment of size random octets, as
// an archive or a picture would be.
func withAttachment(r *rand.Rand, raw []byte, n, size int) []byte {
	blob := make([]byte, size)
	for i := range blob {
		blob[i] = byte(r.Uint32())
	}
	var b bytes.Buffer
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\nContent-Type: message/rfc822\r\n\r\n")
	b.Write(raw)
	fmt.Fprintf(&b, "\r\n--outer\r\nContent-Type: application/zip; name=\"report-%d.zip\"\r\nContent-Transfer-Encoding: base64\r\n\r\n", n)
	text := base64.StdEncoding.EncodeToString(blob)
	for ; len(text) > 76; text = text[76:] {
		b.WriteString(text[:76] + "\r\n")
	}
	b.WriteString(text + "\r\n--outer--\r\n")
	return b.Bytes()
}

// Of mail with attachments, at least 60 kB a message, the index takes 8 % at most,
// kept text included. COUNT says how many of the corpus's messages are taken.
func TestSizeWithAttachments(t *testing.T) {
	mail := corpus.Messages(t, "spamassassin")
	n := 500
	if s := os.Getenv("COUNT"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	f := newFixture(t, squatter.Options{})
	r := rand.New(rand.NewPCG(1, 2))
	var raw int64
	n = min(n, len(mail))
	for i := range n {
		m := withAttachment(r, mail[i*len(mail)/n].Raw, i, 20_000+r.IntN(44_000)) // some 57 kB in base64
		raw += int64(len(m))
		f.append(f.mail, f.inbox, m)
	}
	if mean := raw / int64(n); mean < 60_000 {
		t.Fatalf("%d octets a message are too few", mean)
	}
	f.index(n, squatter.IndexOptions{})
	f.compact("data")
	stats, err := f.tiers.User(user).Stats(t.Context())
	f.must(err)
	var all, terms, text int64
	for _, d := range stats {
		all, terms, text = all+d.Bytes, terms+d.Terms, text+d.Text
	}
	share := func(n int64) float64 { return 100 * float64(n) / float64(raw) }
	t.Logf("%d messages of %d octets: index %.2f %% (terms %.2f %%, lists %.2f %%, kept text %.2f %%)",
		n, raw/int64(n), share(all), share(terms), share(all-terms-text), share(text))
	if share(all) > 8 {
		t.Errorf("the index takes %.2f %% of the mail", share(all))
	}
}
