package imapd

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"teraslot/account"
)

// A storm is several sessions of one user that speak at the same time, with several
// commands of each under way. Which of them is carried out first nobody knows, so there
// is no model of the mail; what must hold in any order is checked while it blows, and the
// sessions against each other and against what they were told when it is over:
//
//   - a sequence number stands for one UID until EXPUNGE, and rises with it;
//   - a UID of a mailbox stands for one text for ever;
//   - a message that was told to be stored is there in the end, unless somebody said that it
//     may go; one that was moved is gone from where it was; none came from nowhere;
//   - a keyword that only one session sets is as that session left it, at any time;
//   - at most one session that may claim it sees a message as \Recent;
//   - EXPUNGE is never told during FETCH, STORE and SEARCH.
type storm struct {
	h    *harness
	user string

	mu     sync.Mutex       // guards all below
	texts  map[place]string // as far as anybody knows
	made   map[place]bool   // a completion told of it
	mayGo  map[place]bool   // somebody began to mark or move it
	moved  map[place]bool   // a MOVE told that it took it away
	recent map[place]string // the selection that saw it as \Recent
	copies [][2]place       // from, to
	serial int
}

// place is where a message is.
type place struct {
	box string
	uid uint32
}

var stormBoxes = []string{"INBOX", "Archive", "Sent"}

// observe notes or compares what a message says.
func (s *storm) observe(at place, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.texts[at]
	if ok && known != text {
		return fmt.Errorf("%v says %q and said %q", at, text, known)
	}
	s.texts[at] = text
	return nil
}

// stored notes a message that a completion told of.
func (s *storm) stored(at place, text string) error {
	s.mu.Lock()
	again := s.made[at]
	s.made[at] = true
	s.mu.Unlock()
	if again {
		return fmt.Errorf("%v was given out twice", at)
	}
	return s.observe(at, text)
}

// copied notes what COPYUID told.
func (s *storm) copied(from, to place, move bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made[to] {
		return fmt.Errorf("%v was given out twice", to)
	}
	if move && s.moved[from] {
		return fmt.Errorf("%v was moved away twice", from)
	}
	s.made[to], s.moved[from] = true, s.moved[from] || move
	s.copies = append(s.copies, [2]place{from, to})
	return nil
}

// leave says of messages that they may go, before anything is done to them.
func (s *storm) leave(box string, uids []uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, uid := range uids {
		s.mayGo[place{box, uid}] = true
	}
}

// text is that of a new message, which no other has.
func (s *storm) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	return mail("message " + strconv.Itoa(s.serial))
}

// TestSessionsAtOnce has COUNT storms from SEED.
func TestSessionsAtOnce(t *testing.T) {
	count, err := strconv.Atoi(cmp.Or(os.Getenv("COUNT"), "3"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("SEED"), "1"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	h := newHarness(t, Options{PlainLogin: true})
	commands := 0
	for i := range uint64(count) {
		commands += blow(t, h, seed+i)
	}
	t.Logf("proof: %d storms, %d commands", count, commands)
}

const (
	stormRiders = 4
	stormSteps  = 80
)

// blow is one storm.
func blow(t *testing.T, h *harness, seed uint64) (commands int) {
	s := &storm{h: h, user: fmt.Sprintf("storm%d", modelUsers.Add(1)), texts: map[place]string{}, made: map[place]bool{},
		mayGo: map[place]bool{}, moved: map[place]bool{}, recent: map[place]string{}}
	h.addUser(t, s.user, account.Quota{})
	var riders []*rider
	for i := range stormRiders {
		r := s.mount(t, i, rand.New(rand.NewPCG(seed, uint64(i))))
		riders = append(riders, r)
	}
	var g errgroup.Group
	for _, r := range riders {
		g.Go(func() error { return r.ride(stormSteps) })
	}
	err := g.Wait()
	if err == nil {
		err = s.calm(riders)
	}
	if err != nil {
		t.Fatalf("SEED=%d: %v", seed, err)
	}
	for _, r := range riders {
		commands += r.p.tags
		r.p.conn.Close()
	}
	return commands
}

// mount opens a session.
func (s *storm) mount(t *testing.T, i int, draw *rand.Rand) *rider {
	r := &rider{s: s, p: s.h.login(t, s.user), draw: draw, name: "r" + strconv.Itoa(i), keyword: "k" + strconv.Itoa(i), own: map[place]bool{}}
	if i%2 == 1 {
		r.p.do(t, "ENABLE IMAP4rev2")
	}
	return r
}

// calm compares all that was told with what is there when all are quiet.
func (s *storm) calm(riders []*rider) error {
	for _, r := range riders {
		if r.box == "" {
			continue
		}
		if err := r.say("NOOP", "UID FETCH 1:* (FLAGS BODY.PEEK[])"); err != nil {
			return err
		}
	}
	last := riders[0]
	left := map[place]flagSet{}
	for _, box := range stormBoxes {
		others := slices.DeleteFunc(slices.Clone(riders[1:]), func(r *rider) bool { return r.box != box })
		if err := last.look(box, left); err != nil {
			return err
		}
		for _, r := range others {
			if !slices.Equal(r.told, last.told) {
				return fmt.Errorf("%s counts %v in %s, %s counts %v", r.name, r.told, box, last.name, last.told)
			}
		}
	}
	return errors.Join(s.accounted(left), s.keptKeywords(riders, left))
}

// accounted compares what is left with what was made, taken away, and copied.
func (s *storm) accounted(left map[place]flagSet) error {
	for at := range left {
		if !s.made[at] || s.moved[at] {
			return fmt.Errorf("%v is there; it was made: %v, moved away: %v", at, s.made[at], s.moved[at])
		}
	}
	for range s.copies { // what is known of an original is known of copies of its copies, too
		for _, c := range s.copies {
			if text, ok := s.texts[c[0]]; ok && s.observe(c[1], text) != nil {
				return fmt.Errorf("%v is no copy of %v", c[1], c[0])
			}
			s.mayGo[c[1]] = s.mayGo[c[1]] || s.mayGo[c[0]] // \Deleted is copied
		}
	}
	for at := range s.made {
		if left[at] == nil && !s.mayGo[at] {
			return fmt.Errorf("%v is lost", at)
		}
	}
	if len(s.texts) != len(s.made) {
		return fmt.Errorf("%d messages were made, texts are known of %d", len(s.made), len(s.texts))
	}
	return nil
}

// keptKeywords compares each session's keyword with what it set last.
func (s *storm) keptKeywords(riders []*rider, left map[place]flagSet) error {
	for _, r := range riders {
		for at, set := range r.own {
			if flags := left[at]; flags != nil && flags[r.keyword] != set {
				return fmt.Errorf("%v has the flags (%s), %s left %s at %v", at, flags, r.name, r.keyword, set)
			}
		}
	}
	return nil
}

// look selects a mailbox and notes all that is in it.
func (r *rider) look(box string, left map[place]flagSet) error {
	if err := r.enter(box, false); err != nil {
		return err
	}
	r.seen = map[uint32]flagSet{}
	if err := r.say("UID FETCH 1:* (FLAGS BODY.PEEK[])"); err != nil {
		return err
	}
	for uid, flags := range r.seen {
		left[place{box, uid}] = maps.Clone(flags)
	}
	if len(r.seen) != len(r.told) || strings.Count(fmt.Sprint(r.told), " 0 ") > 0 {
		return fmt.Errorf("%s counts %v in %s and was told of %d", r.name, r.told, box, len(r.seen))
	}
	return nil
}
