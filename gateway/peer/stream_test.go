package peer

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
)

// eachServer answers requests on streams, as answer says.
type eachServer struct {
	gatewayv1.UnimplementedSourceServiceServer
	streams, singles atomic.Int64
	answer           func(context.Context, *gatewayv1.RetrieveEachRequest, func(*gatewayv1.RetrieveResponse) error) error
}

func (e *eachServer) RetrieveEach(s grpc.BidiStreamingServer[gatewayv1.RetrieveEachRequest, gatewayv1.RetrieveResponse]) error {
	e.streams.Add(1)
	for {
		req, err := s.Recv()
		if err != nil {
			return nil
		}
		if err := e.answer(s.Context(), req, s.Send); err != nil {
			if errors.Is(err, errLeft) {
				return nil
			}
			return err
		}
	}
}

var errLeft = errors.New("the server leaves")

func (e *eachServer) Retrieve(r *gatewayv1.RetrieveRequest, s grpc.ServerStreamingServer[gatewayv1.RetrieveResponse]) error {
	e.singles.Add(1)
	return s.Send(result(r.GetDisclosureId()))
}

// singleServer is one of the release before.
type singleServer struct {
	gatewayv1.UnimplementedSourceServiceServer
	eachServer *eachServer
}

func (e singleServer) Retrieve(r *gatewayv1.RetrieveRequest, s grpc.ServerStreamingServer[gatewayv1.RetrieveResponse]) error {
	return e.eachServer.Retrieve(r, s)
}

func result(id string) *gatewayv1.RetrieveResponse {
	return &gatewayv1.RetrieveResponse{Result: &gatewayv1.SourceStatus{DisclosureId: id, Outcome: gatewayv1.Outcome_OUTCOME_OK}}
}

func plainly(_ context.Context, r *gatewayv1.RetrieveEachRequest, send func(*gatewayv1.RetrieveResponse) error) error {
	return send(result(r.GetRequest().GetDisclosureId()))
}

// lineTo serves, and connects to it.
func lineTo(t *testing.T, s gatewayv1.SourceServiceServer) (*line, *grpc.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	gatewayv1.RegisterSourceServiceServer(g, s)
	go g.Serve(l)
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &line{conn: conn}, g
}

func askOn(ctx context.Context, ln *line, id string) (frames int, err error) {
	err = new(Pool).ask(ctx, ln, &gatewayv1.RetrieveRequest{DisclosureId: id}, func(*gatewayv1.RetrieveResponse) error { frames++; return nil })
	return frames, err
}

func TestStreamsAreUsedAgain(t *testing.T) {
	s := &eachServer{answer: plainly}
	ln, _ := lineTo(t, s)
	for range 100 {
		if n, err := askOn(t.Context(), ln, "a"); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if n := s.streams.Load(); n != 1 || s.singles.Load() != 0 {
		t.Errorf("%d streams for one question after another", n)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 20 {
				if n, err := askOn(t.Context(), ln, "a"); n != 1 || err != nil {
					t.Error(n, err)
				}
			}
		})
	}
	wg.Wait()
	if n := s.streams.Load(); n > 20 || len(ln.streams.kept) > 20 {
		t.Errorf("%d streams for twenty at a time, %d kept", n, len(ln.streams.kept))
	}
	// Old ones are let go, and the server sees them end.
	for _, st := range ln.streams.kept {
		st.born = st.born.Add(-maxAge)
	}
	old := ln.streams.kept
	ln.streams.sweep()
	if len(ln.streams.kept) != 0 || ln.streams.sweeping {
		t.Errorf("%d are kept though they are old", len(ln.streams.kept))
	}
	for _, st := range old {
		select {
		case <-st.life.Done():
		case <-time.After(time.Minute):
			t.Fatal("a stream that was let go has not ended")
		}
	}
}

