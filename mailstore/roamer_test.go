package mailstore

import (
	"context"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"teraslot/mailbox"
)

// roamer is a client that goes from slot to slot, whichever holds itself for the master or is read from, whether they
// know of each other's writes or not: as clients do after a failover by force. It has a cache by names, as they have.
type roamer struct {
	boxes   map[string]*cacheOf
	meaning *watcher // of UIDs
}

func newRoamer() *roamer { return &roamer{map[string]*cacheOf{}, newWatcher()} }

// roam lets a client come to a slot: it asks what it missed (RFC 7162 §3.2.5), and then has what somebody sees who
// looks for the first time. Its UIDs mean what they meant wherever it was.
func (p *split) roam(r *roamer, s *side) {
	ctx := context.Background()
	all, err := s.m.Mailboxes(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, st := range all {
		view, err := s.m.View(ctx, st.ID)
		if err != nil {
			p.t.Fatal(err)
		}
		live := map[mailbox.UID]mailbox.Flags{}
		for i := range view.Records {
			live[view.Records[i].UID] = view.Records[i].Flags
			r.meaning.means(p.t, st, Entry{Record: view.Records[i]})
		}
		c, since := r.boxes[st.Name], mailbox.ModSeq(0)
		if c == nil || c.validity != st.UIDValidity {
			c = &cacheOf{validity: st.UIDValidity, flags: map[mailbox.UID]mailbox.Flags{}}
			r.boxes[st.Name] = c
		} else {
			since = c.highest
			*p.roamed++
		}
		c.hear(p.t, s, st)
		if !maps.EqualFunc(c.flags, live, mailbox.Flags.Equal) {
			p.t.Fatalf("%s: a client that knew it up to %#x comes to slot %s and has %v, the mailbox of %#x %v",
				st.Name, since, s.s.o.Slot, c.flags, st.HighestModSeq, live)
		}
	}
}

// collide raises the next UIDs of a slot to what another has given last, as if it had given more than it is behind.
func (p *split) collide(here, there int) {
	ctx := context.Background()
	for _, st := range must(p.sides[there].m.Mailboxes(ctx))(p.t) {
		own, err := p.sides[here].m.Mailbox(ctx, st.ID)
		if err != nil || own.UIDNext >= st.UIDNext || own.UIDValidity != st.UIDValidity {
			continue
		}
		if err := p.sides[here].m.RaiseUIDNext(ctx, "", st.ID, st.UIDNext-1); err != nil {
			p.t.Fatal(err)
		}
	}
}

// clash lets two slots give one UID to two messages, where they have a mailbox in which both may.
func (p *split) clash(here, there int) {
	ctx := context.Background()
	all := slices.DeleteFunc(must(p.sides[here].m.Mailboxes(ctx))(p.t), func(st mailbox.State) bool {
		other, err := p.sides[there].m.Mailbox(ctx, st.ID)
		return err != nil || other.UIDValidity != st.UIDValidity
	})
	if here == there || len(all) == 0 {
		return
	}
	box := rapid.SampledFrom(all).Draw(p.t, "clash in").ID
	p.collide(here, there)
	p.collide(there, here)
	for _, i := range []int{here, there} {
		p.do(i, "deliver", func(ctx context.Context) error {
			guid, err := p.works[i].deliverTo(ctx, box)
			if err == nil {
				p.sent[guid] = true
			}
			return err
		})
	}
}

// must returns what there is, or ends the test.
func must[T any](v T, err error) func(interface{ Fatal(...any) }) T {
	return func(t interface{ Fatal(...any) }) T {
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
