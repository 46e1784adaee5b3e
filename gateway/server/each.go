package server

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/disclosure"
)

const (
	// maxUnasked is how long a stream may stay open on which nothing is asked. Recipients' gateways give theirs up long before.
	maxUnasked = time.Minute
	// maxTimeout that is taken over from a request; what is longer is bounded by the core.
	maxTimeout = time.Hour
)

type requestStream = grpc.BidiStreamingServer[gatewayv1.RetrieveEachRequest, gatewayv1.RetrieveResponse]

// RetrieveEach implements SourceServiceServer. What is decided and logged is what Retrieve decides and logs, for each request anew; an
// answer that has no result ends the stream with its status.
func (p *sourceService) RetrieveEach(stream requestStream) error {
	caller, err := p.caller(stream.Context())
	if err != nil {
		return err
	}
	// By another goroutine, since what waits in Recv cannot be called back. It ends with the stream, that is when this function returns.
	requests := make(chan *gatewayv1.RetrieveEachRequest)
	ended := make(chan error, 1)
	go func() {
		for {
			req, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			select {
			case requests <- req:
			case <-stream.Context().Done():
				return
			}
		}
	}()
	unasked := time.NewTimer(maxUnasked)
	defer unasked.Stop()
	for {
		select {
		case req := <-requests:
			if err := p.one(stream, caller, req); err != nil {
				return err
			}
			unasked.Reset(maxUnasked)
		case err := <-ended:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case <-unasked.C:
			return nil
		case <-p.leaving:
			return nil
		}
	}
}

// one answers one request of a stream.
func (p *sourceService) one(stream requestStream, caller disclosure.Caller, each *gatewayv1.RetrieveEachRequest) error {
	ctx := stream.Context()
	if most := each.GetTimeoutMicros(); most > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(min(most, maxTimeout.Microseconds()))*time.Microsecond)
		defer cancel()
	}
	req := each.GetRequest()
	if req == nil {
		req = &gatewayv1.RetrieveRequest{}
	}
	if unknown := each.ProtoReflect().GetUnknown(); len(unknown) > 0 {
		// They restrict the request as its own would: the core refuses both, and logs it.
		m := req.ProtoReflect()
		m.SetUnknown(append(m.GetUnknown(), unknown...))
	}
	return p.server.Disclosure.Retrieve(p.server.Trace.FromMessage(ctx, each.GetTraceparent()), caller, req, stream.Send)
}
