// Package exchange is the endpoint through which peer agencies reach this agency's operator: agreements and credentials,
// never records. Standalone installations serve the same endpoint with keys of their own.
package exchange

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/entente-dev/entente/api/exchange/v1"
	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/receipt"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/tracing"
)

// Directory is what the exchange needs to know of the agency's resources. Its answers hold for the moment of the call.
type Directory interface {
	// Peer is the agency of a trust domain and the PEM bundle that its Agency pins; ok is false for a stranger.
	Peer(ctx context.Context, trustDomain string) (agency, bundle string, ok bool)
	// Route is the compiled agreement; nil: there is none.
	Route(ctx context.Context, agreement string) (*route.Route, error)
}

// Config is what a Server is made of.
type Config struct {
	// Own identity: spiffe://<trust domain>/operator.
	Own       identity.Own
	Directory Directory
	Issuer    keys.Issuer
	// Inbox takes in what peers say of agreements; nil: agreements and decisions travel by file only.
	Inbox *Inbox
	// Receipts of this agency's own logs, for peers to hold theirs against; nil: none are given.
	Receipts receipt.Lister
	// Report, if set, hears what became of each message about agreements.
	Report func(Report)
	// Trace makes spans; nil: none.
	Trace  *tracing.Tracer
	Logger *slog.Logger
	Now    func() time.Time
}

// Server implements entente.exchange.v1.
type Server struct {
	exchangev1.UnimplementedExchangeServiceServer
	Config
	calls, proposals, statements, reads, receipts limits
}

// Bounds of one connection and one request. Proposed terms are the largest.
const (
	maxMessage           = MaxTerms + MaxTaskForces*MaxTaskForce + 16<<10
	maxConcurrentStreams = 16
	handshakeTimeout     = 10 * time.Second
)

// New makes a server.
func New(c Config) *Server {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Server{
		Config: c,
		calls:  limits{rate: callsPerSecond, burst: callsBurst}, proposals: limits{rate: proposalsPerSecond, burst: proposalsBurst},
		statements: limits{rate: statementsPerSecond, burst: statementsBurst}, reads: limits{rate: readsPerSecond, burst: readsBurst},
		receipts: limits{rate: receiptsPerSecond, burst: receiptsBurst},
	}
}

// Serve answers on l until ctx ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	g := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(s.tlsConfig())),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.StatsHandler(unread{s}),
		grpc.MaxConcurrentStreams(maxConcurrentStreams),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: time.Minute, MaxConnectionAge: 10 * time.Minute, MaxConnectionAgeGrace: 10 * time.Second}),
	)
	exchangev1.RegisterExchangeServiceServer(g, s)
	stop := context.AfterFunc(ctx, g.GracefulStop)
	defer stop()
	if err := g.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("exchange: %w", err)
	}
	return nil
}

// tlsConfig lets in the gateways and operators of known agencies, each vouched for by the bundle of its own agency.
func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.Own.Certificate(h.Context())
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := s.identify(context.Background(), state)
			return err
		},
	}
}

// Process is which of an agency's processes calls.
type Process string

// The processes of a peer that may call.
const (
	Gateway  Process = "gateway"
	Operator Process = "operator"
)

// caller is a verified peer.
type caller struct {
	route.Party
	process Process
}

var errStranger = errors.New("the peer's trust domain is that of no Agency here")

// identify verifies the chain against the bundle of the one trust domain that the leaf names, and matches the exact ID.
func (s *Server) identify(ctx context.Context, state tls.ConnectionState) (caller, error) {
	if len(state.PeerCertificates) == 0 {
		return caller{}, errors.New("the peer sent no certificate")
	}
	id, err := x509svid.IDFromCert(state.PeerCertificates[0])
	if err != nil {
		return caller{}, err
	}
	domain := id.TrustDomain().Name()
	agency, pem, ok := s.Directory.Peer(ctx, domain)
	if !ok {
		return caller{}, errStranger
	}
	bundle, err := identity.Bundle(domain, pem)
	if err != nil {
		return caller{}, err
	}
	verified, err := identity.Verify(state.PeerCertificates, bundle, s.Now())
	if err != nil {
		return caller{}, err
	}
	c := caller{Party: route.Party{Agency: agency, TrustDomain: domain}}
	switch verified {
	case identity.GatewayID(domain):
		c.process = Gateway
	case identity.OperatorID(domain):
		c.process = Operator
	default:
		return caller{}, errors.New("the peer is neither an agency's gateway nor its operator")
	}
	return c, nil
}

