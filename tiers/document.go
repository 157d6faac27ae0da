package tiers

import (
	"teraslot/mailbox"
	"teraslot/text"
)

// Doc is a message's text on its way into an index.
type Doc struct {
	GUID mailbox.GUID
	// Complete: Units are all of the message's text units. The text of an
	// incomplete document is not indexed: the message has to be scanned anyway.
	Complete bool
	Units    []text.Unit
}

// oneEach returns one document for each GUID, complete before incomplete.
func oneEach(docs []Doc) []Doc {
	at := make(map[mailbox.GUID]int, len(docs))
	out := make([]Doc, 0, len(docs))
	for _, d := range docs {
		i, seen := at[d.GUID]
		switch {
		case !seen:
			at[d.GUID] = len(out)
			out = append(out, d)
		case d.Complete && !out[i].Complete:
			out[i] = d
		}
	}
	return out
}
