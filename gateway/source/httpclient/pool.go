package httpclient

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/entente-dev/entente/gateway/route"
)

// Options of a Pool.
type Options struct {
	// Secrets gives the secret for the service that a dataset is bound to; nil: there are none.
	Secrets func(ctx context.Context, dataset string) (Secret, error)
	// MaxClients that are kept at once; default 64. Beyond it, the one unused for longest is closed.
	MaxClients int
	// Refresh is how old a secret may get before it is read again; default 5 min. One that cannot be read anew goes on.
	Refresh time.Duration
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Pool asks services. Connections are made when they are needed, for each agreement and dataset its own, so that they end with it.
// It is safe for concurrent use.
type Pool struct {
	opts Options

	mu      sync.Mutex
	entries map[key]*entry
	// leaving are clients that are given to nobody any more, and still used.
	leaving map[*entry]key
	closed  bool
}

type key struct{ agreement, dataset string }

// entry is the client for a key, and who uses it.
type entry struct {
	client *client
	// Held by Pool.mu.
	read  time.Time // of the secret
	used  time.Time
	users sync.WaitGroup
	busy  int
}

// NewPool makes a pool.
func NewPool(o Options) *Pool {
	if o.MaxClients <= 0 {
		o.MaxClients = 64
	}
	if o.Refresh <= 0 {
		o.Refresh = 5 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Pool{opts: o, entries: map[key]*entry{}, leaving: map[*entry]key{}}
}

// Do asks a service on behalf of an agreement. A secret that the service does not take (any more) is read again, once.
func (p *Pool) Do(ctx context.Context, agreement, dataset string, access route.HTTPAccess, r Request) (*Answer, error) {
	k := key{agreement, dataset}
	for again := false; ; again = true {
		e, err := p.enter(ctx, k, access, again)
		if err != nil {
			return nil, err
		}
		answer, err := e.client.do(ctx, r)
		p.leave(e)
		if again || !errors.Is(err, errUnauthorized) {
			return answer, err
		}
	}
}

// enter gives the client for the key to one more user, with a new secret if need be.
func (p *Pool) enter(ctx context.Context, k key, access route.HTTPAccess, anew bool) (*entry, error) {
	p.mu.Lock()
	e := p.entries[k]
	now := p.opts.Now()
	stale := e != nil && len(access.Authentication) > 0 && now.Sub(e.read) >= p.opts.Refresh
	if e != nil && !anew && !stale && reflect.DeepEqual(e.client.access, access) {
		p.use(e, now)
		p.mu.Unlock()
		return e, nil
	}
	p.mu.Unlock()

	secret, err := p.secret(ctx, k.dataset, access)
	if err != nil && !(stale && !anew) {
		return nil, unavailable(fmt.Errorf("its secret cannot be had: %w", err))
	}
	var c *client
	if err == nil {
		if c, err = newClient(access, secret); err != nil {
			return nil, unavailable(err)
		}
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err // it may be over because the agreement is
	}
	if p.closed {
		return nil, unavailable(errCut)
	}
	e = p.entries[k]
	if c == nil { // the secret that there is goes on
		if e == nil {
			return nil, unavailable(errCut)
		}
		e.read = now
		p.use(e, now)
		return e, nil
	}
	if e != nil {
		p.remove(k, e)
	}
	if len(p.entries) >= p.opts.MaxClients && !p.evict() {
		return nil, unavailable(fmt.Errorf("%d agreements' connections are in use at once", p.opts.MaxClients))
	}
	e = &entry{client: c, read: now}
	p.entries[k] = e
	p.use(e, now)
	return e, nil
}

func (p *Pool) secret(ctx context.Context, dataset string, access route.HTTPAccess) (Secret, error) {
	if len(access.Authentication) == 0 {
		return Secret{}, nil
	}
	if p.opts.Secrets == nil {
		return Secret{}, errors.New("this gateway has no place for secrets")
	}
	return p.opts.Secrets(ctx, dataset)
}

func (p *Pool) use(e *entry, now time.Time) {
	e.used = now
	e.busy++
	e.users.Add(1)
}

func (p *Pool) leave(e *entry) {
	p.mu.Lock()
	e.busy--
	p.mu.Unlock()
	e.users.Done()
}

// remove stops giving out a client; its users end by themselves, and their connections with them.
func (p *Pool) remove(k key, e *entry) {
	delete(p.entries, k)
	p.leaving[e] = k
	go func() {
		e.users.Wait()
		e.client.close()
		p.mu.Lock()
		delete(p.leaving, e)
		p.mu.Unlock()
	}()
}

// evict closes the client that was unused for longest; false: all are in use.
func (p *Pool) evict() bool {
	var oldestKey key
	var oldest *entry
	for k, e := range p.entries {
		if e.busy == 0 && (oldest == nil || e.used.Before(oldest.used)) {
			oldestKey, oldest = k, e
		}
	}
	if oldest == nil {
		return false
	}
	p.remove(oldestKey, oldest)
	return true
}

// Revoke cuts off everything of the agreement. When it returns, no request runs and no connection is open.
func (p *Pool) Revoke(agreement string) {
	p.cut(func(k key) bool { return k.agreement == agreement })
}

// Close cuts everything off. The pool cannot be used afterwards.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cut(func(key) bool { return true })
	return nil
}

func (p *Pool) cut(match func(key) bool) {
	var cut []*entry
	p.mu.Lock()
	for k, e := range p.entries {
		if match(k) {
			delete(p.entries, k)
			cut = append(cut, e)
		}
	}
	for e, k := range p.leaving {
		if match(k) {
			cut = append(cut, e)
		}
	}
	p.mu.Unlock()
	for _, e := range cut {
		e.client.close()
	}
	for _, e := range cut {
		e.users.Wait()
		e.client.http.CloseIdleConnections()
	}
}
