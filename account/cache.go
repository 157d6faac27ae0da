package account

import "sync"

// cache remembers what Lookup found, so that a recipient costs no query. It is
// exact where its process alone writes slot.db: whoever changes a user calls forget
// after the change and before he tells anyone of it.
type cache struct {
	mu    sync.Mutex        // guards what follows
	known map[string]answer // by the name as it was asked for
	age   uint64            // rises with every forget
}

// answer is what Lookup returned.
type answer struct {
	account Account
	err     error // nil or one that is ErrNoAccount
}

// maxKnown bounds the answers, of some 300 octets each: two for each user of a
// large slot, with and without the domain. Whoever asks for names that nobody has
// cannot make it grow beyond; it is then given up all at once.
const maxKnown = 1 << 16

// get returns what is known of a name, and the age that put wants to hear.
func (c *cache) get(name string) (a answer, found bool, age uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, found = c.known[name]
	return a, found, c.age
}

// put keeps an answer that was read from slot.db after get gave out the age; not
// if something changed since.
func (c *cache) put(name string, a answer, age uint64) {
	if len(name) > maxName {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.age != age {
		return
	}
	if c.known == nil || len(c.known) >= maxKnown {
		c.known = make(map[string]answer)
	}
	c.known[name] = a
}

// forget ends the truth of all answers, also of those that are on their way.
func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.age++
	c.known = nil
}
