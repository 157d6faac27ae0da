package message

import (
	"slices"
	"strings"
	"time"
)

// SentDate is the Date field as written, with its zone: SENTBEFORE, SENTON and
// SENTSINCE look at its day alone, whatever the zone (RFC 9051 §6.4.4). It is false
// where there is none that can be read.
func (e *Envelope) SentDate() (time.Time, bool) { return ParseDate(e.Date) }

// ParseDate reads a date as mail has them: RFC 5322 §3.3 and its obsolete forms
// (two-digit years, named zones, comments), a missing day of the week, time,
// seconds or zone, names of days and months in full, asctime's order, and ISO 8601.
// A missing zone is UTC, and a time that no clock shows is midnight (RFC 5256 §2.2). A
// date that no calendar has, such as 31 June, is none.
func ParseDate(value string) (time.Time, bool) {
	if t, ok := parseISO(strings.TrimSpace(value)); ok {
		return t, true
	}
	d := dateParts{day: -1, year: -1, zone: time.UTC}
	for _, w := range dateWords(value) {
		if !d.word(w) {
			break
		}
	}
	return d.time()
}

func parseISO(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// maxDateWords is more than any date has.
const maxDateWords = 16

// dateWords divides a date at white space, commas and comments, and at hyphens
// between words ("12-Jan-98"). White space around colons is nothing.
func dateWords(value string) (words []string) {
	s := scanner{b: []byte(value)}
	for len(words) < maxDateWords {
		for s.take(',') || s.take(';') {
		}
		if s.done() {
			break
		}
		w := string(s.token(",;"))
		if w == "" {
			s.i++
			continue
		}
		last := len(words) - 1
		if last >= 0 && (w[0] == ':' || strings.HasSuffix(words[last], ":")) {
			words[last] += w
		} else if parts := strings.Split(w, "-"); len(parts) == 3 && !slices.Contains(parts, "") && !strings.Contains(w, ":") {
			words = append(words, parts...)
		} else {
			words = append(words, w)
		}
	}
	return words
}

// dateParts is what the words so far have said.
type dateParts struct {
	day, year      int
	month          time.Month
	hour, min, sec int
	clock, zoned   bool
	zone           *time.Location
}

// word takes one word; false if it ends the date.
func (d *dateParts) word(w string) bool {
	switch {
	case strings.Contains(w, ":") && !d.clock:
		d.setClock(w)
	case w[0] == '+' || w[0] == '-':
		d.setOffset(w)
	case strings.Count(w, "/") == 2 && d.year < 0:
		d.slashed(w)
	case isDigit(w[0]):
		d.number(w)
	case d.month == 0 && monthNamed(w) != 0:
		d.month = monthNamed(w)
	case d.clock && !d.zoned:
		d.setZone(w)
	}
	return !d.zoned || d.year < 0
}

// number takes a day or a year.
func (d *dateParts) number(w string) {
	n, digits := leadingInt(w)
	switch {
	case d.day < 0 && digits <= 2:
		d.day = n
	case d.year < 0:
		d.year = fullYear(n, digits)
	}
}

// fullYear is the year that digits mean (RFC 5322 §4.3).
func fullYear(n, digits int) int {
	switch {
	case digits == 2 && n < 50:
		return n + 2000
	case digits == 2, digits == 3:
		return n + 1900
	}
	return n
}

func leadingInt(s string) (n, digits int) {
	for digits < len(s) && digits < 6 && isDigit(s[digits]) {
		n = n*10 + int(s[digits]-'0')
		digits++
	}
	return n, digits
}

// slashed takes 2002/09/14. Two digits first may be the day or the month, and are
// not guessed at.
func (d *dateParts) slashed(w string) {
	if t, err := time.Parse("2006/1/2", w); err == nil {
		d.year, d.month, d.day = t.Year(), t.Month(), t.Day()
	}
}

// setClock takes hh:mm or hh:mm:ss, and an offset that clings to it.
func (d *dateParts) setClock(w string) {
	if i := strings.IndexAny(w, "+-"); i > 0 {
		d.setOffset(w[i:])
		w = w[:i]
	}
	hour, rest, _ := strings.Cut(w, ":")
	minute, second, _ := strings.Cut(rest, ":")
	d.hour, _ = leadingInt(hour)
	d.min, _ = leadingInt(minute)
	d.sec, _ = leadingInt(second)
	d.clock = true
}

// setOffset takes +hhmm, also written +hh:mm or +hh.
func (d *dateParts) setOffset(w string) {
	if d.zoned {
		return
	}
	n, digits := leadingInt(strings.Replace(w[1:], ":", "", 1))
	switch digits {
	case 1, 2:
		n *= 100
	case 3, 4:
	default:
		return
	}
	seconds := (n/100*60 + n%100) * 60
	if n/100 > 23 || n%100 > 59 {
		return
	}
	if w[0] == '-' {
		seconds = -seconds
	}
	d.zone, d.zoned = time.FixedZone("", seconds), true
}

// setZone takes a zone's name (RFC 5322 §4.3, and a few that mail has). Others
// are as if they were UTC.
func (d *dateParts) setZone(w string) {
	name := strings.ToUpper(strings.Trim(w, ".\"'"))
	switch name {
	case "AM":
		d.hour %= 12
		return
	case "PM":
		d.hour = d.hour%12 + 12
		return
	}
	for prefix := range strings.SplitSeq("GMT UTC UT", " ") {
		if rest, ok := strings.CutPrefix(name, prefix); ok && len(rest) > 1 {
			d.setOffset(rest)
			return
		}
	}
	hours := map[string]int{
		"EDT": -4, "EST": -5, "CDT": -5, "CST": -6, "MDT": -6, "MST": -7, "PDT": -7, "PST": -8,
		"BST": 1, "WET": 0, "WEST": 1, "CET": 1, "MET": 1, "CEST": 2, "MEST": 2, "MESZ": 2, "MEZ": 1,
		"EET": 2, "EEST": 3, "MSK": 3, "MSD": 4, "JST": 9, "KST": 9, "HKT": 8, "SGT": 8,
		"AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13, "AKST": -9, "AKDT": -8, "HST": -10,
	}
	d.zone, d.zoned = time.FixedZone("", hours[name]*3600), true
}

// monthNamed knows the months by three letters or more.
func monthNamed(w string) time.Month {
	w = strings.TrimSuffix(w, ".")
	if len(w) < 3 {
		return 0
	}
	for m := time.January; m <= time.December; m++ {
		if name := m.String(); len(w) <= len(name) && strings.EqualFold(w, name[:len(w)]) {
			return m
		}
	}
	return 0
}

// time puts the parts together.
func (d *dateParts) time() (time.Time, bool) {
	if d.day < 1 || d.month == 0 || d.year < 0 || d.year > 9999 {
		return time.Time{}, false
	}
	if d.hour > 24 || d.min > 59 || d.sec > 60 {
		d.hour, d.min, d.sec = 0, 0, 0 // RFC 5256 §2.2
	}
	if d.hour == 24 || d.sec == 60 {
		// The end of a day or a leap second: still the day that is written, which
		// is what a search by day asks for.
		d.hour, d.min, d.sec = min(d.hour, 23), max(d.min, 59*(d.hour/24)), 59
	}
	t := time.Date(d.year, d.month, d.day, d.hour, d.min, d.sec, 0, d.zone)
	if noon := time.Date(d.year, d.month, d.day, 12, 0, 0, 0, time.UTC); noon.Day() != d.day {
		return time.Time{}, false
	}
	return t, true
}
