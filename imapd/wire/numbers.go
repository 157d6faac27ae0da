package wire

import (
	"math"
	"strings"
	"time"

	"teraslot/mailbox"
)

// number64 reads digits up to limit.
func (p *parser) numberTo(limit uint64, what string) uint64 {
	rest := p.rest()
	var v uint64
	n := 0
	for ; n < len(rest) && isDigit(rest[n]); n++ {
		d := uint64(rest[n] - '0')
		if v > (limit-d)/10 {
			p.expected(what)
			return 0
		}
		v = v*10 + d
	}
	if n == 0 {
		p.expected(what)
	}
	p.pos += n
	return v
}

// number reads number.
func (p *parser) number() uint32 {
	return uint32(p.numberTo(math.MaxUint32, "a number up to 4294967295"))
}

// nzNumber reads nz-number; leading zeros are not allowed (RFC 9051 §9).
func (p *parser) nzNumber() uint32 {
	const what = "a number from 1 to 4294967295"
	if p.peek() == '0' {
		p.expected(what)
	}
	return uint32(p.numberTo(math.MaxUint32, what))
}

// number64 reads number64.
func (p *parser) number64() int64 {
	return int64(p.numberTo(math.MaxInt64, "a number up to 9223372036854775807"))
}

// modSeq reads mod-sequence-value, or mod-sequence-valzer if zero is set.
func (p *parser) modSeq(zero bool) mailbox.ModSeq {
	at := p.pos
	v := p.numberTo(math.MaxInt64, "a mod-sequence")
	if v == 0 && !zero {
		p.pos = at
		p.expected("a mod-sequence above 0")
	}
	return mailbox.ModSeq(v)
}

// set reads sequence-set. "$" is the whole set, as RFC 9051 §9 has it.
func (p *parser) set() Set {
	if p.take('$') {
		return Set{Saved: true}
	}
	var s Set
	for p.err == nil {
		from := p.seqNumber()
		to := from
		if p.take(':') {
			to = p.seqNumber()
		}
		s.Ranges = append(s.Ranges, SetRange{from, to})
		if !p.take(',') {
			break
		}
	}
	return s
}

func (p *parser) seqNumber() uint32 {
	if p.take('*') {
		return Star
	}
	if !isDigit(p.peek()) {
		p.expected("a set of numbers")
	}
	return p.nzNumber()
}

// knownSet reads a sequence-set in which neither "*" nor "$" may stand.
func (p *parser) knownSet() Set {
	at := p.pos
	s := p.set()
	if p.err == nil && (s.Saved || s.HasStar()) {
		p.pos = at
		p.expected("a set without * and $")
	}
	return s
}

// partial reads partial-range (RFC 9394 §4).
func (p *parser) partial() *Partial {
	a, aEnd := p.signed()
	p.must(':', ":")
	b, bEnd := p.signed()
	if p.err == nil && aEnd != bEnd {
		p.expected("both ends of a range counted from the same end")
	}
	if b < a {
		a, b = b, a
	}
	if aEnd {
		a, b = -a, -b
	}
	return &Partial{a, b}
}

func (p *parser) signed() (n int64, fromEnd bool) {
	fromEnd = p.take('-')
	return int64(p.nzNumber()), fromEnd
}

// day reads date, quoted or not, as days since 1970-01-01.
func (p *parser) day() int32 {
	at := p.pos
	quoted := p.take('"')
	day := p.dayOfMonth()
	month, year := p.monthYear()
	if quoted {
		p.must('"', `"`)
	}
	d, ok := dayNumber(year, month, day)
	if !ok {
		p.pos = min(at, p.pos)
		p.expected("a day of the calendar")
	}
	return d
}

// dayOfMonth reads one or two digits.
func (p *parser) dayOfMonth() int {
	day := p.digits(1, "a date such as 1-Feb-2003")
	if isDigit(p.peek()) {
		day = day*10 + p.digits(1, "")
	}
	return day
}

func (p *parser) monthYear() (time.Month, int) {
	p.must('-', "-")
	month := p.month()
	p.must('-', "-")
	return month, p.digits(4, "a year of four digits")
}

const months = "janfebmaraprmayjunjulaugsepoctnovdec"

func (p *parser) month() time.Month {
	if rest := p.rest(); len(rest) >= 3 {
		i := strings.Index(months, strings.ToLower(string(rest[:3])))
		if i >= 0 && i%3 == 0 {
			p.pos += 3
			return time.Month(i/3 + 1)
		}
	}
	p.expected("a month such as Jan")
	return time.January
}

// digits reads exactly n digits.
func (p *parser) digits(n int, what string) int {
	rest := p.rest()
	v := 0
	for i := range n {
		if i >= len(rest) || !isDigit(rest[i]) {
			p.expected(what)
			return 0
		}
		v = v*10 + int(rest[i]-'0')
	}
	p.pos += n
	return v
}

// dayNumber counts days since 1970-01-01; ok is false for a day that the calendar lacks.
func dayNumber(year int, month time.Month, day int) (int32, bool) {
	t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	ok := t.Day() == day && t.Month() == month
	return int32(t.Unix() / 86400), ok // whole days: no rounding before 1970 either
}

// dateTime reads date-time (RFC 9051 §9). A day of one digit may lack the space
// before it.
func (p *parser) dateTime() mailbox.Date {
	at := p.pos
	p.must('"', "a date and time")
	p.take(' ')
	day := p.dayOfMonth()
	month, year := p.monthYear()
	p.sp()
	h, m, s := p.clock()
	p.sp()
	zone := p.zone()
	p.must('"', `"`)
	_, ok := dayNumber(year, month, day)
	if !ok || h > 23 || m > 59 || s > 60 {
		p.pos = min(at, p.pos)
		p.expected("a date and time of the calendar")
		return mailbox.Date{}
	}
	t := time.Date(year, month, day, h, m, s, 0, time.UTC)
	return mailbox.Date{Unix: t.Unix() - int64(zone)*60, Zone: zone}
}

func (p *parser) clock() (h, m, s int) {
	const what = "a time such as 12:34:56"
	h = p.digits(2, what)
	p.must(':', what)
	m = p.digits(2, what)
	p.must(':', what)
	return h, m, p.digits(2, what)
}

// zone reads zone as minutes east of UTC.
func (p *parser) zone() int16 {
	const what = "a zone such as +0100"
	sign := int16(1)
	if p.take('-') {
		sign = -1
	} else {
		p.must('+', what)
	}
	h, m := p.digits(2, what), p.digits(2, what)
	if h > 23 || m > 59 {
		p.expected(what)
	}
	return sign * int16(h*60+m)
}
