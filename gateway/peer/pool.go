// Package peer connects this agency's gateway to source gateways: one connection and one agreement credential for each
// source and agreement, made on first use, renewed before it ends, closed when idle and gone with its route.
package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/tracing"
)

const (
	// maxLinks bounds what ten thousand agreements can have open at once.
	maxLinks = 1024
	// idleTransport is when an unused connection is closed, idleLink when its credential is forgotten too.
	idleTransport = 5 * time.Minute
	idleLink      = 30 * time.Minute
	// maxFrame is the largest frame taken from a source; sources send 256 KiB, more only for one huge record.
	maxFrame = 4 << 20
	// minCredentialAge keeps a source that refuses everything from being asked for a new credential at each query.
	minCredentialAge = time.Minute
)

// ErrCredential wraps the failure to get an agreement credential from the source's exchange.
var ErrCredential = errors.New("no agreement credential")

// ErrBusy says that every connection that the gateway may have is in use.
var ErrBusy = errors.New("too many connections to source gateways are in use")

// Pool holds the connections. Its methods are safe for concurrent use.
type Pool struct {
	self   route.Party
	issuer Issuer
	trace  *tracing.Tracer

	mu     sync.Mutex // guards all below, and every field of a link but its connection
	links  map[key]*link
	closed bool

	circuits circuits
}

type key struct{ trustDomain, agreement string }

// link is the way to one source under one agreement.
type link struct {
	source     route.Peer
	credential *credential
	line       *line         // nil until the first credential is there
	pending    chan struct{} // closed when the issue under way ends; nil: none is
	failed     error         // of the last issue
	failures   int
	retryAt    time.Time // no issue before
	suspect    bool      // the source refused or went away under this credential
	used       time.Time
}

// line is one gRPC connection under one credential. A renewal opens a new line; the old one closes after its last call.
type line struct {
	conn    *grpc.ClientConn
	streams streams
	source  route.Peer
	users   int
	retired bool
}

// NewPool makes a pool for the gateways of self. A nil tracer makes no spans.
func NewPool(self route.Party, issuer Issuer, trace *tracing.Tracer) *Pool {
	return &Pool{self: self, issuer: issuer, trace: trace, links: map[key]*link{}}
}

// Retrieve sends one request to the source under the agreement and calls each for every frame of the answer. Errors are
// gRPC statuses of the call, or wrap ErrCredential or ErrBusy, or are an *OpenError, or what each returned.
func (p *Pool) Retrieve(ctx context.Context, source route.Peer, agreement string, req *gatewayv1.RetrieveRequest, each func(*gatewayv1.RetrieveResponse) error) (err error) {
	l, err := p.acquire(ctx, source, agreement)
	if err != nil {
		return err
	}
	defer p.release(l)
	// After the credential: that a source's exchange issues none any more is not hidden by a gateway that does not answer.
	line := source.TrustDomain + " " + source.Gateway
	if err := p.circuits.admit(line, time.Now()); err != nil {
		return err
	}
	began, heard, own := time.Now(), false, false
	defer func() { p.circuits.learn(line, endingOf(ctx, err, heard, time.Since(began)), time.Now()) }()
	err = p.ask(ctx, l, req, func(f *gatewayv1.RetrieveResponse) error {
		heard = true
		err := each(f)
		own = err != nil
		return err
	})
	if err != nil && !own {
		p.suspect(source, agreement, err)
	}
	return err
}

// Drop forgets everything about the agreement; calls under way end with an error.
func (p *Pool) Drop(agreement string) {
	p.mu.Lock()
	var conns []*grpc.ClientConn
	for k, l := range p.links {
		if k.agreement != agreement {
			continue
		}
		if l.line != nil {
			conns = append(conns, l.line.conn)
		}
		delete(p.links, k)
	}
	p.mu.Unlock()
	closeAll(conns)
}

// recent is how long ago a link was used when its credential counts: others are not renewed until somebody needs them.
const recent = 5 * time.Minute

// Credentials counts the agreement credentials that were of use in the last minutes, those of them that could not be got or renewed at the
// last try, and says how long the first of them to end has left; 0 when there is none.
func (p *Pool) Credentials(now time.Time) (held, failing int, left time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		if now.Sub(l.used) > recent {
			continue
		}
		if l.failed != nil {
			failing++
		}
		if l.credential == nil {
			continue
		}
		if until := l.credential.notAfter.Sub(now); held == 0 || until < left {
			left = until
		}
		held++
	}
	return held, failing, left
}

// Close closes every connection.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	var conns []*grpc.ClientConn
	for k, l := range p.links {
		if l.line != nil {
			conns = append(conns, l.line.conn)
		}
		delete(p.links, k)
	}
	p.mu.Unlock()
	closeAll(conns)
}

