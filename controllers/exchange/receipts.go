package exchange

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/entente-dev/entente/api/exchange/v1"
	"github.com/entente-dev/entente/gateway/receipt"
	"github.com/entente-dev/entente/gateway/route"
)

// ListReceipts implements entente.exchange.v1. A peer sees what is between it and this agency, by its authenticated name.
func (s *Server) ListReceipts(ctx context.Context, req *exchangev1.ListReceiptsRequest) (*exchangev1.ListReceiptsResponse, error) {
	if s.Receipts == nil {
		return nil, status.Error(codes.Unimplemented, "this agency gives no receipts")
	}
	out := &exchangev1.ListReceiptsResponse{}
	err := s.handled(ctx, "ListReceipts", &s.receipts, func(from route.Party) error {
		switch {
		case len(req.ProtoReflect().GetUnknown()) > 0:
			return refuse(UnknownMember, "the message has members that this release does not know")
		case req.GetSince() == nil || req.GetUntil() == nil || len(req.GetPageToken()) > 36:
			return refuse(Malformed, "since and until are required, and page_token is a disclosure id")
		}
		w := receipt.Window{Since: req.GetSince().AsTime(), Until: req.GetUntil().AsTime()}
		page, next, err := s.Receipts.ListReceipts(ctx, from.Agency, w, req.GetPageToken())
		out.Receipts, out.NextPageToken = receipt.Protos(page), next
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Receipts is a Lister of one peer's logs, over the exchange.
type Receipts struct {
	Pool *Pool
	Peer Peer
}

var _ receipt.Lister = Receipts{}

// ListReceipts implements receipt.Lister. The peer is asked for what is between it and this agency, whose name it knows.
func (r Receipts) ListReceipts(ctx context.Context, _ string, w receipt.Window, after string) ([]receipt.Receipt, string, error) {
	var answer *exchangev1.ListReceiptsResponse
	err := unhurried(ctx, time.Second, func() error {
		return r.Pool.callWithin(ctx, receiptsTimeout, r.Peer, func(ctx context.Context, c exchangev1.ExchangeServiceClient) (err error) {
			answer, err = c.ListReceipts(ctx, &exchangev1.ListReceiptsRequest{Since: timestamppb.New(w.Since), Until: timestamppb.New(w.Until), PageToken: after})
			return err
		})
	})
	if err != nil {
		return nil, "", err
	}
	page, err := receipt.FromProtos(answer.GetReceipts())
	return page, answer.GetNextPageToken(), err
}

// maxPauses bounds how often a page is asked for again.
const maxPauses = 30

// unhurried asks again, after a pause, while the peer says that too much is asked at once: a long window has more pages than that.
func unhurried(ctx context.Context, pause time.Duration, ask func() error) error {
	for range maxPauses {
		if err := ask(); ReasonOf(err) != RateLimited {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	return ask()
}
