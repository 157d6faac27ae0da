package squatter

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"teraslot/mailbox"
)

// Policy says when the tiers of the users' indexes are compacted. The zero value
// of each field stands for its default.
type Policy struct {
	// Temp, Meta, Data and Archive are the names of the tiers that play these parts;
	// by default those names.
	Temp, Meta, Data, Archive string
	// TempSize is how many bytes each temp may take (UserState.Temp); by default 1 GiB.
	TempSize int64
	// Full is the share of TempSize, 0 to 1, beyond which the largest users are
	// compacted at any hour, until temp is down to Target. By default 0.5 and 0.25.
	Full, Target float64
	// Quiet are the hours in which everything else is done; by default 1 to 5.
	Quiet Hours
	// Remerge is the age of a user's oldest database in data at which all of them
	// are merged into one; by default 7 days. Most is the number of them at which
	// that is done whatever their age; by default 12.
	Remerge time.Duration
	Most    int
	// Dead is the share of a database's documents, 0 to 1, beyond which it is
	// rewritten; by default 0.2. Expunged is how long any document may be dead
	// before it is; by default 30 days.
	Dead     float64
	Expunged time.Duration
}

// Hours are a part of the day, as times since midnight. They may pass midnight; the
// whole day is from 0 to 24 hours.
type Hours struct{ From, To time.Duration }

// Contain reports whether a moment, in its own time zone, lies in the hours.
func (h Hours) Contain(t time.Time) bool {
	hour, minute, second := t.Clock()
	at := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	if h.From < h.To {
		return h.From <= at && at < h.To
	}
	return at >= h.From || at < h.To
}

// String is the hours as 01:00-05:00.
func (h Hours) String() string {
	clock := func(d time.Duration) string { return fmt.Sprintf("%02d:%02d", d/time.Hour, d%time.Hour/time.Minute) }
	return clock(h.From) + "-" + clock(h.To)
}

func (p Policy) withDefaults() Policy {
	setDefault(&p.Temp, "temp")
	setDefault(&p.Meta, "meta")
	setDefault(&p.Data, "data")
	setDefault(&p.Archive, "archive")
	setDefault(&p.TempSize, 1<<30)
	setDefault(&p.Full, 0.5)
	setDefault(&p.Target, p.Full/2)
	setDefault(&p.Quiet, Hours{1 * time.Hour, 5 * time.Hour})
	setDefault(&p.Remerge, 7*24*time.Hour)
	setDefault(&p.Most, 12)
	setDefault(&p.Dead, 0.2)
	setDefault(&p.Expunged, 30*24*time.Hour)
	return p
}

// State is what is known of a slot's indexes at a moment: all that Plan looks at.
type State struct {
	Now   time.Time // in the slot's time zone
	Users []UserState
}

// UserState is a user's index.
type UserState struct {
	User      mailbox.User
	Temp      string          // names where temp lies: users of one name share its room
	Databases []DatabaseState // in search order
	// Moved asks for everything to go to archive: the user was moved or renamed, or
	// an operator wants it.
	Moved bool
}

// DatabaseState is a database of a user's index.
type DatabaseState struct {
	Name  string // such as "data:37"
	Tier  string
	State string // "" in use; otherwise as tiers.DatabaseStats has it
	Bytes int64
	Room  int64 // that Bytes take in memory: small files take whole pages
	Docs  int
	// Dead is how many of Docs no mailbox holds, if Counted.
	Dead    int
	Counted bool
	// DeadSince is a moment before which none of the dead documents died: when the
	// database was made, or was last seen without any.
	DeadSince time.Time
	Made      time.Time
}

// Rule is why something is compacted.
type Rule string

// The rules, the most pressing first.
const (
	RuleFull     Rule = "full"     // temp is over its limit
	RuleMoved    Rule = "moved"    // the user was moved or renamed
	RuleBroken   Rule = "broken"   // a database that cannot be used
	RuleExpunged Rule = "expunged" // documents have been dead for long
	RuleDead     Rule = "dead"     // many documents are dead
	RuleMerge    Rule = "merge"    // the databases of data are many, or old
	RuleQuiet    Rule = "quiet"    // nothing but the hour
	RuleStop     Rule = "stop"     // the slot stops
	RuleHand     Rule = "hand"     // somebody asked for it; never planned
)

var ruleOrder = []Rule{RuleFull, RuleMoved, RuleBroken, RuleExpunged, RuleDead, RuleMerge, RuleQuiet, RuleStop, RuleHand}

