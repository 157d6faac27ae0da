package lmtp

import (
	"fmt"
	"strings"
	"testing"

	"teraslot/mailstore"
)

// BenchmarkDeliver is one client delivering messages of 5 kB one after another,
// the syncs of the disk included.
func BenchmarkDeliver(b *testing.B) {
	f := newFixture(b, Options{}, mailstore.Options{})
	c := f.hello()
	body := strings.Repeat("A line of text, neither long nor short, to fill it.\r\n", 95)
	for i := 0; b.Loop(); i++ {
		c.deliver(fmt.Sprintf("From: a@example.org\r\nSubject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\n%send.", i, i, body), "anna@example.org")
	}
}
