package server

import (
	"errors"
	"io"
	"sync"
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
	// What waits for the next request cannot be called back, so another goroutine does, and answers it, too. It ends with the stream, that
	// is when this function returns.
	e := &each{ended: make(chan error, 1)}
	go e.answer(stream, func(req *gatewayv1.RetrieveEachRequest) error { return p.one(stream, caller, req) })
	look := time.NewTicker(maxUnasked / 2)
	defer look.Stop()
	for {
		select {
		case err := <-e.ended:
			return err
		case <-look.C:
			if e.leave(true) {
				return nil
			}
		case <-p.leaving:
			if e.leave(false) {
				return nil
			}
			return <-e.ended
		}
	}
}

// each is the requests of one stream.
type each struct {
	ended chan error // why there are no more

	mu    sync.Mutex
	busy  bool
	left  bool // none is taken any more
	quiet int  // looks in a row that found nothing asked since the one before
}

// answer takes request after request.
func (e *each) answer(stream requestStream, one func(*gatewayv1.RetrieveEachRequest) error) {
	for {
		req, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			e.ended <- nil
			return
		case err != nil:
			e.ended <- err
			return
		case !e.begin():
			return
		}
		if err = one(req); e.end() || err != nil {
			e.ended <- err
			return
		}
	}
}

// begin says whether a request is taken.
func (e *each) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.busy, e.quiet = !e.left, 0
	return e.busy
}

// end says whether it was the last one.
func (e *each) end() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.busy = false
	return e.left
}

// leave ends the stream, and says whether that is at once, or after the answer that is on its way; with quiet only if nothing was asked for
// two looks.
func (e *each) leave(quiet bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if quiet {
		if e.quiet++; e.busy || e.quiet < 2 {
			return false
		}
	}
	e.left = true
	return !e.busy
}

// one answers one request of a stream.
func (p *sourceService) one(stream requestStream, caller disclosure.Caller, each *gatewayv1.RetrieveEachRequest) error {
	if most := each.GetTimeoutMicros(); most > 0 {
		caller.Until = time.Now().Add(time.Duration(min(most, maxTimeout.Microseconds())) * time.Microsecond)
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
	return p.server.Disclosure.Retrieve(p.server.Trace.FromMessage(stream.Context(), each.GetTraceparent()), caller, req, stream.Send)
}
