package wire

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
)

func (p *parser) search(uid bool) Command {
	c := &Search{UID: uid}
	p.sp()
	c.Return = p.returnOptions()
	c.Criteria = p.criteria(false)
	return c
}

func (p *parser) sort(uid bool) Command {
	c := &Sort{UID: uid}
	p.sp()
	c.Return = p.returnOptions()
	p.list("a list of sort criteria", func() { c.By = append(c.By, p.sortKey()) })
	p.sp()
	c.Criteria = p.criteria(true)
	return c
}

var sortNames = []string{
	"ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", // RFC 5256 §3
	"DISPLAYFROM", "DISPLAYTO", // RFC 5957
	"RELEVANCY", // RFC 6203
}

func (p *parser) sortKey() SortKey {
	const what = "a sort criterion"
	k := SortKey{Name: p.label(what)}
	if k.Name == "REVERSE" {
		p.sp()
		k.Reverse, k.Name = true, p.label(what)
	}
	if !slices.Contains(sortNames, k.Name) {
		p.expected("a known sort criterion")
	}
	return k
}

func (p *parser) thread(uid bool) Command {
	p.sp()
	c := &Thread{UID: uid, Algorithm: imap.ThreadAlgorithm(p.label("a threading algorithm"))}
	p.sp()
	c.Criteria = p.criteria(true)
	return c
}

func (p *parser) esearch(bool) Command {
	c := &ESearch{}
	p.sp()
	if p.keyword("IN") {
		p.sp()
		p.list("a list of mailbox filters", func() { c.Sources = append(c.Sources, p.filter()) })
		p.sp()
	}
	c.Return = p.returnOptions()
	c.Criteria = p.criteria(false)
	return c
}

// returnOptions reads RETURN (…) and the SP after it, if it is there.
func (p *parser) returnOptions() *Return {
	if !p.keyword("RETURN") {
		return nil
	}
	r := &Return{}
	none := true
	p.sp()
	p.optionalList("a list of return options", func() {
		none = false
		p.returnOption(r)
	})
	r.All = r.All || none // RFC 4731 §3.1
	p.sp()
	return r
}

func (p *parser) returnOption(r *Return) {
	switch p.label("a return option") {
	case "MIN":
		r.Min = true
	case "MAX":
		r.Max = true
	case "ALL":
		r.All = true
	case "COUNT":
		r.Count = true
	case "SAVE":
		r.Save = true
	case "RELEVANCY":
		r.Relevancy = true
	case "CONTEXT":
		r.Context = true
	case "UPDATE":
		r.Update = true
	case "PARTIAL":
		p.sp()
		if r.Partial != nil {
			p.expected("PARTIAL once")
		}
		r.Partial = p.partial()
	default:
		p.expected("a known return option")
	}
}

// criteria reads search-program; SORT and THREAD have the charset without its
// name.
func (p *parser) criteria(bareCharset bool) Criteria {
	var c Criteria
	if bareCharset || p.keyword("CHARSET") {
		if !bareCharset {
			p.sp()
		}
		c.Charset = strings.ToUpper(p.astring())
		p.sp()
	}
	for p.err == nil {
		c.Key = append(c.Key, p.searchKey())
		if !p.more() {
			break
		}
	}
	return c
}

const (
	seen   = `\Seen`
	recent = `\Recent`
)

// plainKeys are the search keys without arguments.
var plainKeys = map[string]SearchKey{
	"ALL":               All{},
	"ANSWERED":          HasFlag{`\Answered`},
	"DELETED":           HasFlag{`\Deleted`},
	"DRAFT":             HasFlag{`\Draft`},
	"FLAGGED":           HasFlag{`\Flagged`},
	"SEEN":              HasFlag{seen},
	"RECENT":            HasFlag{recent},
	"UNANSWERED":        Not{HasFlag{`\Answered`}},
	"UNDELETED":         Not{HasFlag{`\Deleted`}},
	"UNDRAFT":           Not{HasFlag{`\Draft`}},
	"UNFLAGGED":         Not{HasFlag{`\Flagged`}},
	"UNSEEN":            Not{HasFlag{seen}},
	"OLD":               Not{HasFlag{recent}},
	"NEW":               And{HasFlag{recent}, Not{HasFlag{seen}}},
	"SAVEDATESUPPORTED": SaveDateSupported{},
}

var textKeys = map[string]TextField{
	"TEXT": TextAll, "BODY": TextBody, "SUBJECT": TextSubject, "FROM": TextFrom, "TO": TextTo,
	"CC": TextCc, "BCC": TextBcc,
}

