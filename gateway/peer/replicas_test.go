package peer

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
)

func TestChooseReplica(t *testing.T) {
	now := time.Now()
	p := &picker{replicas: []*replica{{}, {}, {}}}
	a, b, c := p.replicas[0], p.replicas[1], p.replicas[2]
	a.open.Store(5)
	b.open.Store(3)
	first := func(int) int { return 0 } // a, and the next one that is in
	if p.choose(now, first) != b {
		t.Error("not the less loaded one")
	}
	for range ejectAfter {
		b.learn(status.Error(codes.Unavailable, ""), now, exactly)
	}
	if p.choose(now, first) != c {
		t.Error("a replica that fails is chosen")
	}
	if p.choose(now.Add(firstEjected), first) != b {
		t.Error("it is left out for longer")
	}
	for _, r := range []*replica{a, c} {
		for range ejectAfter {
			r.learn(status.Error(codes.DeadlineExceeded, ""), now, exactly)
		}
	}
	if p.choose(now, first) == nil {
		t.Error("when all fail none is chosen")
	}
	b.learn(nil, now, exactly)
	if b.out(now) {
		t.Error("a replica that answers is left out")
	}
	for range 2 * ejectAfter {
		b.learn(status.Error(codes.Canceled, ""), now, exactly)
	}
	if b.out(now) {
		t.Error("a replica is left out because its users go away")
	}
}

// replicaServer is a gateway's replica that answers, or fails.
type replicaServer struct {
	gatewayv1.UnimplementedSourceServiceServer
	asked atomic.Int64
	fails atomic.Bool
}

func (r *replicaServer) Retrieve(_ *gatewayv1.RetrieveRequest, s grpc.ServerStreamingServer[gatewayv1.RetrieveResponse]) error {
	r.asked.Add(1)
	if r.fails.Load() {
		return status.Error(codes.Unavailable, "no")
	}
	return s.Send(&gatewayv1.RetrieveResponse{Result: &gatewayv1.SourceStatus{}})
}

func TestReplicasShareTheLoad(t *testing.T) {
	m := manual.NewBuilderWithScheme("replicas")
	var servers []*replicaServer
	var stops []func()
	var addresses []resolver.Address
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		r, s := &replicaServer{}, grpc.NewServer()
		gatewayv1.RegisterSourceServiceServer(s, r)
		go s.Serve(l)
		t.Cleanup(s.Stop)
		servers, stops, addresses = append(servers, r), append(stops, s.Stop), append(addresses, resolver.Address{Addr: l.Addr().String()})
	}
	m.InitialState(resolver.State{Addresses: addresses})
	conn, err := grpc.NewClient("replicas:///x", grpc.WithResolvers(m), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(fmt.Sprintf(`{"loadBalancingConfig":[{%q:{}}]}`, balancerName)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ask := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		s, err := gatewayv1.NewSourceServiceClient(conn).Retrieve(ctx, &gatewayv1.RetrieveRequest{})
		if err == nil {
			_, err = s.Recv()
		}
		if err == nil {
			_, _ = s.Recv()
		}
		return err
	}
	many := func(n int) (failed int, asked [3]int64) {
		for i, s := range servers {
			asked[i] = -s.asked.Load()
		}
		for range n {
			if ask() != nil {
				failed++
			}
		}
		for i, s := range servers {
			asked[i] += s.asked.Load()
		}
		return failed, asked
	}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		failed, asked := many(60)
		if failed > 0 {
			t.Fatalf("%d failed", failed)
		}
		if asked[0] > 0 && asked[1] > 0 && asked[2] > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("asked %v", asked)
		}
	}
	servers[1].fails.Store(true)
	failed, asked := many(200)
	if failed < ejectAfter || asked[1] > 40 { // a slow machine may see it come back
		t.Errorf("with one that fails: %d failed, asked %v", failed, asked)
	}
	stops[2]() // a replica that goes away takes no question with it that was not on its way
	for n := 0; ; n++ {
		if failed, asked := many(50); failed == 0 && asked[0] == 50 {
			break
		} else if n == 20 {
			t.Fatalf("after one went away: %d failed, asked %v", failed, asked)
		}
	}
}
