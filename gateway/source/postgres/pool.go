package postgres

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/entente-dev/entente/gateway/route"
)

// key names a pool. The target is part of it, so that a dataset bound anew is connected to anew.
type key struct {
	agreement, dataset string
	target             route.PostgreSQL
}

// pool is the connections of one login.
type pool struct {
	key     key
	pgx     *pgxpool.Pool
	renewAt time.Time // a new login is sought; zero: never
	expires time.Time // the login is not used any more; zero: never

	mu     sync.Mutex
	conns  map[*trackedConn]struct{} // open connections; nil when killed
	killed bool
}

var errKilled = errors.New("postgres: closed, because the agreement was revoked")

// newPool makes a pool; it connects when first used.
func newPool(o Options, k key, cred Credential) (*pool, error) {
	c, err := connConfig(o, k.target, cred, "entente "+k.agreement)
	if err != nil {
		return nil, err
	}
	p := &pool{key: k, conns: map[*trackedConn]struct{}{}}
	c.DialFunc = dialer(o.ConnectTimeout, p.track)
	if !cred.Expires.IsZero() {
		// Renewed after two thirds of its life, or a minute before the end, whichever is earlier; given up a little
		// before the end, so that no query runs into it.
		life := cred.Expires.Sub(o.Now())
		p.renewAt = cred.Expires.Add(-max(life/3, min(time.Minute, life/2)))
		p.expires = cred.Expires.Add(-min(2*time.Second, life/10))
	}
	config, err := pgxpool.ParseConfig("host=localhost user=none password=none dbname=none sslmode=disable")
	if err != nil {
		return nil, errors.New("postgres: the environment (PG… variables) keeps the driver from being configured")
	}
	config.ConnConfig = c
	config.MaxConns, config.MinConns = o.MaxConns, 0
	config.MaxConnIdleTime = o.IdleTimeout
	config.MaxConnLifetime = time.Hour
	config.PingTimeout = o.ConnectTimeout
	config.AfterConnect = func(context.Context, *pgx.Conn) error {
		if p.isKilled() {
			return errKilled
		}
		return nil
	}
	p.pgx, err = pgxpool.NewWithConfig(context.Background(), config)
	return p, err
}

// drain closes the pool when its queries have ended.
func (p *pool) drain() { p.pgx.Close() }

// kill cuts every connection off, whatever runs on it, and closes the pool. It does not wait for those who used it.
func (p *pool) kill() {
	p.mu.Lock()
	conns := p.conns
	p.conns, p.killed = nil, true
	p.mu.Unlock()
	for c := range conns {
		c.cut()
	}
	go p.drain()
}

func (p *pool) isKilled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killed
}

// track remembers a connection until it is closed. After a kill there are only those that carry cancel requests, and those
// that AfterConnect refuses.
func (p *pool) track(c net.Conn) net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.killed {
		return c
	}
	t := &trackedConn{Conn: c, pool: p}
	p.conns[t] = struct{}{}
	return t
}

// trackedConn is a connection below TLS, where it can be closed at once.
type trackedConn struct {
	net.Conn
	pool *pool
}

func (t *trackedConn) Close() error {
	t.pool.mu.Lock()
	delete(t.pool.conns, t)
	t.pool.mu.Unlock()
	return t.Conn.Close()
}

func (t *trackedConn) cut() { _ = t.Conn.Close() }
