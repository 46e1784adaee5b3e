package exchange

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	exchangev1 "github.com/entente-dev/entente/api/exchange/v1"
	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
)

// Peer is where the operator of another agency is reached, and what vouches for it.
type Peer struct {
	route.Party
	// Endpoint is host:port, Bundle the PEM bundle that its Agency pins.
	Endpoint, Bundle string
}

// PeerOf is where the operator of an agency is reached, by its Agency. An Agency that does not say is an error.
func PeerOf(a *v1alpha1.Agency) (Peer, error) {
	if a.Spec.TrustBundle == "" || a.Spec.Endpoints.Exchange == "" {
		return Peer{}, fmt.Errorf("agency %q has no exchange endpoint or no trust bundle: import what it prints with entente agency export", a.Name)
	}
	return Peer{
		Party:    route.Party{Agency: a.Name, TrustDomain: a.Spec.TrustDomain},
		Endpoint: a.Spec.Endpoints.Exchange, Bundle: a.Spec.TrustBundle,
	}, nil
}

const (
	// callTimeout bounds a message, connection included.
	callTimeout = 5 * time.Second
	// receiptsTimeout bounds a page of receipts, for which the peer's gateways read their logs.
	receiptsTimeout = time.Minute
	// maxConns bounds the connections that are open at once, idleConn says when an unused one is closed.
	maxConns = 128
	idleConn = 5 * time.Minute
	// maxAnswer bounds an answer; a page of a list has about 400 KiB, and little more than 1 MiB. maxPages bounds what a peer can make us read.
	maxAnswer = 2 << 20
	maxPages  = 1000
)

// ErrTooManyPeers says that every connection that may be open is in use.
var ErrTooManyPeers = errors.New("too many connections to peers' exchanges are in use")

// Pool holds the connections to peers' exchanges. Its methods are safe for concurrent use; each sends one message and gives the
// peer's answer, a gRPC status.
type Pool struct {
	own identity.Own

	mu    sync.Mutex
	lines map[string]*line // by trust domain; guarded by mu
}

// line is a connection to one peer, as it was known when it was made.
type line struct {
	peer  Peer
	conn  *grpc.ClientConn
	users int       // guarded by Pool.mu
	used  time.Time // guarded by Pool.mu
}

// NewPool makes a pool for calls with an identity of this agency's operator.
func NewPool(own identity.Own) *Pool { return &Pool{own: own, lines: map[string]*line{}} }

// Propose hands over terms with our signature, and the task forces that they pin, each the spec of a TaskForce as JSON.
func (p *Pool) Propose(ctx context.Context, to Peer, terms []byte, digest, signature string, taskForces [][]byte) error {
	if len(terms) > MaxTerms {
		return refuse(TooLarge, "the terms have %d bytes; at most %d are taken", len(terms), MaxTerms).GRPCStatus().Err()
	}
	return p.call(ctx, to, func(ctx context.Context, c exchangev1.ExchangeServiceClient) error {
		_, err := c.Propose(ctx, &exchangev1.ProposeRequest{Format: Format, Terms: terms, Digest: digest, Signature: signature, TaskForces: taskForces})
		return err
	})
}

// RecordDecision hands over a statement of ours.
func (p *Pool) RecordDecision(ctx context.Context, to Peer, agreement, statement string) error {
	return p.call(ctx, to, func(ctx context.Context, c exchangev1.ExchangeServiceClient) error {
		_, err := c.RecordDecision(ctx, &exchangev1.RecordDecisionRequest{Format: Format, Agreement: agreement, Statement: statement})
		return err
	})
}

// Announce says that our list says something new.
func (p *Pool) Announce(ctx context.Context, to Peer) error {
	return p.call(ctx, to, func(ctx context.Context, c exchangev1.ExchangeServiceClient) error {
		_, err := c.Announce(ctx, &exchangev1.AnnounceRequest{})
		return err
	})
}

// Listed is what a peer's list says besides the agreements.
type Listed struct {
	// Skew is how far the peer's clock is from ours; nil: it does not say.
	Skew *Skew
	// Maintenance that the peer announces; nil: none.
	Maintenance *v1alpha1.Maintenance
}

