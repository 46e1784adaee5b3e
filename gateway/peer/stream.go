package peer

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
)

// To open a stream costs both gateways more than to decide and to log what is asked on it. So streams are kept and used for one question
// after another, one at a time. Whatever goes wrong on a stream is its end.
const (
	// maxAge of a stream on which something is asked: soon enough that questions spread over replicas that came up, and well within
	// the minute that a connection has which its server wants to close.
	maxAge = 15 * time.Second
	// sweepEvery is how often streams that are older are let go.
	sweepEvery = 5 * time.Second
	// maxKept is how many streams of a connection wait to be used again.
	maxKept = 64
	// farewell bounds the end of a stream that is let go.
	farewell = 5 * time.Second
)

var (
	// errNotTaken: the source ended the stream before it took the question.
	errNotTaken = errors.New("the question was not taken")
	// errSingle: the source's gateway is of a release that takes one question for a stream.
	errSingle = errors.New("the source takes one question for a stream")
)

// streams of one line. The zero value is ready.
type streams struct {
	mu   sync.Mutex
	kept []*stream // the one that was used last at the end
	// sweeping: a sweep is on its way. single: errSingle.
	sweeping, single bool
}

// stream is an open one. One question has it at a time.
type stream struct {
	life *life
	grpc grpc.BidiStreamingClient[gatewayv1.RetrieveEachRequest, gatewayv1.RetrieveResponse]
	born time.Time
}

// life is a stream's context: it ends as the context of the question ended that was asked on the stream, so that a source that was too
// slow is told from a user who went away.
type life struct {
	context.Context
	done chan struct{}
	mu   sync.Mutex
	err  error
}

func newLife() *life { return &life{Context: context.Background(), done: make(chan struct{})} }

// Done implements context.Context.
func (l *life) Done() <-chan struct{} { return l.done }

// Err implements context.Context.
func (l *life) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *life) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		close(l.done)
	}
}

// take gives a stream that was used before; nil: there is none. single: questions are asked each by a call of its own.
func (s *streams) take(now time.Time) (_ *stream, single bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.single {
		return nil, true
	}
	for last := len(s.kept) - 1; last >= 0; last-- {
		st := s.kept[last]
		s.kept[last] = nil
		s.kept = s.kept[:last]
		if now.Sub(st.born) < maxAge {
			return st, false
		}
		st.leave()
	}
	return nil, false
}

// keep takes a stream back after an answer.
func (s *streams) keep(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) >= maxKept {
		st.leave()
		return
	}
	s.kept = append(s.kept, st)
	if !s.sweeping {
		s.sweeping = true
		time.AfterFunc(sweepEvery, s.sweep)
	}
}

// sweep lets go of streams that will not be used again.
func (s *streams) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var young []*stream
	for _, st := range s.kept {
		if now.Sub(st.born) < maxAge {
			young = append(young, st)
		} else {
			st.leave()
		}
	}
	s.kept = young
	if s.sweeping = len(young) > 0; s.sweeping {
		time.AfterFunc(sweepEvery, s.sweep)
	}
}

// singly remembers that this connection takes one question for a stream.
func (s *streams) singly() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.single = true
}

// leave ends a stream on which nothing is asked, as well as can be.
func (st *stream) leave() {
	go func() {
		late := time.AfterFunc(farewell, func() { st.life.end(context.Canceled) })
		defer late.Stop()
		_ = st.grpc.CloseSend()
		_, _ = st.grpc.Recv()
		st.life.end(context.Canceled)
	}()
}

// ask asks one question over a line, and calls each for every frame of the answer.
func (p *Pool) ask(ctx context.Context, ln *line, req *gatewayv1.RetrieveRequest, each func(*gatewayv1.RetrieveResponse) error) error {
	question := &gatewayv1.RetrieveEachRequest{Request: req, Traceparent: p.trace.ToMessage(ctx)}
	for {
		now := time.Now()
		st, single := ln.streams.take(now)
		if single {
			return p.askSingly(ctx, ln, req, each)
		}
		used := st != nil
		if !used {
			st = &stream{life: newLife(), born: now}
		}
		if d, ok := ctx.Deadline(); ok {
			question.TimeoutMicros = max(1, d.Sub(now).Microseconds()) // 0 is no bound
		}
		again, err := st.ask(ctx, ln, question, each)
		switch {
		case again:
			ln.streams.keep(st)
		case used && errors.Is(err, errNotTaken):
			continue // what is kept may all have ended meanwhile; it is not much
		case errors.Is(err, errSingle):
			ln.streams.singly()
			continue
		case errors.Is(err, errNotTaken):
			return p.askSingly(ctx, ln, req, each)
		}
		return err
	}
}

// ask asks one question on the stream, which it opens if need be, and says whether the stream can be used again.
func (st *stream) ask(ctx context.Context, ln *line, question *gatewayv1.RetrieveEachRequest, each func(*gatewayv1.RetrieveResponse) error) (again bool, err error) {
	watched := context.AfterFunc(ctx, func() { st.life.end(ctx.Err()) })
	defer func() {
		if again = watched() && err == nil; !again {
			st.life.end(context.Canceled)
		}
	}()
	used := st.grpc != nil
	if !used {
		opening := metadata.AppendToOutgoingContext(st.life, columns.Header, columns.Encoding)
		if st.grpc, err = gatewayv1.NewSourceServiceClient(ln.conn).RetrieveEach(opening); err != nil {
			return false, err
		}
	}
	switch err := st.grpc.Send(question); {
	case errors.Is(err, io.EOF) && used && ctx.Err() == nil:
		return false, errNotTaken // the stream had ended before, whatever it ended with
	case err != nil && !errors.Is(err, io.EOF):
		return false, err
	} // of a new stream Recv says why it ended
	heard := false
	for {
		frame, err := st.grpc.Recv()
		switch {
		case errors.Is(err, io.EOF) && !heard:
			return false, errNotTaken
		case errors.Is(err, io.EOF):
			return false, status.Error(codes.Unavailable, "the source ended its answer without a result")
		case status.Code(err) == codes.Unimplemented && !used && !heard:
			return false, errSingle
		case err != nil:
			return false, err
		case !about(frame, question.GetRequest().GetDisclosureId()):
			return false, status.Error(codes.Internal, "the source's answer is one to another question")
		}
		heard = true
		if err := each(frame); err != nil {
			return false, err
		}
		if frame.GetResult() != nil {
			return false, nil
		}
	}
}

// about says whether a frame is of an answer to the question: on a stream that has many, none may be taken for another's.
func about(f *gatewayv1.RetrieveResponse, disclosure string) bool {
	if r := f.GetResult(); r != nil && r.GetDisclosureId() != disclosure {
		return false
	}
	if r := f.GetRecords(); r != nil && r.GetProvenance().GetDisclosureId() != disclosure {
		return false
	}
	return f.GetResult() != nil || f.GetRecords() != nil
}

// askSingly asks by a call of its own.
func (p *Pool) askSingly(ctx context.Context, ln *line, req *gatewayv1.RetrieveRequest, each func(*gatewayv1.RetrieveResponse) error) error {
	asking, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream when each fails
	asking = metadata.AppendToOutgoingContext(asking, columns.Header, columns.Encoding)
	stream, err := gatewayv1.NewSourceServiceClient(ln.conn).Retrieve(p.trace.ToCall(asking), req)
	if err != nil {
		return err
	}
	for {
		frame, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := each(frame); err != nil {
			return err
		}
	}
}
