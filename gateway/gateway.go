// Package gateway puts a gateway together from its parts and runs it. The processes `entente gateway` and `entente
// standalone` differ in where routes, identity and source credentials come from, and in nothing that decides.
package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/disclosure"
	"github.com/entente-dev/entente/gateway/federation"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/metrics"
	"github.com/entente-dev/entente/gateway/page"
	"github.com/entente-dev/entente/gateway/peer"
	"github.com/entente-dev/entente/gateway/quota"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/server"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/tracing"
	"github.com/entente-dev/entente/gateway/transparency"
	"github.com/entente-dev/entente/gateway/witness"
)

// Config is what a gateway runs on.
type Config struct {
	// Table of routes; its Self is this gateway's agency. Whoever feeds it calls Put and Remove while the gateway runs:
	// when they return, a revocation has cut what ran under the agreement and closed what was open for it.
	Table *route.Table
	// Log and Sources belong to the gateway from here on: Run closes them.
	Log     *audit.Log
	Sources source.Source
	// Quotas counts daily quotas; nil: nothing is answered under clauses that have any. It belongs to the gateway from here on, too.
	Quotas *quota.Store
	// Own identity: the certificate for spiffe://<trust domain>/gateway, and the agency's own trust bundle.
	Own identity.Own
	// StateDir keeps the keys of pseudonyms and subject tokens. It is on the gateway's volume.
	StateDir string

	// Listen addresses; ":0" takes any free port, "" leaves the listener out.
	Listen Addrs
	// Ready is called once every listener is bound, with the addresses they have.
	Ready func(Addrs)

	// Serving is the certificate for local users on REST and gRPC, whose names are those that users connect to; nil: Own's.
	Serving func(context.Context) (*tls.Certificate, error)
	// ClientCAs vouch for local users' client certificates; nil: none are taken.
	ClientCAs *x509.CertPool
	// OIDC provider of local users' tokens; nil: none are taken.
	OIDC *server.OIDC

	// SourceExplainGroups of the agency's own users may have queries explained as the source, and see its tables and columns; nil: nobody.
	SourceExplainGroups []string

	// SourceTimeout bounds the reading of this agency's own sources, PeerTimeout the wait for another agency's; 0: defaults.
	SourceTimeout, PeerTimeout time.Duration
	// FanOut is how many sources one query asks at a time, MaxSources how many in all; 0: defaults.
	FanOut, MaxSources int
	// LogRetention is how long the payloads of log records are kept; 0: no date is set.
	LogRetention time.Duration
	// Transparency says how the log is made public; the zero value is usual.
	Transparency transparency.Options
	// Witness of peers' logs, served at Listen.Witness; nil: this gateway is none. It belongs to the gateway from here on.
	Witness *witness.Witness
	// DrainTimeout is how long running queries may go on after ctx ends; 0: DefaultDrainTimeout.
	DrainTimeout time.Duration
	// Issuer of agreement credentials; nil: the sources' exchanges, over the network.
	Issuer peer.Issuer
	// Checks that readiness asks besides the gateway's own.
	Checks []server.Check
	// Metrics to use, so that the caller can add its own; nil: new ones.
	Metrics *metrics.Metrics
	// Trace makes spans; nil: none. The caller closes it.
	Trace  *tracing.Tracer
	Logger *slog.Logger
}

// DefaultLogRetention is five years (5 U.S.C. 552a(c)(2)), with the leap days that they have at most.
const DefaultLogRetention = (5*365 + 2) * 24 * time.Hour

// DefaultDrainTimeout bounds a graceful stop.
const DefaultDrainTimeout = 10 * time.Second

// Addrs are the addresses of the listeners, host:port.
type Addrs struct {
	// REST for local users, usually :8443.
	REST string
	// GRPC for local users, usually :8444.
	GRPC string
	// Peer gateways, usually :9443.
	Peer string
	// Health: metrics and health without TLS, usually :8080.
	Health string
	// Witness of other agencies' logs, with TLS; it is only served by a gateway that is one.
	Witness string `json:",omitempty"`
}

// maxConnections bounds each listener.
const maxConnections = 4096

// filterCache is how many compiled filters are kept.
const filterCache = 4096

// Run serves until ctx ends, then stops taking requests, lets running ones finish, and closes Log and Sources. It returns
// nil after such a stop, and the error that kept it from serving otherwise.
func Run(ctx context.Context, c Config) (err error) {
	defer func() { err = errors.Join(err, closeOnce(c)) }()
	g, err := assemble(c)
	if err != nil {
		return err
	}
	defer g.peers.Close()
	defer g.closeTransparency()
	if err := g.listen(ctx); err != nil {
		return err
	}
	return g.serve(ctx)
}