func TestReleaseBefore(t *testing.T) {
	of := &eachServer{}
	ln, _ := lineTo(t, singleServer{eachServer: of})
	for range 10 {
		if n, err := askOn(t.Context(), ln, "a"); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if of.singles.Load() != 10 || !ln.streams.single {
		t.Errorf("%d questions came", of.singles.Load())
	}
}

// TestStreamsEnd: a question that the source did not take is asked again, and one that it took is not.
func TestStreamsEnd(t *testing.T) {
	var left atomic.Bool
	var took atomic.Int64
	s := &eachServer{}
	s.answer = func(ctx context.Context, r *gatewayv1.RetrieveEachRequest, send func(*gatewayv1.RetrieveResponse) error) error {
		if left.CompareAndSwap(true, false) {
			return errLeft
		}
		took.Add(1)
		switch r.GetRequest().GetDisclosureId() {
		case "refused":
			return status.Error(codes.ResourceExhausted, "no")
		case "half":
			_ = send(&gatewayv1.RetrieveResponse{Records: &gatewayv1.RecordBatch{Provenance: &gatewayv1.Provenance{DisclosureId: "half"}}})
			return errLeft
		case "other":
			return send(result("another"))
		}
		return plainly(ctx, r, send)
	}
	ln, g := lineTo(t, s)
	for _, one := range []struct {
		id     string
		left   bool
		frames int
		code   codes.Code
		took   int64
	}{
		{"a", false, 1, codes.OK, 1},
		{"a", true, 1, codes.OK, 1}, // on another stream
		{"refused", false, 0, codes.ResourceExhausted, 1},
		{"a", false, 1, codes.OK, 1},
		{"half", false, 1, codes.Unavailable, 1},
		{"other", false, 0, codes.Internal, 1},
		{"a", false, 1, codes.OK, 1},
	} {
		left.Store(one.left)
		took.Store(0)
		if n, err := askOn(t.Context(), ln, one.id); n != one.frames || status.Code(err) != one.code || took.Load() != one.took {
			t.Errorf("%+v: %d frames, %v, the source took %d", one, n, err, took.Load())
		}
	}
	// A new stream that the source ends at once: by a call of its own.
	ln.streams.kept = nil
	left.Store(true)
	if n, err := askOn(t.Context(), ln, "a"); n != 1 || err != nil || s.singles.Load() != 1 {
		t.Errorf("%d frames, %v, %d calls", n, err, s.singles.Load())
	}
	// Streams that broke while nobody asked.
	if _, err := askOn(t.Context(), ln, "a"); err != nil {
		t.Fatal(err)
	}
	g.Stop()
	if _, err := askOn(t.Context(), ln, "a"); status.Code(err) != codes.Unavailable || len(ln.streams.kept) != 0 {
		t.Errorf("of a server that is gone: %v, %d streams kept", err, len(ln.streams.kept))
	}
}

// TestQuestionsEnd: a question that ends ends at the source, as it ended here, and takes its stream with it.
func TestQuestionsEnd(t *testing.T) {
	t.Parallel() // it mostly waits
	began, cut := make(chan struct{}, 1), make(chan error, 1)
	s := &eachServer{}
	s.answer = func(ctx context.Context, r *gatewayv1.RetrieveEachRequest, send func(*gatewayv1.RetrieveResponse) error) error {
		if r.GetRequest().GetDisclosureId() == "a" {
			return plainly(ctx, r, send)
		}
		if us := r.GetTimeoutMicros(); us <= 0 && r.GetRequest().GetDisclosureId() == "late" {
			t.Errorf("timeout %d", us)
		}
		began <- struct{}{}
		<-ctx.Done()
		cut <- ctx.Err()
		return ctx.Err()
	}
	ln, _ := lineTo(t, s)
	for _, one := range []struct {
		id   string
		code codes.Code
	}{{"late", codes.DeadlineExceeded}, {"gone", codes.Canceled}} {
		if _, err := askOn(t.Context(), ln, "a"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // by then it is at the source
		if one.id == "gone" {
			ctx, cancel = context.WithCancel(t.Context())
			go func() { <-began; cancel() }()
		}
		_, err := askOn(ctx, ln, one.id)
		cancel()
		if one.id == "late" {
			<-began
		}
		if status.Code(err) != one.code || len(ln.streams.kept) != 0 {
			t.Errorf("%s: %v, %d streams kept", one.id, err, len(ln.streams.kept))
		}
		select {
		case <-cut:
		case <-time.After(time.Minute):
			t.Errorf("%s: the source goes on", one.id)
		}
	}
	// Whoever does not want the rest of an answer.
	enough := errors.New("enough")
	if err := new(Pool).ask(t.Context(), ln, &gatewayv1.RetrieveRequest{DisclosureId: "a"}, func(*gatewayv1.RetrieveResponse) error { return enough }); !errors.Is(err, enough) || len(ln.streams.kept) != 0 {
		t.Errorf("%v, %d streams kept", err, len(ln.streams.kept))
	}
}
