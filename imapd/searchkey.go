package imapd

import (
	"strings"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/search"
)

// translation makes a search query of a client's keys: strings are decoded,
// sequence numbers, "*", "$" and \Recent become UIDs of the view.
type translation struct {
	view   *view
	decode func(string) string
}

// all translates a list of keys, all of which have to match.
func (t translation) all(keys []wire.SearchKey) (search.Query, error) {
	out := make(search.And, len(keys))
	for i, k := range keys {
		q, err := t.key(k)
		if err != nil {
			return nil, err
		}
		out[i] = q
	}
	if len(out) == 1 {
		return out[0], nil
	}
	return out, nil
}

// key translates one key.
func (t translation) key(k wire.SearchKey) (search.Query, error) {
	switch k := k.(type) {
	case wire.And:
		return t.all(k)
	case wire.Or:
		return t.or(k)
	case wire.Not:
		q, err := t.key(k.Key)
		return search.Not{Key: q}, err
	case wire.Fuzzy:
		q, err := t.key(k.Key)
		return search.Fuzzy{Key: q}, err
	case wire.All, wire.SaveDateSupported:
		return search.All{}, nil
	case wire.Numbers:
		// Numbers beyond the last are no error in a search (RFC 7377 §2).
		uids, _ := t.view.numbered(k.Set)
		return search.UIDs{Set: uids}, nil
	case wire.UIDs:
		return search.UIDs{Set: t.view.named(k.Set)}, nil
	case wire.HasFlag:
		return t.flag(k.Flag), nil
	case wire.Text:
		return t.text(k), nil
	}
	return plainKey(k)
}

func (t translation) or(k wire.Or) (search.Query, error) {
	a, err := t.key(k.A)
	if err != nil {
		return nil, err
	}
	b, err := t.key(k.B)
	return search.Or{a, b}, err
}

// flag translates a key on a flag. \Recent belongs to the session, not to the
// store (RFC 3501 §2.3.2).
func (t translation) flag(name string) search.Query {
	if strings.EqualFold(name, `\Recent`) {
		return search.UIDs{Set: t.view.recent}
	}
	if s, ok := mailbox.SystemFlag(name); ok {
		return search.SystemFlag{Flags: s}
	}
	return search.Keyword{Name: name}
}

// fields are the header fields behind the keys that have a name of their own.
var fields = map[wire.TextField]string{
	wire.TextSubject: "subject", wire.TextFrom: "from", wire.TextTo: "to", wire.TextCc: "cc", wire.TextBcc: "bcc",
}

func (t translation) text(k wire.Text) search.Query {
	value := t.decode(k.Value)
	switch k.Field {
	case wire.TextAll:
		return search.Anywhere(value)
	case wire.TextBody:
		return search.Body(value)
	case wire.TextHeader:
		return search.Header(k.Name, value)
	}
	return search.Header(fields[k.Field], value)
}

// plainKey translates keys that depend on nothing but themselves.
func plainKey(k wire.SearchKey) (search.Query, error) {
	switch k := k.(type) {
	case wire.Larger:
		return search.Larger{Bytes: k.Size}, nil
	case wire.Smaller:
		return search.Smaller{Bytes: k.Size}, nil
	case wire.Day:
		return day(k), nil
	case wire.ModSeq:
		// There is one mod-sequence for all of a message, so that the entry says nothing (RFC 7162 §3.1.5).
		return search.ModSeq{Min: k.Value}, nil
	case wire.Younger:
		return search.Younger{Seconds: int64(k.Seconds)}, nil
	case wire.Older:
		return search.Older{Seconds: int64(k.Seconds)}, nil
	}
	return nil, bad("A search key is of an extension that is not offered")
}

var relations = map[wire.DayRel]search.When{
	wire.Before: search.Before, wire.On: search.On, wire.Since: search.Since,
}

func day(k wire.Day) search.Query {
	when := relations[k.Rel]
	switch k.Of {
	case wire.SentDay:
		return search.SentDate{When: when, Day: k.Date}
	case wire.SavedDay:
		return search.SaveDate{When: when, Day: k.Date}
	}
	return search.InternalDate{When: when, Day: k.Date}
}
