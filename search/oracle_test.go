package search_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/message"
	"teraslot/search"
	"teraslot/text"
)

// mail is a message as the test made and delivered it: all that the oracle
// knows, none of it read back from the store, but for the UID, MODSEQ and save
// date that the store gave.
type mail struct {
	raw      []byte
	guid     mailbox.GUID
	flags    []string
	internal time.Time
	sent     time.Time // as the Date field says; internal where it says nothing
	dated    bool      // the Date field says something
	uid      mailbox.UID
	modseq   mailbox.ModSeq
	saved    int64

	units []text.Unit // filled by the oracle on first use
}

// text extracts the units, once.
func (m *mail) text(t testing.TB) []text.Unit {
	t.Helper()
	if m.units == nil {
		x, err := message.Extract(t.Context(), bytes.NewReader(m.raw), int64(len(m.raw)), message.Limits{})
		if err != nil || !x.Complete {
			t.Fatalf("extracting a test message: complete %v, error %v", x.Complete, err)
		}
		m.units = x.Units
	}
	return m.units
}

// oracle decides whether a message matches, one message and one key at a time,
// with neither index nor store.
func oracle(t testing.TB, q search.Query, m *mail, now time.Time) bool {
	t.Helper()
	switch q := q.(type) {
	case search.And:
		for _, k := range q {
			if !oracle(t, k, m, now) {
				return false
			}
		}
		return true
	case search.Or:
		for _, k := range q {
			if oracle(t, k, m, now) {
				return true
			}
		}
		return false
	case search.Not:
		return !oracle(t, q.Key, m, now)
	case search.All:
		return true
	case search.Text:
		return q.Key.Match(m.text(t))
	case search.Fuzzy:
		return fuzzyOracle(t, q.Key, m, now)
	}
	return oracleRecord(t, q, m, now)
}

// oracleRecord is the oracle for keys that do not look at text.
func oracleRecord(t testing.TB, q search.Query, m *mail, now time.Time) bool {
	t.Helper()
	switch q := q.(type) {
	case search.UIDs:
		return q.Set.Contains(m.uid)
	case search.SystemFlag:
		return mailbox.MakeFlags(m.flags...).System&q.Flags == q.Flags
	case search.Keyword:
		return mailbox.MakeFlags(m.flags...).HasKeyword(q.Name)
	case search.Larger:
		return int64(len(m.raw)) > q.Bytes
	case search.Smaller:
		return int64(len(m.raw)) < q.Bytes
	case search.InternalDate:
		return oracleDay(q.When, m.internal, q.Day)
	case search.SentDate:
		return oracleDay(q.When, m.sent, q.Day)
	case search.SaveDate:
		return oracleDay(q.When, time.Unix(m.saved, 0).UTC(), q.Day)
	case search.Older:
		return !m.internal.After(now.Add(-time.Duration(q.Seconds) * time.Second))
	case search.Younger:
		return !m.internal.Before(now.Add(-time.Duration(q.Seconds) * time.Second))
	case search.ModSeq:
		return m.modseq >= q.Min
	case search.EmailID:
		return q.ID == "E"+fmt.Sprintf("%x", m.guid[:12])
	}
	t.Fatalf("the oracle does not know %T", q)
	return false
}

// oracleDay compares the calendar day of a time, in its own zone, with a day
// counted from 1970.
func oracleDay(w search.When, at time.Time, day int32) bool {
	mine := at.Format("2006-01-02")
	theirs := time.Date(1970, 1, 1+int(day), 0, 0, 0, 0, time.UTC).Format("2006-01-02")
	switch w {
	case search.Before:
		return mine < theirs
	case search.On:
		return mine == theirs
	default:
		return mine >= theirs
	}
}