var dayKeys = map[string]Day{
	"BEFORE": {Rel: Before}, "ON": {Rel: On}, "SINCE": {Rel: Since},
	"SENTBEFORE": {Of: SentDay, Rel: Before}, "SENTON": {Of: SentDay, Rel: On}, "SENTSINCE": {Of: SentDay, Rel: Since},
	"SAVEDBEFORE": {Of: SavedDay, Rel: Before}, "SAVEDON": {Of: SavedDay, Rel: On}, "SAVEDSINCE": {Of: SavedDay, Rel: Since},
}

// searchKey reads search-key. It is never nil but after an error.
func (p *parser) searchKey() SearchKey {
	switch c := p.peek(); {
	case c == '(':
		return p.keyList()
	case isDigit(c) || c == '*' || c == '$':
		return Numbers{p.set()}
	}
	at := p.pos
	name := p.label("a search key")
	if key, ok := plainKeys[name]; ok {
		return key
	}
	if field, ok := textKeys[name]; ok {
		return Text{Field: field, Value: p.astringArgument()}
	}
	if day, ok := dayKeys[name]; ok {
		p.sp()
		day.Date = p.day()
		return day
	}
	return p.keyWithArguments(name, at)
}

// keyList reads keys in parentheses. One alone needs no And.
func (p *parser) keyList() SearchKey {
	var keys And
	p.nested(func() {
		p.list("search keys", func() { keys = append(keys, p.searchKey()) })
	})
	if len(keys) == 1 {
		return keys[0]
	}
	return keys
}

// keyWithArguments reads what follows the other names.
func (p *parser) keyWithArguments(name string, at int) SearchKey {
	switch name {
	case "NOT":
		return Not{p.keyArgument()}
	case "OR":
		return Or{p.keyArgument(), p.keyArgument()}
	case "FUZZY":
		return Fuzzy{p.keyArgument()}
	case "HEADER":
		return Text{Field: TextHeader, Name: p.astringArgument(), Value: p.astringArgument()}
	case "KEYWORD":
		return HasFlag{p.keywordArgument()}
	case "UNKEYWORD":
		return Not{HasFlag{p.keywordArgument()}}
	case "UID":
		return UIDs{p.setArgument()}
	case "EMAILID":
		return EmailID{p.astringArgument()}
	case "THREADID":
		return ThreadID{p.astringArgument()}
	case "FILTER":
		return NamedFilter{p.astringArgument()}
	}
	return p.keyWithNumber(name, at)
}

func (p *parser) keyWithNumber(name string, at int) SearchKey {
	switch name {
	case "LARGER":
		p.sp()
		return Larger{p.number64()}
	case "SMALLER":
		p.sp()
		return Smaller{p.number64()}
	case "OLDER":
		p.sp()
		return Older{p.nzNumber()}
	case "YOUNGER":
		p.sp()
		return Younger{p.nzNumber()}
	case "MODSEQ":
		return p.modSeqKey()
	}
	p.pos = min(at, p.pos)
	p.expected("a known search key")
	return nil
}

// keyArgument reads SP and a key, one level deeper.
func (p *parser) keyArgument() (key SearchKey) {
	p.sp()
	p.nested(func() { key = p.searchKey() })
	return key
}

// keywordArgument reads SP and flag-keyword: no backslash.
func (p *parser) keywordArgument() string {
	p.sp()
	return p.span(isFlag, "a keyword")
}

// entryName reads entry-name (RFC 7162 §7): the flags of messages are the only entries.
func (p *parser) entryName() string {
	at := p.pos
	name := p.quoted()
	flag, ok := cutPrefixFold(name, "/flags/")
	flag = strings.TrimPrefix(flag, `\`)
	if p.err == nil && (!ok || flag == "" || strings.ContainsFunc(flag, func(r rune) bool { return r > 0x7e || !isFlag(byte(r)) })) {
		p.pos = at
		p.expected(`an entry such as "/flags/\\seen"`)
	}
	return name
}

func cutPrefixFold(s, prefix string) (rest string, found bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// modSeqKey reads what follows MODSEQ (RFC 7162 §7, search-modsequence).
func (p *parser) modSeqKey() SearchKey {
	var k ModSeq
	p.sp()
	if p.peek() == '"' {
		k.Entry = p.entryName()
		p.sp()
		k.Type = strings.ToLower(p.span(isAtom, "priv, shared or all"))
		if !slices.Contains([]string{"priv", "shared", "all"}, k.Type) {
			p.expected("priv, shared or all")
		}
		p.sp()
	}
	k.Value = p.modSeq(true)
	return k
}