// List gives every agreement that the peer shows us, page by page.
func (p *Pool) List(ctx context.Context, to Peer, now func() time.Time, each func(*exchangev1.Agreement)) (Listed, error) {
	token := ""
	var out Listed
	for range maxPages {
		var page *exchangev1.ListResponse
		sent := now()
		err := p.call(ctx, to, func(ctx context.Context, c exchangev1.ExchangeServiceClient) (err error) {
			page, err = c.List(ctx, &exchangev1.ListRequest{PageToken: token})
			return err
		})
		if err != nil {
			return Listed{}, err
		}
		if at := page.GetNow(); at != nil && at.IsValid() {
			// The connection may be made in the first call: the shortest is the most exact.
			if s := skewOf(sent, now(), at.AsTime()); out.Skew == nil || s.Margin < out.Skew.Margin {
				out.Skew = &s
			}
		}
		out.Maintenance = announced(page.GetMaintenance(), now())
		for _, a := range page.GetAgreements() {
			each(a)
		}
		if token = page.GetNextPageToken(); token == "" {
			return out, nil
		}
	}
	return Listed{}, fmt.Errorf("the list has more than %d pages", maxPages)
}

// Close closes every connection.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for domain, l := range p.lines {
		_ = l.conn.Close()
		delete(p.lines, domain)
	}
}

func (p *Pool) call(ctx context.Context, to Peer, send func(context.Context, exchangev1.ExchangeServiceClient) error) error {
	return p.callWithin(ctx, callTimeout, to, send)
}

func (p *Pool) callWithin(ctx context.Context, timeout time.Duration, to Peer, send func(context.Context, exchangev1.ExchangeServiceClient) error) error {
	l, err := p.acquire(to)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = send(ctx, exchangev1.NewExchangeServiceClient(l.conn))
	// A connection that swallows messages is not used again.
	p.release(l, status.Code(err) == codes.DeadlineExceeded)
	return err
}

func (p *Pool) acquire(to Peer) (*line, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.lines[to.TrustDomain]; l != nil {
		if l.peer == to {
			l.users++
			return l, nil
		}
		p.drop(l) // the Agency changed
	}
	if len(p.lines) >= maxConns && !p.evict() {
		return nil, ErrTooManyPeers
	}
	conn, err := p.dial(to)
	if err != nil {
		return nil, err
	}
	l := &line{peer: to, conn: conn, users: 1}
	p.lines[to.TrustDomain] = l
	return l, nil
}

func (p *Pool) release(l *line, broken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.users--
	l.used = time.Now()
	if current := p.lines[l.peer.TrustDomain] == l; broken && current {
		p.drop(l)
	} else if !current && l.users == 0 {
		_ = l.conn.Close()
	}
}

// drop has mu. Calls under way end by themselves.
func (p *Pool) drop(l *line) {
	delete(p.lines, l.peer.TrustDomain)
	if l.users == 0 {
		_ = l.conn.Close()
	}
}

// evict closes the connection that was not used for the longest. It has mu.
func (p *Pool) evict() bool {
	var oldest *line
	for _, l := range p.lines {
		if l.users == 0 && (oldest == nil || l.used.Before(oldest.used)) {
			oldest = l
		}
	}
	if oldest == nil {
		return false
	}
	p.drop(oldest)
	return true
}

// dial makes a connection that accepts nobody but the peer's operator, and shows ours.
func (p *Pool) dial(to Peer) (*grpc.ClientConn, error) {
	if to.Endpoint == "" {
		return nil, fmt.Errorf("agency %s publishes no exchange endpoint", to.Agency)
	}
	bundle, err := identity.Bundle(to.TrustDomain, to.Bundle)
	if err != nil {
		return nil, err
	}
	config := identity.ClientConfig(identity.OperatorID(to.TrustDomain), bundle, p.own.Certificate)
	return grpc.NewClient("passthrough:///"+to.Endpoint,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(idleConn),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: callTimeout,
		}),
	)
}