func knownRule(r Rule) bool { return slices.Contains(ruleOrder, r) }

// Decision is one compaction to be done, and why.
type Decision struct {
	User    mailbox.User
	Sources []string // tiers or databases
	Dest    string   // tier
	Force   bool     // rewrite even a single database of Dest
	Bytes   int64    // of the sources
	Rule    Rule
	Reason  string // for people
}

// AtAnyHour reports whether the decision does not wait for the quiet hours.
func (d *Decision) AtAnyHour() bool {
	return d.Rule == RuleFull || d.Rule == RuleMoved || d.Rule == RuleStop
}

// Plan decides what is to be compacted now, the most pressing first. It is a
// function of its arguments alone.
func (p Policy) Plan(s State) []Decision {
	p = p.withDefaults()
	users := slices.Clone(s.Users)
	slices.SortFunc(users, func(a, b UserState) int {
		return cmp.Or(cmp.Compare(p.temp(b), p.temp(a)), cmp.Compare(a.User, b.User))
	})
	fills := p.fills(users)
	var out []Decision
	for _, u := range users {
		var d []Decision
		docs, _ := u.sum(p.Temp)
		switch fill := fills[u.Temp]; {
		case u.Moved:
			d = p.everything(u)
		case fill.pressing() && docs > 0:
			d = []Decision{p.fold(u, RuleFull, fmt.Sprintf("%s, and this user %s", fill.why, size(p.temp(u))))}
		}
		if len(d) > 0 {
			fills[u.Temp].left -= p.temp(u)
		}
		if p.Quiet.Contain(s.Now) {
			d = append(d, p.atNight(u, d, s.Now)...)
		}
		out = append(out, d...)
	}
	slices.SortStableFunc(out, func(a, b Decision) int {
		return cmp.Compare(slices.Index(ruleOrder, a.Rule), slices.Index(ruleOrder, b.Rule))
	})
	return out
}

// fill is how full one temp is.
type fill struct {
	full         bool   // it holds more than it should
	left, target int64  // bytes that stay of what is decided so far, and that may
	why          string // for people, if it is full
}

// pressing reports whether more has to go, whatever the hour.
func (f *fill) pressing() bool { return f.full && f.left > f.target }

// fills are those of the temps that the users have.
func (p Policy) fills(users []UserState) map[string]*fill {
	out := make(map[string]*fill)
	for _, u := range users {
		if out[u.Temp] == nil {
			out[u.Temp] = &fill{target: int64(p.Target * float64(p.TempSize))}
		}
		out[u.Temp].left += p.temp(u)
	}
	for name, f := range out {
		if len(out) == 1 {
			name = p.Temp
		}
		f.full = f.left > int64(p.Full*float64(p.TempSize))
		f.why = fmt.Sprintf("%s holds %s, over %.0f %% of %s", name, size(f.left), 100*p.Full, size(p.TempSize))
	}
	return out
}

