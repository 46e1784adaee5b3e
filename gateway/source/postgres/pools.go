package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

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
	users    int       // queries that wait for the pool or run on it
	retryAt  time.Time // after a login could not be had: another attempt may be made
	renewing bool
}

func newPools(o Options) *pools {
	ps := &pools{opts: o, stop: make(chan struct{}), entries: map[key]*entry{}, draining: map[*pool]struct{}{}}
	go ps.sweep()
	return ps
}

// lease is a connection, or the error of getting one from pool.
type lease struct {
	conn  *pgxpool.Conn
	pool  *pool // nil: there was none
	entry *entry
}

// acquire gives a connection, which the caller gives back to release, even with an error.
func (ps *pools) acquire(ctx context.Context, k key) (lease, error) {
	for attempt := 1; ; attempt++ {
		e, err := ps.get(ctx, k)
		if err != nil {
			return lease{}, err
		}
		l := lease{pool: e.pool, entry: e}
		if l.conn, err = e.pool.pgx.Acquire(ctx); err == nil {
			return l, nil
		}
		// A pool that was replaced between get and Acquire gives no connection, nor does it finish one that it had begun.
		if attempt == 3 || ctx.Err() != nil || e.pool.isKilled() || ps.isServed(e.pool) {
			return l, err
		}
		ps.release(l)
	}
}

func (ps *pools) release(l lease) {
	if l.conn != nil {
		l.conn.Release()
	}
	if l.entry != nil {
		ps.leave(l.entry)
	}
}

func (ps *pools) leave(e *entry) {
	ps.mu.Lock()
	e.users--
	ps.mu.Unlock()
}

// get gives the entry for the key, with its pool, and waits for that to be made. The caller is then one of its users.
func (ps *pools) get(ctx context.Context, k key) (*entry, error) {
	e, err := ps.enter(k)
	if err != nil {
		return nil, err
	}
	select {
	case <-e.ready:
		err = e.err
	default:
		select {
		case <-e.ready:
			err = e.err
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		ps.leave(e)
		return nil, err
	}
	return e, nil
}

// enter gives the entry for the key, or a new one, to one more user.
func (ps *pools) enter(k key) (*entry, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.closed {
		return nil, fmt.Errorf("%w: this gateway is stopping", source.ErrUnavailable)
	}
	now := ps.opts.Now()
	e := ps.entries[k]
	if e != nil && e.stale(now) {
		ps.remove(k, e)
		e = nil
	}
	switch {
	case e == nil:
		if len(ps.entries) >= ps.opts.MaxPools && !ps.evict() {
			return nil, fmt.Errorf("%w: %d agreements' connections are in use at once", source.ErrUnavailable, ps.opts.MaxPools)
		}
		e = &entry{ready: make(chan struct{})}
		ps.entries[k] = e
		go ps.open(k, e, nil)
	case e.isReady() && e.err == nil && !e.renewing && now.After(e.retryAt) && !e.pool.renewAt.IsZero() && now.After(e.pool.renewAt):
		e.renewing = true
		go ps.open(k, &entry{ready: make(chan struct{})}, e)
	}
	e.used = now
	e.users++
	return e, nil
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
		if p, err = newPool(ps.opts, k, cred); err != nil {
			err = &callerError{fmt.Errorf("dataset %s: %w", k.dataset, err)}
		}
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
		if e.users == 0 && (oldest == nil || e.used.Before(oldest.used)) {
			oldestKey, oldest = k, e
		}
	}
	if oldest == nil {
		return false
	}
	ps.remove(oldestKey, oldest)
	return true
}

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
	for _, p := range cut {
		p.kill()
	}
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
			if e.users == 0 && now.Sub(e.used) >= ps.opts.IdleTimeout {
				ps.remove(k, e)
			}
		}
		ps.mu.Unlock()
	}
}