func closeOnce(c Config) error {
	var errs []error
	if c.Sources != nil {
		errs = append(errs, c.Sources.Close())
	}
	if c.Quotas != nil {
		errs = append(errs, c.Quotas.Close())
	}
	if c.Witness != nil {
		errs = append(errs, c.Witness.Close())
	}
	if c.Log != nil {
		if err := c.Log.Close(); err != nil && !errors.Is(err, audit.ErrClosed) {
			errs = append(errs, fmt.Errorf("close the log: %w", err))
		}
	}
	return errors.Join(errs...)
}

// running is a gateway while it runs.
type running struct {
	Config
	peers     *peer.Pool
	server    *server.Server
	checks    []server.Check
	listeners []listener
	public    *transparency.Log
}

// listener is one bound listener and what serves it.
type listener struct {
	net.Listener
	name  string
	serve func(net.Listener) error
	// stop takes no more requests and waits for those that run; kill does not wait.
	stop func(context.Context)
	kill func()
}

func assemble(c Config) (*running, error) {
	if c.Table == nil || c.Log == nil || c.Sources == nil || c.Own == nil {
		return nil, errors.New("gateway: table, log, sources and identity are required")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Metrics == nil {
		c.Metrics = metrics.New()
	}
	if c.DrainTimeout <= 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	pseudonyms, err := federation.OpenPseudonyms(c.StateDir)
	if err != nil {
		return nil, fmt.Errorf("pseudonym key: %w", err)
	}
	subjects, err := disclosure.OpenSubjects(c.StateDir)
	if err != nil {
		return nil, fmt.Errorf("subject key: %w", err)
	}
	c.Own = identity.Cached(c.Own)
	issuer := c.Issuer
	if issuer == nil {
		issuer = peer.Exchange{Own: c.Own}
	}
	g := &running{Config: c, peers: peer.NewPool(c.Table.Self(), issuer, c.Trace)}
	watched := &source.Watched{Source: c.Sources}
	compile := filter.NewCache(filterCache).Compile
	sources := disclosure.Config{
		Table: c.Table, Log: c.Log, Sources: watched, Subjects: subjects, Compile: compile, Timeout: c.SourceTimeout,
		Positions: page.NewKeys(c.Log.Keys(), "positions in pages", time.Now),
		Retain:    c.LogRetention, Metrics: c.Metrics, Trace: c.Trace, Logger: c.Logger,
	}
	sources.ExplainGroups = c.SourceExplainGroups
	if c.Quotas != nil {
		sources.Quotas = c.Quotas
	}
	disclosures := disclosure.New(sources)
	queries := federation.New(federation.Config{
		Table: c.Table, Log: c.Log, Peers: g.peers, Pseudonyms: pseudonyms, Compile: compile, Timeout: c.PeerTimeout,
		Width: c.FanOut, MaxSources: c.MaxSources, PageKeys: page.NewKeys(c.Log.Keys(), "page tokens", time.Now),
		Retain: c.LogRetention, Metrics: c.Metrics, Trace: c.Trace, Logger: c.Logger,
	})
	// After the cores, which cut what runs: then what was open for it is closed.
	c.Table.Subscribe(func(old, new *route.Route) {
		switch {
		case new == nil:
			g.ended(old.Agreement)
		case new.Tombstone != nil:
			g.ended(new.Agreement)
		}
	})
	c.Transparency.Logger = c.Logger
	if g.public, err = transparency.Open(c.Log, c.Transparency); err != nil {
		return nil, err
	}
	g.server, err = server.New(server.Config{
		Federation: queries, Disclosure: disclosures, Own: c.Own, TrustDomain: c.Table.Self().TrustDomain, Serving: c.Serving,
		ClientCAs: c.ClientCAs, OIDC: c.OIDC, Receipts: c.Log.ReadSince, Metrics: c.Metrics, Trace: c.Trace, Logger: c.Logger, Log: g.public.Handler(),
	})
	if err != nil {
		g.closeTransparency()
		return nil, err
	}
	g.checks = append([]server.Check{
		{Name: "log", Check: c.Log.Healthy, Note: g.witnesses},
		{Name: "identity", Check: func() error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, err := c.Own.Certificate(ctx)
			return err
		}},
		{Name: "trust-bundle", Check: func() error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, err := c.Own.TrustBundle(ctx)
			return err
		}},
	}, c.Checks...)
	c.Metrics.Gauge("entente_gateway_log_healthy", "1 while the audit log can be written; at 0 nothing is disclosed.", func() float64 {
		if c.Log.Healthy() != nil {
			return 0
		}
		return 1
	})
	c.Metrics.Gauge("entente_gateway_log_integration_lag_seconds", "How long the oldest log entry without a checkpoint has waited; beyond the merge delay queries are refused.", func() float64 {
		return g.public.Status().Lag.Seconds()
	})
	c.Metrics.Gauge("entente_gateway_log_checkpoint_entries", "Entries of the log that its latest checkpoint covers.", func() float64 {
		return float64(g.public.Status().Published)
	})
	if c.Transparency.Witnesses != nil {
		g.witnessedMetrics()
	}
	if c.Witness != nil {
		WitnessMetrics(c.Metrics, c.Witness)
	}
	g.stateMetrics(watched)
	c.Metrics.Gauge("entente_gateway_log_key_made_timestamp_seconds", "When the data key was made that seals the audit log's records; 0: there is none. It is made anew each day.", func() float64 {
		if at := c.Log.KeyMade(); !at.IsZero() {
			return float64(at.Unix())
		}
		return 0
	})
	c.Metrics.Gauge("entente_gateway_circuits_open", "Sources that are not asked for now, because their gateways did not answer the last times.", func() float64 {
		return float64(g.peers.OpenCircuits())
	})
	c.Metrics.Gauge("entente_gateway_routes", "Agreements whose routes are served, tombstones included.", func() float64 {
		return float64(len(c.Table.All()))
	})
	return g, nil
}