// Stop decides what is to be saved when the slot stops: what lies in temp, which
// a reboot would lose, the users with the most of it first.
func (p Policy) Stop(s State) []Decision {
	p = p.withDefaults()
	var out []Decision
	for _, u := range s.Users {
		if docs, bytes := u.sum(p.Temp); docs > 0 {
			out = append(out, Decision{User: u.User, Sources: []string{p.Temp}, Dest: p.Meta, Bytes: bytes, Rule: RuleStop,
				Reason: "the slot stops, and " + p.Temp + " may not outlive it"})
		}
	}
	slices.SortStableFunc(out, func(a, b Decision) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return out
}

// destOf is the tier that a rule most often leads to.
func (p Policy) destOf(r Rule) string {
	switch r {
	case RuleStop:
		return p.Meta
	case RuleMoved:
		return p.Archive
	}
	return p.Data
}

// temp is how many bytes of temp a user's databases take.
func (p Policy) temp(u UserState) (room int64) {
	for _, d := range u.Databases {
		if d.Tier == p.Temp {
			room += d.Room
		}
	}
	return room
}

// sum adds up the databases of a user in some tiers.
func (u *UserState) sum(tiers ...string) (docs int, bytes int64) {
	for _, d := range u.Databases {
		if slices.Contains(tiers, d.Tier) {
			docs += d.Docs
			bytes += d.Bytes
		}
	}
	return docs, bytes
}

// everything moves all of a user's index to archive, if it is not there already.
func (p Policy) everything(u UserState) []Decision {
	elsewhere := slices.ContainsFunc(u.Databases, func(d DatabaseState) bool { return d.Tier != p.Archive && d.Docs > 0 })
	if !elsewhere {
		return nil
	}
	from := []string{p.Temp, p.Meta, p.Data, p.Archive}
	_, bytes := u.sum(from...)
	return []Decision{{User: u.User, Sources: from, Dest: p.Archive, Bytes: bytes, Rule: RuleMoved,
		Reason: "the user was moved or renamed, or it was asked for"}}
}

// fold brings what is new to data, as a database of its own.
func (p Policy) fold(u UserState, rule Rule, reason string) Decision {
	from := []string{p.Temp, p.Meta}
	_, bytes := u.sum(from...)
	return Decision{User: u.User, Sources: from, Dest: p.Data, Bytes: bytes, Rule: rule, Reason: reason}
}

// atNight decides what can wait for the quiet hours. Of a user for whom something
// was decided already, nothing more is done this time.
func (p Policy) atNight(u UserState, decided []Decision, now time.Time) []Decision {
	if len(decided) > 0 {
		return nil
	}
	var out []Decision
	if d, ok := p.merge(u, now); ok {
		out = append(out, d)
	}
	for i, db := range u.Databases {
		named := slices.ContainsFunc(out, func(d Decision) bool { return slices.Contains(d.Sources, db.Tier) })
		if i == 0 || named {
			continue // the writable one is not rewritten for itself: it is folded soon
		}
		if d, ok := p.rewrite(u, db, now); ok {
			out = append(out, d)
		}
	}
	return out
}

// merge brings what is new to data, and makes one database of those there when
// they are old or many.
func (p Policy) merge(u UserState, now time.Time) (Decision, bool) {
	var data int
	var oldest time.Time
	for _, d := range u.Databases {
		if d.Tier != p.Data || d.State != "" {
			continue
		}
		if data++; data == 1 || d.Made.Before(oldest) {
			oldest = d.Made
		}
	}
	fresh, _ := u.sum(p.Temp, p.Meta)
	reason := ""
	switch age := now.Sub(oldest); {
	case data >= p.Most:
		reason = fmt.Sprintf("%d databases in %s", data, p.Data)
	case age >= p.Remerge && (data > 1 || data == 1 && fresh > 0):
		reason = fmt.Sprintf("the oldest of %d databases in %s is %.0f days old", data, p.Data, age.Hours()/24)
	case fresh > 0:
		return p.fold(u, RuleQuiet, p.quietReason(u)), true
	default:
		return Decision{}, false
	}
	from := []string{p.Temp, p.Meta, p.Data}
	_, bytes := u.sum(from...)
	return Decision{User: u.User, Sources: from, Dest: p.Data, Bytes: bytes, Rule: RuleMerge, Reason: reason}, true
}

func (p Policy) quietReason(u UserState) string {
	if docs, _ := u.sum(p.Meta); docs > 0 {
		return fmt.Sprintf("quiet hours %s, with what the last stop left in %s", p.Quiet, p.Meta)
	}
	return "quiet hours " + p.Quiet.String()
}

// rewrite decides on one database that is only read.
func (p Policy) rewrite(u UserState, db DatabaseState, now time.Time) (Decision, bool) {
	d := Decision{User: u.User, Sources: []string{db.Name}, Dest: db.Tier, Force: true, Bytes: db.Bytes}
	switch {
	case db.State == "missing" && db.Tier != p.Temp:
		return d, false // its disk may not be mounted: it counts again when it is
	case db.State != "":
		d.Rule, d.Reason = RuleBroken, fmt.Sprintf("%s cannot be used: %s", db.Name, db.State)
	case !db.Counted || db.Dead == 0:
		return d, false
	case float64(db.Dead) > p.Dead*float64(db.Docs):
		d.Rule, d.Reason = RuleDead, fmt.Sprintf("%d of %d documents of %s are dead", db.Dead, db.Docs, db.Name)
	case now.Sub(db.DeadSince) >= p.Expunged:
		d.Rule = RuleExpunged
		d.Reason = fmt.Sprintf("%d documents of %s may have been dead for %.0f days", db.Dead, db.Name, now.Sub(db.DeadSince).Hours()/24)
	default:
		return d, false
	}
	return d, true
}

// size writes a number of bytes for people.
func size(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB"}
	x, i := float64(n), 0
	for ; x >= 1024 && i < len(units)-1; i++ {
		x /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%d %s", n, units[0])
	}
	return fmt.Sprintf("%.1f %s", x, units[i])
}
