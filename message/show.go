package message

import (
	"context"
	"io"
	"strings"

	"teraslot/text"
)

// Show calls yield with the units that Scan gives, in the same order, as they are
// written: text.Normalize of each one's text is what Scan gives of it. It is for
// showing where a key was found. After limit octets of decoded text it ends, in the
// middle of a unit if need be. The only errors are r's and ctx's.
func Show(ctx context.Context, r io.ReaderAt, size, limit int64, yield func(text.Unit) bool) error {
	x := extractor{ctx: ctx, parts: maxParts, left: limit, yield: yield, written: true}
	return x.run(r, size)
}

func writtenField(name, value string) text.Unit {
	return text.Unit{Kind: text.Header, Name: strings.ToLower(name), Text: name + ": " + strings.TrimSpace(value)}
}

func writtenBody(s string) text.Unit { return text.Unit{Kind: text.Body, Text: s} }
