package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/puddle/v2"

	"github.com/entente-dev/entente/gateway/source"
)

// pools opens a pool when a query needs it, renews its login before it expires, and closes it when it is unused.
type pools struct {
	opts Options
	stop chan struct{}

	mu       sync.Mutex
	entries  map[key]*entry
	draining map[*pool]struct{} // closing, while queries still run on them
	closed   bool
}

// entry is a pool or the wait for one. A pool is served as long as its entry is in the map.
type entry struct {
	ready chan struct{} // closed when pool or err is set, which then stay
	pool  *pool
	err   error

	// Held by pools.mu.
	used     time.Time // last
	retryAt  time.Time // when err is set: another attempt may be made
	renewing bool
}

func newPools(o Options) *pools {
	ps := &pools{opts: o, stop: make(chan struct{}), entries: map[key]*entry{}, draining: map[*pool]struct{}{}}
	go ps.sweep()
	return ps
}

// acquire gives a connection, which the caller releases.
func (ps *pools) acquire(ctx context.Context, k key) (*pgxpool.Conn, *pool, error) {
	for {
		p, err := ps.get(ctx, k)
		if err != nil {
			return nil, nil, err
		}
		c, err := p.pgx.Acquire(ctx)
		if err == nil {
			return c, p, nil
		}
		// The pool may have been replaced between get and Acquire.
		if p.isKilled() {
			return nil, nil, fmt.Errorf("%w: %w", source.ErrUnavailable, errKilled)
		}
		if !ps.isServed(p) && ctx.Err() == nil && isClosedPool(err) {
			continue
		}
		return nil, p, err
	}
}

// get gives the pool for the key, and waits for it to be made.
func (ps *pools) get(ctx context.Context, k key) (*pool, error) {
	ps.mu.Lock()
	if ps.closed {
		ps.mu.Unlock()
		return nil, fmt.Errorf("%w: this gateway is stopping", source.ErrUnavailable)
	}
	now := ps.opts.Now()
	e := ps.entries[k]
	if e != nil && e.stale(now) {
		ps.remove(k, e)
		e = nil
	}
	if e == nil {
		if len(ps.entries) >= ps.opts.MaxPools && !ps.evict() {
			ps.mu.Unlock()
			return nil, fmt.Errorf("%w: %d agreements' connections are in use at once", source.ErrUnavailable, ps.opts.MaxPools)
		}
		e = &entry{ready: make(chan struct{})}
		ps.entries[k] = e
		go ps.open(k, e, nil)
	} else if e.isReady() && e.err == nil && !e.renewing && !e.pool.renewAt.IsZero() && now.After(e.pool.renewAt) && now.After(e.retryAt) {
		e.renewing = true
		go ps.open(k, &entry{ready: make(chan struct{})}, e)
	}
	e.used = now
	ps.mu.Unlock()

	select {
	case <-e.ready:
		return e.pool, e.err
	default:
	}
	select {
	case <-e.ready:
		return e.pool, e.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *entry) isReady() bool {
	select {
	case <-e.ready:
		return true
	default:
		return false
	}
}

// stale says whether another login has to be asked for.
func (e *entry) stale(now time.Time) bool {
	if !e.isReady() {
		return false
	}
	if e.err != nil {
		return !now.Before(e.retryAt)
	}
	return !e.pool.expires.IsZero() && !now.Before(e.pool.expires)
}

// open makes the pool of e. When e is to take the place of old, old is served until e is there.
func (ps *pools) open(k key, e, old *entry) {
	ctx, cancel := context.WithTimeout(context.Background(), ps.opts.ConnectTimeout)
	defer cancel()
	var p *pool
	cred, err := ps.opts.Credentials(ctx, k.target.Role)
	if err != nil {
		err = fmt.Errorf("%w: no login to dataset %s for agreement %s: %w", source.ErrUnavailable, k.dataset, k.agreement, err)
	} else {
		p, err = newPool(ps.opts, k, cred)
	}

	ps.mu.Lock()
	defer ps.mu.Unlock()
	defer close(e.ready) // under the lock, so that revoke sees every pool that there is
	now := ps.opts.Now()
	awaited := e
	if old != nil {
		awaited, old.renewing = old, false
	}
	switch {
	case ps.entries[k] != awaited:
		// Revoked, closed, or dropped meanwhile: what was made is for nobody.
		if err == nil {
			go p.kill()
		}
		e.err = fmt.Errorf("%w: %w", source.ErrUnavailable, errKilled)
	case err != nil && old != nil:
		old.retryAt = now.Add(ps.opts.RetryAfter)
	case err != nil:
		e.err, e.retryAt = err, now.Add(ps.opts.RetryAfter)
	default:
		e.pool, e.used = p, now
		if old != nil {
			ps.remove(k, old)
			ps.entries[k] = e
		}
	}
}

// remove stops serving an entry, and closes its pool once its queries have ended. ps.mu is held.
func (ps *pools) remove(k key, e *entry) {
	if ps.entries[k] == e {
		delete(ps.entries, k)
	}
	if !e.isReady() || e.pool == nil {
		return // open sees that it is no longer awaited
	}
	p := e.pool
	ps.draining[p] = struct{}{}
	go func() {
		p.drain()
		ps.mu.Lock()
		delete(ps.draining, p)
		ps.mu.Unlock()
	}()
}

// drop stops serving a pool whose login the database no longer accepts.
func (ps *pools) drop(p *pool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if e := ps.entries[p.key]; e != nil && e.isReady() && e.pool == p {
		ps.remove(p.key, e)
	}
}

func (ps *pools) isServed(p *pool) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	e := ps.entries[p.key]
	return e != nil && e.isReady() && e.pool == p
}

