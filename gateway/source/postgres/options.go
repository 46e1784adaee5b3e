// Package postgres reads records from PostgreSQL, with a login of its own for each agreement and dataset, which the
// database lets read the agreed columns and no others.
package postgres

import (
	"context"
	"time"
)

// Credential is a login that the source system has issued.
type Credential struct {
	Username, Password string
	// Expires is when the login ends; zero: never.
	Expires time.Time
}

// String keeps the password out of logs.
func (c Credential) String() string { return c.Username }

// GoString keeps the password out of logs.
func (c Credential) GoString() string { return c.Username }

// Options of a Source. Only Credentials has to be given.
type Options struct {
	// Credentials issues a new login of a role (route.PostgreSQL.Role). Its context bounds the wait; it has no other
	// caller's cancellation, since many queries may wait for one login.
	Credentials func(ctx context.Context, role string) (Credential, error)

	// MaxConns of each agreement and dataset; default 4. A query asks many agencies at once, so each gives little.
	MaxConns int32
	// MaxPools open at once; default 64. Beyond it the one unused for longest is closed, and if all are in use a query
	// is refused as unavailable.
	MaxPools int
	// ConnectTimeout bounds a connection's start and the wait for a login; default 5 s.
	ConnectTimeout time.Duration
	// StatementTimeout is set on every session: the database ends what runs longer, whatever became of this gateway. Set
	// it below the deadline of queries; default 8 s.
	StatementTimeout time.Duration
	// CancelGrace is how long a statement may go on after its caller has gone away (not after a deadline). A look-up
	// ends by itself within it and keeps its connection, where cutting it off would cost a new one; default 250 ms.
	CancelGrace time.Duration
	// IdleTimeout closes connections, and logins, that were not used for so long; default 5 min.
	IdleTimeout time.Duration
	// RetryAfter is how long a login that could not be had is not asked for again; default 1 s.
	RetryAfter time.Duration
	// Now is the clock that logins expire by; default time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 4
	}
	if o.MaxPools <= 0 {
		o.MaxPools = 64
	}
	set(&o.ConnectTimeout, 5*time.Second)
	set(&o.StatementTimeout, 8*time.Second)
	set(&o.CancelGrace, 250*time.Millisecond)
	set(&o.IdleTimeout, 5*time.Minute)
	set(&o.RetryAfter, time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
