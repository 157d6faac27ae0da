package imapd

import "teraslot/imapd/wire"

// checkRelevancy refuses RELEVANCY without a FUZZY key (RFC 6203 §4).
func checkRelevancy(r *wire.Return, keys wire.And) error {
	if r != nil && r.Relevancy && !hasFuzzy(keys) {
		return bad("RELEVANCY is for searches with a FUZZY key")
	}
	return nil
}

// hasFuzzy reports whether one of the keys is FUZZY, or holds one that is.
func hasFuzzy(k wire.SearchKey) bool {
	return hasKey(k, func(k wire.SearchKey) bool { _, is := k.(wire.Fuzzy); return is })
}
