package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/hack/bench/floor"
)

// statements cuts SQL at its semicolons.
func statements(sql string) []string {
	var out []string
	for s := range strings.SplitSeq(sql, ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// lastStatement is what the gateway's session ran last.
func lastStatement(ctx context.Context, url string) (sql string, err error) {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	return sql, c.QueryRow(ctx, `SELECT query FROM pg_stat_activity WHERE application_name = 'entente `+agreement+`' AND query LIKE 'SELECT %' LIMIT 1`).Scan(&sql)
}

// bare is what one would write without Entente, tuned as its gateway is: as many connections and stream workers, and no
// cancelled context that closes a connection.
type bare struct {
	pool    *pgxpool.Pool
	sql     string
	servers []*grpc.Server
	logs    []*floor.File
	// Addresses of the source without and with a record, and of the aggregator.
	plain, recorded, aggregator string
}

func startBare(ctx context.Context, w *world, dir, url, sql string) (*bare, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 4
	b := &bare{sql: sql}
	if b.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	for _, name := range []string{"source.log", "recipient.log"} {
		l, err := floor.Create(filepath.Join(dir, name), recordBytes)
		if err != nil {
			return b, err
		}
		b.logs = append(b.logs, l)
	}
	peers := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*w.source.own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: w.source.ca.pool(), SessionTicketsDisabled: true}
	users := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*w.recipient.serving}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: w.recipient.ca.pool()}
	if b.plain, err = b.serve(peers, func(s *grpc.Server) { gatewayv1.RegisterSourceServiceServer(s, &bareSource{bare: b}) }); err != nil {
		return b, err
	}
	if b.recorded, err = b.serve(peers, func(s *grpc.Server) { gatewayv1.RegisterSourceServiceServer(s, &bareSource{bare: b, log: b.logs[0]}) }); err != nil {
		return b, err
	}
	conn, err := dial(b.recorded, w.credential, w.source.ca.certificate, false)
	if err != nil {
		return b, err
	}
	a := &bareAggregator{source: gatewayv1.NewSourceServiceClient(conn), log: b.logs[1]}
	b.aggregator, err = b.serve(users, func(s *grpc.Server) { gatewayv1.RegisterQueryServiceServer(s, a) })
	return b, err
}

func (b *bare) serve(config *tls.Config, register func(*grpc.Server)) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)), grpc.NumStreamWorkers(4), grpc.MaxConcurrentStreams(1024))
	register(s)
	b.servers = append(b.servers, s)
	go func() { _ = s.Serve(ln) }()
	return ln.Addr().String(), nil
}

func (b *bare) stop() error {
	for _, s := range b.servers {
		s.Stop()
	}
	if b.pool != nil {
		b.pool.Close()
	}
	var errs []error
	for _, l := range b.logs {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// dial connects with mutual TLS: to a gateway, whose certificate names no host, or to a server for users, which is
// 127.0.0.1.
func dial(address string, own *tls.Certificate, authority *x509.Certificate, named bool) (*grpc.ClientConn, error) {
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	c := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*own}, RootCAs: roots}
	if !named {
		c.InsecureSkipVerify = true // the chain is verified below
		c.VerifyConnection = func(s tls.ConnectionState) error {
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots})
			return err
		}
	}
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(c)), grpc.WithDisableServiceConfig())
}

// bareSource looks up what the filter names.
type bareSource struct {
	gatewayv1.UnimplementedSourceServiceServer
	*bare
	log *floor.File
}

func (s *bareSource) Retrieve(req *gatewayv1.RetrieveRequest, stream grpc.ServerStreamingServer[gatewayv1.RetrieveResponse]) error {
	parts := strings.Split(req.GetFilter(), `"`)
	if len(parts) != 3 {
		return errors.New("no such filter")
	}
	rows, err := s.pool.Query(context.WithoutCancel(stream.Context()), s.sql, parts[1], int64(101))
	if err != nil {
		return err
	}
	defer rows.Close()
	batch := &gatewayv1.RecordBatch{
		Fields: req.GetFields(), Provenance: &gatewayv1.Provenance{Agency: "source", Dataset: "people", Agreement: "agr.v1", Clause: "persons", DisclosureId: req.GetDisclosureId()},
	}
	for rows.Next() {
		var nr string
		var born time.Time
		if err := rows.Scan(&nr, &born); err != nil {
			return err
		}
		batch.Records = append(batch.Records, &gatewayv1.Record{Values: []*gatewayv1.Value{
			{Kind: &gatewayv1.Value_Text{Text: nr}}, {Kind: &gatewayv1.Value_Text{Text: born.Format(time.DateOnly)}},
		}})
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if s.log != nil {
		s.log.Append()
	}
	return stream.Send(&gatewayv1.RetrieveResponse{Records: batch, Result: &gatewayv1.SourceStatus{
		Agency: "source", Outcome: gatewayv1.Outcome_OUTCOME_OK, Agreement: "agr.v1", Clause: "persons", DisclosureId: req.GetDisclosureId(), Records: 1,
	}})
}

// bareAggregator asks one source and passes its answer on.
type bareAggregator struct {
	gatewayv1.UnimplementedQueryServiceServer
	source gatewayv1.SourceServiceClient
	log    *floor.File
}

func (a *bareAggregator) Query(req *gatewayv1.QueryRequest, stream grpc.ServerStreamingServer[gatewayv1.QueryResponse]) error {
	answer, err := a.source.Retrieve(stream.Context(), &gatewayv1.RetrieveRequest{
		DisclosureId: uuid.Must(uuid.NewV7()).String(), Agreement: agreement, Version: 1, Clause: "persons", Schema: "person.v1",
		Filter: req.GetFilter(), Fields: req.GetFields(), Purpose: req.GetPurpose(), Justification: req.GetJustification(), User: "alice",
	})
	if err != nil {
		return err
	}
	frame, err := answer.Recv()
	if err != nil {
		return err
	}
	if err := ended(answer.Recv()); err != nil {
		return err
	}
	a.log.Append()
	// The frames in which a gateway answers: as records come, as a source ends, as the query ends.
	if err := stream.Send(&gatewayv1.QueryResponse{Records: frame.GetRecords()}); err != nil {
		return err
	}
	if err := stream.Send(&gatewayv1.QueryResponse{Source: frame.GetResult()}); err != nil {
		return err
	}
	return stream.Send(&gatewayv1.QueryResponse{Summary: &gatewayv1.QuerySummary{QueryId: frame.GetResult().GetDisclosureId(), Sources: 1, Ok: 1, Records: 1, Complete: true}})
}

// recordBytes is the size of the floor's record.
const recordBytes = 512
