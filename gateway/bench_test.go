package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/sqlite"
)

const benchPeople = 100_000

// callers runs f from n goroutines until b.N calls are done.
func callers(b *testing.B, n int, f func(i int64) error) {
	b.Helper()
	must(b, f(0)) // connections and credentials are there
	var next atomic.Int64
	errs := make(chan error, n)
	b.ReportAllocs()
	b.ResetTimer()
	for range n {
		go func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					errs <- nil
					return
				}
				if err := f(i); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	for range n {
		must(b, <-errs)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lookups/s")
}

var concurrency = []int{1, 16, 64}

// BenchmarkBareHop is the floor: grpc-go and SQLite, the same TLS, the same SQL, the same frames; no policy and no log.
func BenchmarkBareHop(b *testing.B) {
	src, certificate, c := benchSource(b)
	config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*src.own}, ClientAuth: tls.RequireAnyClientCert}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)), grpc.NumStreamWorkers(4))
	gatewayv1.RegisterSourceServiceServer(s, &bareSource{c: c, sqlite: sqlite.New(sqlite.Options{})})
	go s.Serve(ln)
	b.Cleanup(s.Stop)
	ask := peerAsk(b, ln.Addr().String(), certificate)
	for _, n := range concurrency {
		b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) { callers(b, n, ask) })
	}
}

type bareSource struct {
	gatewayv1.UnimplementedSourceServiceServer
	c      source.Query
	sqlite source.Source
}

func (s *bareSource) Retrieve(req *gatewayv1.RetrieveRequest, stream grpc.ServerStreamingServer[gatewayv1.RetrieveResponse]) error {
	f, err := filter.Compile(&personSchema, req.GetFilter())
	if err != nil {
		return err
	}
	q := s.c
	q.Filter = f
	batch := &gatewayv1.RecordBatch{Fields: q.Fields}
	_, err = s.sqlite.Records(stream.Context(), q, func(r *gatewayv1.Record) error {
		batch.Records = append(batch.Records, r)
		return nil
	})
	if err != nil {
		return err
	}
	return stream.Send(&gatewayv1.RetrieveResponse{Records: batch, Result: &gatewayv1.SourceStatus{Outcome: gatewayv1.Outcome_OUTCOME_OK}})
}

// BenchmarkGovernedHop is one governed point look-up at a source: mutual TLS, policy, minimisation, durable log, SQLite.
func BenchmarkGovernedHop(b *testing.B) {
	src, certificate, _ := benchSource(b)
	ask := peerAsk(b, src.addrs.Peer, certificate)
	for _, n := range concurrency {
		b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) { callers(b, n, ask) })
	}
}

// BenchmarkGovernedQuery is the whole way: user, recipient's gateway, source's gateway, SQLite; both sides log.
func BenchmarkGovernedQuery(b *testing.B) {
	src, rec := pair(b, options{people: benchPeople})
	_ = src
	certificate := rec.users.issue(b, "", pkix.Name{CommonName: "alice"}, time.Now().Add(time.Hour))
	conn, err := grpc.NewClient(rec.addrs.GRPC, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: rec.users.pool(), Certificates: []tls.Certificate{*certificate}})))
	must(b, err)
	b.Cleanup(func() { conn.Close() })
	s := gatewayv1.NewQueryServiceClient(conn)
	ask := func(i int64) error {
		stream, err := s.Query(context.Background(), &gatewayv1.QueryRequest{
			Schema: "person", Filter: lookup(i), Fields: []string{"person_number", "birth_date"}, Purpose: purpose,
			Justification: &gatewayv1.Justification{CaseReference: "SP-2026-1"},
		})
		if err != nil {
			return err
		}
		records := 0
		for {
			f, err := stream.Recv()
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			records += len(f.GetRecords().GetRecords())
		}
		if records != 1 {
			return fmt.Errorf("%d records", records)
		}
		return nil
	}
	for _, n := range concurrency {
		b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) { callers(b, n, ask) })
	}
}

func lookup(i int64) string { return fmt.Sprintf(`person_number == "P%06d"`, i*7919%benchPeople) }

func benchSource(b *testing.B) (*agency, *tls.Certificate, source.Query) {
	src, rec := pair(b, options{people: benchPeople})
	c := clause("persons", src, rec)
	return src, src.ca.issue(b, identity.AgreementID(src.party.TrustDomain, "agr", "state-police"), pkix.Name{}, time.Now().Add(time.Hour)),
		source.Query{Agreement: "agr", Dataset: &c.Datasets[0], Schema: &personSchema, Fields: []string{"person_number", "birth_date"}, Limit: 5000}
}

func peerAsk(b *testing.B, address string, certificate *tls.Certificate) func(int64) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*certificate}})))
	must(b, err)
	b.Cleanup(func() { conn.Close() })
	s := gatewayv1.NewSourceServiceClient(conn)
	return func(i int64) error {
		stream, err := s.Retrieve(context.Background(), &gatewayv1.RetrieveRequest{
			DisclosureId: uuid.Must(uuid.NewV7()).String(), Agreement: "agr", Version: 1, Clause: "persons", Schema: "person.v1",
			Filter: lookup(i), Fields: []string{"person_number", "birth_date"}, Granularity: gatewayv1.Granularity_GRANULARITY_RECORDS,
			Purpose: purpose, Justification: &gatewayv1.Justification{CaseReference: "SP-2026-1"}, User: "AAAAAAAAAAAAAAAAAAAAAA",
		})
		if err != nil {
			return err
		}
		f, err := stream.Recv()
		if err != nil {
			return err
		}
		if len(f.GetRecords().GetRecords()) != 1 {
			return fmt.Errorf("%v", f.GetResult())
		}
		_, err = stream.Recv()
		if err != io.EOF {
			return fmt.Errorf("no end: %v", err)
		}
		return nil
	}
}