func closeAll(conns []*grpc.ClientConn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

// acquire gives a line that carries a credential in force, waiting for the first issue if need be.
func (p *Pool) acquire(ctx context.Context, source route.Peer, agreement string) (*line, error) {
	if source.Gateway == "" {
		return nil, fmt.Errorf("agency %s publishes no gateway endpoint", source.Agency)
	}
	k := key{source.TrustDomain, agreement}
	for {
		now := time.Now()
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, errors.New("the gateway is stopping")
		}
		l := p.links[k]
		if l == nil {
			if err := p.makeRoom(now); err != nil {
				p.mu.Unlock()
				return nil, err
			}
			l = &link{source: source}
			p.links[k] = l
		}
		l.used = now
		l.source = source
		usable := l.credential != nil && now.Before(l.credential.usableUntil())
		if p.wantsIssue(l, now) {
			l.pending = make(chan struct{})
			go p.renew(p.trace.Detach(ctx), l, agreement, l.pending)
		}
		if usable {
			ln, err := p.lineOf(l)
			if err == nil {
				ln.users++
			}
			p.mu.Unlock()
			return ln, err
		}
		pending, failed := l.pending, l.failed
		p.mu.Unlock()
		if pending == nil {
			return nil, fmt.Errorf("%w: %w", ErrCredential, failed)
		}
		select {
		case <-pending:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// wantsIssue says whether to ask the exchange now.
func (p *Pool) wantsIssue(l *link, now time.Time) bool {
	switch {
	case l.pending != nil || now.Before(l.retryAt):
		return false
	case l.credential == nil, now.After(l.credential.renewAt()):
		return true
	}
	return l.suspect && now.Sub(l.credential.notBefore) > minCredentialAge
}

// A source that refused a credential is asked again when somebody needs it: soon at first, since an agreement comes into force at its
// parties within moments of each other, and then every refusedWait.
const (
	firstRefusedWait = 100 * time.Millisecond
	refusedWait      = 500 * time.Millisecond
)

// renew gets a credential. One runs for a link at a time.
func (p *Pool) renew(ctx context.Context, l *link, agreement string, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	ctx, span := p.trace.Call(ctx, tracing.Credential)
	defer span.End()
	span.Clause(agreement, "")
	p.mu.Lock()
	source := l.source
	p.mu.Unlock()
	c, err := issue(p.trace.ToCall(ctx), p.issuer, p.self, source, agreement, time.Now())
	span.Failed(err)

	p.mu.Lock()
	defer p.mu.Unlock()
	defer close(done)
	l.pending = nil
	l.failed = err
	if err != nil {
		l.failures++
		// Jitter, so that the gateways of an agency do not ask an exchange that comes back all at once.
		wait := min(250*time.Millisecond<<min(l.failures, 7), 30*time.Second)
		if status.Code(err) == codes.PermissionDenied {
			// The exchange is well, and the agreement is not in force there yet: it may be at any moment.
			wait = min(firstRefusedWait<<min(l.failures-1, 7), refusedWait)
		}
		l.retryAt = time.Now().Add(wait/2 + rand.N(wait/2))
		return
	}
	l.failures, l.suspect, l.credential = 0, false, c
	p.retire(l)
}

// lineOf gives the link's line, opening one for the present credential and endpoint.
func (p *Pool) lineOf(l *link) (*line, error) {
	if l.line != nil && l.line.source == l.source {
		return l.line, nil
	}
	p.retire(l)
	conn, err := dial(l.source, l.credential.certificate)
	if err != nil {
		return nil, err
	}
	l.line = &line{conn: conn, source: l.source}
	return l.line, nil
}

// retire takes the line out of use; its last caller closes it.
func (p *Pool) retire(l *link) {
	ln := l.line
	if ln == nil {
		return
	}
	l.line = nil
	ln.retired = true
	if ln.users == 0 {
		go ln.conn.Close()
	}
}

func (p *Pool) release(ln *line) {
	p.mu.Lock()
	ln.users--
	last := ln.retired && ln.users == 0
	p.mu.Unlock()
	if last {
		_ = ln.conn.Close()
	}
}

// suspect marks the credential for renewal when the source could not be reached or did not take it: its authority may
// have changed.
func (p *Pool) suspect(source route.Peer, agreement string, err error) {
	if c := status.Code(err); c != codes.Unavailable && c != codes.Unauthenticated {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.links[key{source.TrustDomain, agreement}]; l != nil {
		l.suspect = true
	}
}

// makeRoom forgets what has long been idle, and when the pool is full what has been idle longest.
func (p *Pool) makeRoom(now time.Time) error {
	var oldest key
	var found *link
	for k, l := range p.links {
		if l.pending != nil || (l.line != nil && l.line.users > 0) {
			continue
		}
		if now.Sub(l.used) > idleLink {
			p.forget(k, l)
			continue
		}
		if found == nil || l.used.Before(found.used) {
			oldest, found = k, l
		}
	}
	if len(p.links) < maxLinks {
		return nil
	}
	if found == nil {
		return ErrBusy
	}
	p.forget(oldest, found)
	return nil
}

func (p *Pool) forget(k key, l *link) {
	p.retire(l)
	delete(p.links, k)
}

// dial makes a connection that opens on its first call, to the replicas that the name stands for.
func dial(source route.Peer, certificate *tls.Certificate) (*grpc.ClientConn, error) {
	bundle, err := identity.Bundle(source.TrustDomain, source.TrustBundle)
	if err != nil {
		return nil, err
	}
	config := identity.ClientConfig(identity.GatewayID(source.TrustDomain), bundle,
		func(context.Context) (*tls.Certificate, error) { return certificate, nil })
	return grpc.NewClient("dns:///"+source.Gateway,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDisableServiceConfig(), // that the name service might give
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"`+balancerName+`":{}}]}`),
		grpc.WithIdleTimeout(idleTransport),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.3, MaxDelay: 10 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxFrame), grpc.ForceCodecV2(newCodec())),
	)
}
