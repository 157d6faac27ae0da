package imapd

import (
	"slices"

	"teraslot/mailbox"
)

// knownKeywords are the keywords that a client was told of in FLAGS. It belongs to
// its session's goroutine.
type knownKeywords struct {
	names  []string            // as they were told; may be shared until all is set
	all    map[string]struct{} // names, folded; nil until first asked
	latest string              // keywords of the record that was looked at last: all known
}

// learn adds those of a record's keywords that the client does not know, and
// reports whether there were any. Keywords differ by more than case (RFC 9051
// §2.3.2).
func (k *knownKeywords) learn(f mailbox.Flags) bool {
	if f.Keywords == k.latest {
		return false
	}
	k.latest = f.Keywords
	if k.all == nil {
		k.all = make(map[string]struct{}, len(k.names))
		k.names = slices.Clone(k.names)
		for _, name := range k.names {
			k.all[foldKeyword(name)] = struct{}{}
		}
	}
	news := false
	for _, name := range f.KeywordList() {
		folded := foldKeyword(name)
		if _, known := k.all[folded]; !known {
			k.all[folded] = struct{}{}
			k.names = append(k.names, name)
			news = true
		}
	}
	return news
}

// foldKeyword folds ASCII and nothing else: keywords are atoms.
func foldKeyword(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// introduce tells the flags of the mailbox anew if a record, whose flags are to be
// told, has a keyword that the client has not met (RFC 9051 §7.3.5).
func (s *session) introduce(f mailbox.Flags) {
	if f.Keywords != "" && s.view.keywords.learn(f) {
		s.tellKeywords()
	}
}

// tellKeywords tells the flags of the mailbox.
func (s *session) tellKeywords() { s.out.Flags(flagsWith(s.view.keywords.names)) }

// flagsWith is all system flags and some keywords.
func flagsWith(keywords []string) []string {
	return append(mailbox.Flags{System: allSystemFlags}.List(), keywords...)
}
