package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/route"
)

// TestIdleConnections: thousands that only hold a connection, on every listener, cost little and keep nobody out.
func TestIdleConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of connections")
	}
	_, rec := pair(t, options{})
	const each = 1200
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := heap()
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range each {
		for listener, address := range map[string]string{"rest": rec.addrs.REST, "grpc": rec.addrs.GRPC, "peer": rec.addrs.Peer} {
			c, err := net.DialTimeout("tcp", address, 20*time.Second)
			must(t, err)
			conns = append(conns, c)
			// A third says nothing, a third shakes hands, a third begins to ask.
			if listener == "peer" || i%3 == 0 {
				continue
			}
			s := tls.Client(c, &tls.Config{RootCAs: rec.users.pool(), ServerName: "127.0.0.1", NextProtos: []string{map[string]string{"rest": "http/1.1", "grpc": "h2"}[listener]}})
			c.SetDeadline(time.Now().Add(20 * time.Second))
			must(t, s.Handshake())
			if i%3 == 1 {
				io.WriteString(s, map[string]string{"rest": "POST /v1/query HT", "grpc": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}[listener])
			}
		}
	}
	// Both ends are in this process: the clients' share is in it, too.
	if grown := int64(heap()) - int64(before); grown > 3*each*96<<10 {
		t.Errorf("%d MiB for %d connections", grown>>20, 3*each)
	} else {
		t.Logf("%d KiB a connection, both ends", grown/(3*each)>>10)
	}
	if code, a := rec.query(t, rec.client("alice"), q(`person_number == "P000042"`)); code != 200 || len(a.Records) != 1 {
		t.Errorf("%d %+v", code, a)
	}
}

// TestClientThatDoesNotRead: a gRPC client that asks for much and reads nothing holds little, and not for long.
func TestClientThatDoesNotRead(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a time-out")
	}
	src, rec := startAgency(t, "border-service", options{people: 300_000, sourceTimeout: 5 * time.Minute}), startAgency(t, "state-police", options{people: 1, timeout: 5 * time.Minute})
	c := clause("persons", src, rec)
	c.RecordsPerQuery = 1_000_000
	c.RequireSelectors = nil
	agree("agr", []route.Clause{c}, src, rec)
	certificate := rec.users.issue(t, "", pkix.Name{CommonName: "alice"}, time.Now().Add(time.Hour))
	conn, err := grpc.NewClient(rec.addrs.GRPC, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: rec.users.pool(), Certificates: []tls.Certificate{*certificate}})),
		grpc.WithStaticStreamWindowSize(65535), grpc.WithStaticConnWindowSize(65535))
	must(t, err)
	defer conn.Close()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var streams []grpc.ServerStreamingClient[gatewayv1.QueryResponse]
	n := 0
	for i := range 4 {
		s, err := gatewayv1.NewQueryServiceClient(conn).Query(ctx, &gatewayv1.QueryRequest{Schema: "person", Purpose: purpose, Justification: &gatewayv1.Justification{CaseReference: "SP-2026-1"}})
		must(t, err)
		f, err := s.Recv()
		must(t, err)
		if i == 0 {
			n = len(f.GetRecords().GetRecords())
		}
		streams = append(streams, s)
	}
	// The answers are several times as large: what is here is batches on their way, 12 MiB a query, however long its answer is.
	most := uint64(0)
	for range 20 {
		time.Sleep(100 * time.Millisecond)
		runtime.GC()
		runtime.ReadMemStats(&after)
		most = max(most, after.HeapInuse)
	}
	t.Logf("%d MiB more for four", (int64(most)-int64(before.HeapInuse))>>20)
	if grown := int64(most) - int64(before.HeapInuse); grown > 64<<20 {
		t.Errorf("%d MiB for four answers that nobody reads", grown>>20)
	}
	// Reading goes on where it stood, for who is not too late.
	for {
		f, err := streams[0].Recv()
		if err == io.EOF {
			break
		}
		must(t, err)
		n += len(f.GetRecords().GetRecords())
	}
	if n != 300_000 {
		t.Errorf("%d records", n)
	}
}
