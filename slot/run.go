package slot

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// Run serves until ctx ends or something fails that cannot go on, then stops:
// first what takes mail and commands, which finishes what is in flight; then the
// indexer, and what it has in temp is saved; last the sync log, so that it hears of everything. It returns nil
// after a stop by ctx.
func (s *Slot) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	logging, logged := layer(context.WithoutCancel(ctx), cancel)
	logging.goes(s.log.Run)
	for _, l := range s.peers.logs {
		logging.goes(l.Run)
	}
	indexing, indexed := layer(context.WithoutCancel(ctx), cancel)
	if s.squatter != nil {
		indexing.goes(s.squatter.Run)
	}
	if !s.o.Offline {
		indexing.goes(s.tiers.Run)
	}
	tending, tended := layer(context.WithoutCancel(ctx), cancel)
	tending.goes(new(memoryWatch).run)
	tending.goes(s.store.Run)
	if !s.o.Offline {
		tending.goes(func(ctx context.Context) error { return s.searches.run(ctx, s.registry) })
	}
	if s.schedule != nil {
		tending.goes(s.schedule.Run)
	}
	if s.night != nil {
		tending.goes(s.night.run)
	}
	if s.mender != nil {
		tending.goes(s.mender.run)
	}
	s.runPeers(tending)
	err := errors.Join(s.front(ctx), tended(), indexed())
	s.saveTemp()
	return errors.Join(err, logged())
}

// group is an errgroup whose members share a context.
type group struct {
	*errgroup.Group
	ctx context.Context
}

func (g *group) goes(run func(context.Context) error) {
	g.Go(func() error { return run(g.ctx) })
}

// layer starts a group that stop ends and waits for. The first of its members
// to fail ends everything through fail.
func layer(ctx context.Context, fail context.CancelCauseFunc) (g *group, stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	inner, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
			fail(cause)
		}
	})
	return &group{inner, ctx}, func() error {
		cancel()
		return inner.Wait()
	}
}

// front runs what clients talk to.
func (s *Slot) front(ctx context.Context) error {
	inner, ctx := errgroup.WithContext(ctx)
	g := &group{inner, ctx}
	g.goes(func(ctx context.Context) error { return serveHTTP(ctx, s.admin, s.adminHandler()) })
	if s.metrics != nil {
		g.goes(func(ctx context.Context) error { return serveHTTP(ctx, s.metrics, s.metricsHandler()) })
	}
	for _, l := range s.imapPlain {
		g.goes(func(ctx context.Context) error { return s.imap.Serve(ctx, l, false) })
	}
	for _, l := range s.imapTLS {
		g.goes(func(ctx context.Context) error { return s.imap.Serve(ctx, l, true) })
	}
	for _, l := range s.lmtps {
		g.goes(func(ctx context.Context) error { return s.lmtp.Serve(ctx, l) })
	}
	return g.Wait()
}

// adminGrace is how long requests in flight have when the slot stops.
const adminGrace = 10 * time.Second

// serveHTTP serves until ctx ends, then lets requests in flight finish.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminGrace)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil {
		err = errors.Join(err, srv.Close())
	}
	<-done // http.ErrServerClosed
	return err
}
