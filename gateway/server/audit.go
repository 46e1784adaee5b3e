package server

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/receipt"
)

// auditService gives the agency's own operator what this replica's log has of disclosures with a peer. It discloses no record.
type auditService struct {
	gatewayv1.UnimplementedAuditServiceServer
	server *Server
}

// ListReceipts implements AuditServiceServer.
func (a *auditService) ListReceipts(ctx context.Context, req *gatewayv1.ListReceiptsRequest) (*gatewayv1.ListReceiptsResponse, error) {
	if leaf := leaf(ctx); leaf == nil || leaf.URIs[0].String() != identity.OperatorID(a.server.TrustDomain) {
		return nil, status.Error(codes.PermissionDenied, "only the agency's own operator may read receipts")
	}
	if len(req.ProtoReflect().GetUnknown()) > 0 {
		return nil, status.Error(codes.InvalidArgument, "the request has members that this gateway does not know")
	}
	if a.server.Receipts == nil {
		return nil, status.Error(codes.Unimplemented, "this gateway gives no receipts")
	}
	page, more, err := receipt.Page(a.server.Receipts, receipt.Query{
		Peer: req.GetPeer(), Window: receipt.Window{Since: req.GetSince().AsTime(), Until: req.GetUntil().AsTime()}, After: req.GetAfter(),
	})
	var damage *audit.CorruptError
	if errors.As(err, &damage) {
		a.server.Logger.Error("receipts cannot be read", "error", err)
		return nil, status.Error(codes.DataLoss, "the log is damaged: run entente audit verify at this replica")
	}
	if err != nil {
		a.server.Logger.Warn("receipts cannot be read now", "error", err)
		return nil, status.Error(codes.Unavailable, "the log, or the key that opens it, cannot be had now: try again, and see this replica's process log")
	}
	return &gatewayv1.ListReceiptsResponse{Receipts: receipt.Protos(page), More: more}, nil
}
