package server

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/disclosure"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/internal/stack"
)

var errNotAgreement = errors.New("the client certificate is no agreement credential of this agency")

// Peer gives the server for peer gateways, and for this agency's own operator. A handshake succeeds only with a certificate of this
// agency's own authority: for exactly one recipient of one agreement, which may ask as the core decides, or for the operator, which may
// read receipts. Before it stops gracefully, leave ends the streams on which nothing is asked, for which it would wait.
func (s *Server) Peer() (_ *grpc.Server, leave func()) {
	config := identity.ServerConfig(s.Own, s.TrustDomain, func(id string) error {
		if _, _, ok := identity.ParseAgreementID(id, s.TrustDomain); !ok && id != identity.OperatorID(s.TrustDomain) {
			return errNotAgreement
		}
		return nil
	})
	g := grpc.NewServer(s.options("peer", config, 1024)...)
	leaving := make(chan struct{})
	gatewayv1.RegisterSourceServiceServer(g, &sourceService{server: s, leaving: leaving})
	gatewayv1.RegisterAuditServiceServer(g, &auditService{server: s})
	return g, sync.OnceFunc(func() { close(leaving) })
}

// leaf is the certificate that a peer showed; nil: none.
func leaf(ctx context.Context) *x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 || len(info.State.PeerCertificates[0].URIs) != 1 {
		return nil
	}
	return info.State.PeerCertificates[0]
}

// readsArrow says whether the caller reads records by columns.
func readsArrow(ctx context.Context) bool {
	for _, v := range metadata.ValueFromIncomingContext(ctx, columns.Header) {
		for one := range strings.SplitSeq(v, ",") {
			if strings.TrimSpace(one) == columns.Encoding {
				return true
			}
		}
	}
	return false
}

// sourceService is the gRPC face of disclosure.Core.
type sourceService struct {
	gatewayv1.UnimplementedSourceServiceServer
	server *Server
	// leaving is closed before the listener stops.
	leaving chan struct{}
}

// caller is who a stream comes from; the error is a gRPC status.
func (p *sourceService) caller(ctx context.Context) (disclosure.Caller, error) {
	leaf := leaf(ctx)
	if leaf == nil {
		return disclosure.Caller{}, status.Error(codes.Unauthenticated, "no agreement credential")
	}
	agreement, recipient, ok := identity.ParseAgreementID(leaf.URIs[0].String(), p.server.TrustDomain)
	if !ok {
		return disclosure.Caller{}, status.Error(codes.Unauthenticated, errNotAgreement.Error())
	}
	return disclosure.Caller{Recipient: recipient, Agreement: agreement, NotAfter: leaf.NotAfter, Arrow: readsArrow(ctx)}, nil
}

// Retrieve implements SourceServiceServer.
func (p *sourceService) Retrieve(req *gatewayv1.RetrieveRequest, stream grpc.ServerStreamingServer[gatewayv1.RetrieveResponse]) error {
	stack.Grow()
	caller, err := p.caller(stream.Context())
	if err != nil {
		return err
	}
	return p.server.Disclosure.Retrieve(p.server.Trace.FromCall(stream.Context()), caller, req, stream.Send)
}