// ended closes what is open for an agreement.
func (g *running) ended(agreement string) {
	g.peers.Drop(agreement)
	g.Sources.Revoke(agreement)
}

// listen binds every listener, or none.
func (g *running) listen(ctx context.Context) error {
	rest := g.server.REST()
	local, localHealth := g.server.GRPC()
	peers, leave := g.server.Peer()
	healthz := g.server.Health(g.checks)

	cosigner, cosign := &http.Server{}, ""
	if g.Witness != nil {
		cosigner, cosign = g.server.Local(g.Witness.Server()), g.Listen.Witness
	}

	bound := Addrs{}
	for _, l := range []struct {
		listener
		address string
		bound   *string
	}{
		{listener{name: "rest", serve: func(l net.Listener) error { return rest.ServeTLS(l, "", "") }, stop: stopHTTP(rest), kill: func() { _ = rest.Close() }}, g.Listen.REST, &bound.REST},
		{listener{name: "grpc", serve: local.Serve, stop: func(ctx context.Context) { localHealth.Shutdown(); stopGRPC(local)(ctx) }, kill: local.Stop}, g.Listen.GRPC, &bound.GRPC},
		{listener{name: "peer", serve: peers.Serve, stop: func(ctx context.Context) { leave(); stopGRPC(peers)(ctx) }, kill: peers.Stop}, g.Listen.Peer, &bound.Peer},
		{listener{name: "health", serve: healthz.Serve, stop: stopHTTP(healthz), kill: func() { _ = healthz.Close() }}, g.Listen.Health, &bound.Health},
		{listener{name: "witness", serve: func(l net.Listener) error { return cosigner.ServeTLS(l, "", "") }, stop: stopHTTP(cosigner), kill: func() { _ = cosigner.Close() }}, cosign, &bound.Witness},
	} {
		if l.address == "" {
			continue
		}
		ln, err := net.Listen("tcp", l.address)
		if err != nil {
			for _, b := range g.listeners {
				_ = b.Close()
			}
			return fmt.Errorf("%s listener: %w", l.name, err)
		}
		*l.bound = ln.Addr().String()
		l.Listener = newBounded(ln, l.name, maxConnections, minSilence, g.Logger)
		g.listeners = append(g.listeners, l.listener)
	}
	go g.followHealth(ctx, localHealth)
	if g.Ready != nil {
		g.Ready(bound)
	}
	return nil
}

func stopHTTP(s *http.Server) func(context.Context) {
	return func(ctx context.Context) { _ = s.Shutdown(ctx) }
}

func stopGRPC(s *grpc.Server) func(context.Context) {
	return func(ctx context.Context) {
		done := make(chan struct{})
		go func() { s.GracefulStop(); close(done) }()
		select {
		case <-done:
		case <-ctx.Done():
			s.Stop() // ends GracefulStop too
			<-done
		}
	}
}

// followHealth keeps the gRPC health service at what readiness says.
func (g *running) followHealth(ctx context.Context, h *health.Server) {
	for {
		state := healthv1.HealthCheckResponse_SERVING
		for _, c := range g.checks {
			if c.Check() != nil {
				state = healthv1.HealthCheckResponse_NOT_SERVING
			}
		}
		h.SetServingStatus("", state)
		h.SetServingStatus("entente.gateway.v1.QueryService", state)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// serve runs the listeners until ctx ends or one of them fails.
func (g *running) serve(ctx context.Context) error {
	failed := make(chan error, len(g.listeners))
	for _, l := range g.listeners {
		go func() {
			err := l.serve(l.Listener)
			if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, grpc.ErrServerStopped) {
				failed <- fmt.Errorf("%s listener: %w", l.name, err)
			}
		}()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	drain, cancel := context.WithTimeout(context.Background(), g.DrainTimeout)
	defer cancel()
	stopped := make(chan struct{}, len(g.listeners))
	for _, l := range g.listeners {
		go func() {
			l.stop(drain)
			if drain.Err() != nil {
				l.kill()
			}
			stopped <- struct{}{}
		}()
	}
	for range g.listeners {
		<-stopped
	}
	return err
}
