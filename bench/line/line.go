package line

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Fault is what is wrong with a line. The zero value is a good one.
type Fault struct {
	// Silent swallows what comes, and tells nobody: a line that is half open.
	Silent bool
	// Deaf swallows what comes back.
	Deaf bool
	// Limit is after how many octets in one direction a connection is cut; 0: never.
	Limit int
	// Delay is how much later than it was sent everything arrives, in whole milliseconds;
	// half of the time of a round.
	Delay time.Duration
	// Rate is how many thousand octets a second each direction of a connection carries; 0: as many as come.
	Rate int
}

// Remains are the functions in which goroutines of connections that ended in the middle
// of something are found for ever.
var Remains = []string{
	"github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run",
	"github.com/Shopify/toxiproxy/v2.(*ToxicLink).read",
}

// Line passes connections on to an address. Its methods may be called from any goroutine.
type Line struct {
	to string

	mu    sync.Mutex
	proxy *toxiproxy.Proxy // guarded by mu
	fault Fault            // guarded by mu
}

// New begins to listen on a free port of the loopback interface.
func New(to string) (*Line, error) { return Listen("127.0.0.1:0", to) }

// Listen is New at an address.
func Listen(at, to string) (*Line, error) {
	l := &Line{to: to, proxy: newProxy(at, to)}
	if err := l.proxy.Start(); err != nil {
		return nil, fmt.Errorf("line to %s: %w", to, err)
	}
	return l, nil
}

func newProxy(at, to string) *toxiproxy.Proxy {
	return toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "line", at, to)
}

// Address is where the line begins.
func (l *Line) Address() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.proxy.Listen
}

// Set makes a fault begin, or with the zero value end. If the line had another, that
// cuts all its connections.
func (l *Line) Set(f Fault) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f == l.fault {
		return nil
	}
	l.fault = f
	return l.renew()
}

// Cut ends all connections that there are.
func (l *Line) Cut() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.renew()
}

// renew puts a proxy with the fault in the place of the one there is. l.mu is held.
func (l *Line) renew() error {
	l.proxy.Stop()
	l.proxy = newProxy(l.proxy.Listen, l.to)
	for _, t := range l.fault.toxics() {
		for _, stream := range t.streams {
			t.Name, t.Stream = t.Type+" "+stream, stream
			text, err := json.Marshal(t)
			if err == nil {
				_, err = l.proxy.Toxics.AddToxicJson(bytes.NewReader(text))
			}
			if err != nil {
				return fmt.Errorf("line to %s: %s: %w", l.to, t.Type, err)
			}
		}
	}
	return l.proxy.Start()
}

// Close ends the line and all its connections.
func (l *Line) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.proxy.Enabled {
		return errors.New("the line is closed")
	}
	l.proxy.Stop()
	return nil
}

// toxic is what toxiproxy calls a part of a fault.
type toxic struct {
	Name       string           `json:"name"`
	Type       string           `json:"type"`
	Stream     string           `json:"stream"`
	Attributes map[string]int64 `json:"attributes"`

	streams []string
}

// toxics are the parts of a fault.
func (f *Fault) toxics() (out []toxic) {
	add := func(kind, attribute string, n int64, streams ...string) {
		out = append(out, toxic{Type: kind, Attributes: map[string]int64{attribute: n}, streams: streams})
	}
	if f.Delay > 0 {
		add("latency", "latency", f.Delay.Milliseconds(), "upstream", "downstream")
	}
	if f.Rate > 0 {
		add("bandwidth", "rate", int64(f.Rate), "upstream", "downstream")
	}
	if f.Limit > 0 {
		add("limit_data", "bytes", int64(f.Limit), "upstream", "downstream")
	}
	switch {
	case f.Silent:
		add("timeout", "timeout", 0, "upstream", "downstream")
	case f.Deaf:
		add("timeout", "timeout", 0, "downstream")
	}
	return out
}