// evict closes the pool that was unused for longest; false: all are in use. ps.mu is held.
func (ps *pools) evict() bool {
	var oldestKey key
	var oldest *entry
	for k, e := range ps.entries {
		if e.isReady() && !e.busy() && (oldest == nil || e.used.Before(oldest.used)) {
			oldestKey, oldest = k, e
		}
	}
	if oldest == nil {
		return false
	}
	ps.remove(oldestKey, oldest)
	return true
}

// busy says whether a query runs on a ready entry.
func (e *entry) busy() bool { return e.pool != nil && e.pool.pgx.Stat().AcquiredConns() > 0 }

// revoke cuts off everything of the agreements that match.
func (ps *pools) revoke(match func(agreement string) bool) {
	var cut []*pool
	ps.mu.Lock()
	for k, e := range ps.entries {
		if !match(k.agreement) {
			continue
		}
		delete(ps.entries, k)
		if e.isReady() && e.pool != nil {
			cut = append(cut, e.pool)
		}
	}
	for p := range ps.draining {
		if match(p.key.agreement) {
			cut = append(cut, p)
		}
	}
	ps.mu.Unlock()
	var done sync.WaitGroup
	for _, p := range cut {
		done.Go(p.kill)
	}
	// Queries that were cut off give their connections back at once; a caller that is slow to take a record may not.
	waitAtMost(&done, time.Second)
}

func (ps *pools) close() {
	ps.mu.Lock()
	if !ps.closed {
		ps.closed = true
		close(ps.stop)
	}
	ps.mu.Unlock()
	ps.revoke(func(string) bool { return true })
}

// sweep closes what is unused until the pools are closed.
func (ps *pools) sweep() {
	t := time.NewTicker(max(ps.opts.IdleTimeout/4, 10*time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-ps.stop:
			return
		case <-t.C:
		}
		ps.mu.Lock()
		now := ps.opts.Now()
		for k, e := range ps.entries {
			if e.isReady() && !e.busy() && now.Sub(e.used) >= ps.opts.IdleTimeout {
				ps.remove(k, e)
			}
		}
		ps.mu.Unlock()
	}
}

func waitAtMost(w *sync.WaitGroup, d time.Duration) {
	done := make(chan struct{})
	go func() { w.Wait(); close(done) }()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// isClosedPool says that a pool was closed before it gave a connection.
func isClosedPool(err error) bool { return errors.Is(err, puddle.ErrClosedPool) }
