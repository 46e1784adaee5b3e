package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/controllers/local"
	"github.com/entente-dev/entente/gateway/route"
)

// A source answers half of its questions within medianDelay; the logarithm of the time is distributed normally with spread, which puts
// one in a hundred at ten times the median.
const (
	medianDelay = 40 * time.Millisecond
	spread      = 1.0
	// Of a hundred sources, as many cannot be reached and never answer.
	unreachable = 2
	silent      = 1
)

// sources are the agencies that are asked.
type sources struct {
	peers  []route.Peer
	keys   map[string]*local.Store
	open   atomic.Int64
	stop   []func()
	slowMu sync.Mutex
	// slowest is the longest time that an answer of the query under way was drawn to take.
	slowest time.Duration
}

// drew notes how long an answer is to take.
func (s *sources) drew(delay time.Duration) {
	s.slowMu.Lock()
	defer s.slowMu.Unlock()
	s.slowest = max(s.slowest, delay)
}

// slowestOf gives the longest since it was asked last.
func (s *sources) slowestOf() time.Duration {
	s.slowMu.Lock()
	defer s.slowMu.Unlock()
	d := s.slowest
	s.slowest = 0
	return d
}

func startSources(dir string, n int) (*sources, error) {
	s := &sources{keys: map[string]*local.Store{}}
	for i := range n {
		if err := s.start(dir, i); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *sources) start(dir string, i int) error {
	name := fmt.Sprintf("agency-%04d", i)
	domain := name + ".example"
	keys, err := local.Open(filepath.Join(dir, name), domain)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	bundle, err := keys.TrustBundle(context.Background())
	if err != nil {
		return err
	}
	s.keys[domain] = keys
	s.peers = append(s.peers, route.Peer{Party: route.Party{Agency: name, TrustDomain: domain}, Gateway: l.Addr().String(), Exchange: "127.0.0.1:1", TrustBundle: bundle})
	if i%100 >= 100-unreachable {
		return l.Close()
	}
	own := keys.GatewayIdentity()
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert,
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return own.Certificate(h.Context()) },
	})))
	random := rand.New(rand.NewPCG(uint64(i), 1))
	gatewayv1.RegisterSourceServiceServer(g, &source{all: s, silent: i%100 >= 100-unreachable-silent && i%100 < 100-unreachable, random: random})
	go func() { _ = g.Serve(counted{l, &s.open}) }()
	s.stop = append(s.stop, g.Stop)
	return nil
}

func (s *sources) close() {
	var group sync.WaitGroup
	for _, stop := range s.stop {
		group.Go(stop)
	}
	group.Wait()
}

// IssueCertificate implements peer.Issuer: the exchange is not what is measured.
func (s *sources) IssueCertificate(ctx context.Context, source route.Peer, agreement string, request []byte) ([][]byte, error) {
	chain, _, err := s.keys[source.TrustDomain].IssueAgreementCertificate(ctx, agreement, recipient.Agency, request, time.Now().Add(time.Hour))
	return chain, err
}

// source is one agency's gateway.
type source struct {
	gatewayv1.UnimplementedSourceServiceServer
	all    *sources
	silent bool
	mu     sync.Mutex
	random *rand.Rand
}

// Retrieve answers with one record after a while.
func (s *source) Retrieve(req *gatewayv1.RetrieveRequest, stream gatewayv1.SourceService_RetrieveServer) error {
	if s.silent {
		s.all.drew(time.Hour)
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	s.mu.Lock()
	delay := time.Duration(float64(medianDelay) * math.Exp(spread*s.random.NormFloat64()))
	s.mu.Unlock()
	s.all.drew(delay)
	select {
	case <-stream.Context().Done():
		return stream.Context().Err()
	case <-time.After(delay):
	}
	text := func(v string) *gatewayv1.Value { return &gatewayv1.Value{Kind: &gatewayv1.Value_Text{Text: v}} }
	return stream.Send(&gatewayv1.RetrieveResponse{
		Records: &gatewayv1.RecordBatch{
			Provenance: &gatewayv1.Provenance{Dataset: "people"}, Fields: fields,
			Records: []*gatewayv1.Record{{Values: []*gatewayv1.Value{text("P000001"), text("Doe")}}},
		},
		Result: &gatewayv1.SourceStatus{Outcome: gatewayv1.Outcome_OUTCOME_OK, Granularity: gatewayv1.Granularity_GRANULARITY_RECORDS, Records: 1},
	})
}

// counted counts the connections that are open.
type counted struct {
	net.Listener
	open *atomic.Int64
}

func (c counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c.open.Add(1)
	return &countedConn{Conn: conn, open: c.open}, nil
}

type countedConn struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}