// caller of a request. It is identified again, since a connection may outlive a certificate or an Agency.
func (s *Server) caller(ctx context.Context) (caller, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return caller{}, status.Error(codes.Unauthenticated, "no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return caller{}, status.Error(codes.Unauthenticated, "no TLS")
	}
	c, err := s.identify(ctx, info.State)
	if err != nil {
		return caller{}, status.Error(codes.Unauthenticated, "the certificate does not identify a known agency's gateway or operator any more")
	}
	return c, nil
}

// IssueCertificate issues an agreement credential to a recipient of an agreement in force.
func (s *Server) IssueCertificate(ctx context.Context, req *exchangev1.IssueCertificateRequest) (*exchangev1.IssueCertificateResponse, error) {
	who, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	if !s.calls.take(who.Agency, s.Now()) {
		return nil, refuse(RateLimited, "too many requests of this agency: use a credential until two thirds of its life are over").GRPCStatus().Err()
	}
	ctx, span := s.Trace.Serve(s.Trace.FromCall(ctx), tracing.Issue)
	defer span.End()
	if _, err := keys.CheckRequest(req.GetCertificateRequest()); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "certificate_request: %v; make a PKCS #10 request with a key of P-256, P-384 or Ed25519", err)
	}
	r, err := s.Directory.Route(ctx, req.GetAgreement())
	if err != nil {
		s.Logger.Error("reading a route", "agreement", req.GetAgreement(), "error", err)
		return nil, status.Error(codes.Unavailable, "the agreement cannot be looked up now: try again")
	}
	until, refusal := s.grant(r, who.Party)
	if refusal != nil {
		s.Logger.Warn("certificate refused", "peer", who.Agency, "process", who.process, "reason", refusal.Message())
		return nil, refusal.Err()
	}
	span.Clause(r.Agreement, "")
	chain, expires, err := s.Issuer.IssueAgreementCertificate(ctx, r.Agreement, who.Agency, req.GetCertificateRequest(), until)
	if err != nil {
		span.Failed(err)
		if ctx.Err() != nil {
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		s.Logger.Error("certificate not issued", "peer", who.Agency, "agreement", r.Agreement, "error", err)
		return nil, status.Error(codes.Unavailable, "the certificate cannot be issued now: try again; if it goes on, ask the source agency's platform team")
	}
	s.Logger.Info("certificate issued", "peer", who.Agency, "process", who.process, "agreement", r.Agreement, "expires", expires)
	return &exchangev1.IssueCertificateResponse{Certificates: chain, NotAfter: timestamppb.New(expires)}, nil
}

// grant says until when the party may hold a credential of the agreement, as a recipient of a clause of ours. A stranger
// to an agreement is told the same whether there is one or not.
func (s *Server) grant(r *route.Route, who route.Party) (until time.Time, refusal *status.Status) {
	none := status.New(codes.PermissionDenied, "no agreement of that id in force names your agency as a recipient of ours")
	if r == nil {
		return time.Time{}, none
	}
	now := s.Now()
	v := r.Current(now)
	if v == nil {
		return time.Time{}, none
	}
	for i := range v.Clauses {
		c := &v.Clauses[i]
		if c.Source.Party != r.Self {
			continue
		}
		end, ok := c.Admits(who, now)
		if !ok {
			continue
		}
		if end.IsZero() || v.NotAfter.Before(end) {
			end = v.NotAfter
		}
		if end.After(until) {
			until = end
		}
	}
	if until.IsZero() {
		return time.Time{}, none
	}
	return until, nil
}
