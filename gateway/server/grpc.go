package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/federation"
	"github.com/entente-dev/entente/gateway/internal/stack"
	"github.com/entente-dev/entente/gateway/tracing"
)

// options of every gRPC listener.
func (s *Server) options(listener string, config *tls.Config, streams uint32) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(&countingCredentials{credentials.NewTLS(config), s, listener}),
		grpc.MaxRecvMsgSize(maxBody),
		grpc.MaxHeaderListSize(maxHeader),
		grpc.MaxConcurrentStreams(streams),
		grpc.ConnectionTimeout(handshakeTimeout),
		// Workers keep their grown stacks; the depth of a request's calls would grow a new one each time.
		grpc.NumStreamWorkers(stack.Kept),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: 15 * time.Minute, MaxConnectionAge: time.Hour, MaxConnectionAgeGrace: time.Minute,
			Time: time.Minute, Timeout: 10 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
}

// countingCredentials counts the handshakes that fail.
type countingCredentials struct {
	credentials.TransportCredentials
	server   *Server
	listener string
}

func (c *countingCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	out, info, err := c.TransportCredentials.ServerHandshake(conn)
	if err != nil {
		c.server.refused(c.listener, conn.RemoteAddr().String(), err)
	}
	return out, info, err
}

func (c *countingCredentials) Clone() credentials.TransportCredentials {
	return &countingCredentials{c.TransportCredentials.Clone(), c.server, c.listener}
}

// GRPC gives the server for local users over gRPC, and its health, which the caller keeps up to date.
func (s *Server) GRPC() (*grpc.Server, *health.Server) {
	g := grpc.NewServer(s.options("grpc", s.localTLS(), 256)...)
	gatewayv1.RegisterQueryServiceServer(g, &queryService{server: s})
	h := health.NewServer()
	healthv1.RegisterHealthServer(g, h)
	reflection.Register(g)
	return g, h
}

// queryService is the gRPC face of federation.Core.
type queryService struct {
	gatewayv1.UnimplementedQueryServiceServer
	server *Server
}

func (q *queryService) user(ctx context.Context) (federation.User, error) {
	user, err := q.server.users.authenticate(ctx, client(ctx), metadata.ValueFromIncomingContext(ctx, "authorization"))
	if err == nil {
		return user, nil
	}
	var nobody *unauthenticated
	if errors.As(err, &nobody) {
		q.server.refused("grpc", address(ctx), err)
	}
	return user, err
}

// request begins the span of an authenticated user's request.
func (s *Server) request(ctx context.Context, listener string) (context.Context, tracing.Span) {
	ctx, span := s.Trace.Serve(ctx, tracing.Request)
	span.Listener(listener)
	return ctx, span
}

// client gives the verified certificate of a local client; nil: none.
func client(ctx context.Context) *x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return nil
	}
	return verified(info.State.VerifiedChains, info.State.PeerCertificates)
}

// address that a call comes from; "": it is not known.
func address(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	return p.Addr.String()
}

// Query implements QueryServiceServer.
func (q *queryService) Query(req *gatewayv1.QueryRequest, stream grpc.ServerStreamingServer[gatewayv1.QueryResponse]) error {
	stack.Grow()
	user, err := q.user(stream.Context())
	if err != nil {
		return statusOf(err)
	}
	ctx, span := q.server.request(q.server.Trace.FromCall(stream.Context()), "grpc")
	defer span.End()
	ask := q.server.Federation.Query
	if readsArrow(ctx) {
		ask = q.server.Federation.QueryColumns
	}
	return statusOf(ask(ctx, user, req, patient(stream.Send)))
}

// unwaited is how much of an answer is sent without waiting for the client to read.
const unwaited = 32 << 10

// patient gives a client some time to take each piece, as REST does: who does not read would hold what the sources sent, and their cursors,
// for as long as it likes.
func patient(send func(*gatewayv1.QueryResponse) error) func(*gatewayv1.QueryResponse) error {
	sent := 0
	return func(f *gatewayv1.QueryResponse) error {
		if sent += proto.Size(f); sent < unwaited {
			return send(f)
		}
		done := make(chan error, 1)
		go func() { done <- send(f) }() // it ends with the stream, at the latest
		late := time.NewTimer(writeTimeout)
		defer late.Stop()
		select {
		case err := <-done:
			return err
		case <-late.C:
			return status.Error(codes.DeadlineExceeded, "the client does not read its answer")
		}
	}
}

// Explain implements QueryServiceServer.
func (q *queryService) Explain(ctx context.Context, req *gatewayv1.ExplainRequest) (*gatewayv1.ExplainResponse, error) {
	user, err := q.user(ctx)
	if err != nil {
		return nil, statusOf(err)
	}
	ctx, span := q.server.request(q.server.Trace.FromCall(ctx), "grpc")
	defer span.End()
	resp, err := q.server.explain(ctx, user, req)
	return resp, statusOf(err)
}

// ListDatasets implements QueryServiceServer.
func (q *queryService) ListDatasets(ctx context.Context, req *gatewayv1.ListDatasetsRequest) (*gatewayv1.ListDatasetsResponse, error) {
	user, err := q.user(ctx)
	if err != nil {
		return nil, statusOf(err)
	}
	resp, err := q.server.Federation.ListDatasets(ctx, user, req)
	return resp, statusOf(err)
}
