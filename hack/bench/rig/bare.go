package rig

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/hack/bench/floor"
)

// BareSource looks up what the filter names.
type BareSource struct {
	gatewayv1.UnimplementedSourceServiceServer
	Agency string
	Pool   *pgxpool.Pool
	SQL    string
	// Log gets a record before the answer; nil: none.
	Log *floor.File
}

// Retrieve implements SourceServiceServer.
func (s *BareSource) Retrieve(req *gatewayv1.RetrieveRequest, stream grpc.ServerStreamingServer[gatewayv1.RetrieveResponse]) error {
	parts := strings.Split(req.GetFilter(), `"`)
	if len(parts) != 3 {
		return errors.New("no such filter")
	}
	rows, err := s.Pool.Query(context.WithoutCancel(stream.Context()), s.SQL, parts[1], int64(101))
	if err != nil {
		return err
	}
	defer rows.Close()
	batch := &gatewayv1.RecordBatch{
		Fields: req.GetFields(), Provenance: &gatewayv1.Provenance{Agency: s.Agency, Dataset: "people", Agreement: "agr.v1", Clause: "persons", DisclosureId: req.GetDisclosureId()},
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
	if s.Log != nil {
		s.Log.Append()
	}
	return stream.Send(&gatewayv1.RetrieveResponse{Records: batch, Result: &gatewayv1.SourceStatus{
		Agency: s.Agency, Outcome: gatewayv1.Outcome_OUTCOME_OK, Agreement: "agr.v1", Clause: "persons", DisclosureId: req.GetDisclosureId(), Records: 1,
	}})
}

// BareAggregator asks its sources at once and passes their answers on.
type BareAggregator struct {
	gatewayv1.UnimplementedQueryServiceServer
	Sources []gatewayv1.SourceServiceClient
	// Log gets a record before the answer; nil: none.
	Log *floor.File
}

// Query implements QueryServiceServer.
func (a *BareAggregator) Query(req *gatewayv1.QueryRequest, stream grpc.ServerStreamingServer[gatewayv1.QueryResponse]) error {
	id := uuid.Must(uuid.NewV7()).String()
	frames := make([]*gatewayv1.RetrieveResponse, len(a.Sources))
	errs := make([]error, len(a.Sources))
	ask := func(i int) { frames[i], errs[i] = a.ask(stream.Context(), a.Sources[i], req, id) }
	var wg sync.WaitGroup
	for i := 1; i < len(a.Sources); i++ {
		wg.Go(func() { ask(i) })
	}
	ask(0)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if a.Log != nil {
		a.Log.Append()
	}
	// The frames in which a gateway answers: as records come, as a source ends, as the query ends.
	n := int32(len(frames))
	for _, f := range frames {
		if err := stream.Send(&gatewayv1.QueryResponse{Records: f.GetRecords()}); err != nil {
			return err
		}
		if err := stream.Send(&gatewayv1.QueryResponse{Source: f.GetResult()}); err != nil {
			return err
		}
	}
	return stream.Send(&gatewayv1.QueryResponse{Summary: &gatewayv1.QuerySummary{QueryId: id, Sources: n, Ok: n, Records: int64(n), Complete: true}})
}

func (a *BareAggregator) ask(ctx context.Context, source gatewayv1.SourceServiceClient, req *gatewayv1.QueryRequest, id string) (*gatewayv1.RetrieveResponse, error) {
	answer, err := source.Retrieve(ctx, &gatewayv1.RetrieveRequest{
		DisclosureId: id, Agreement: "agr", Version: 1, Clause: "persons", Schema: "person.v1",
		Filter: req.GetFilter(), Fields: req.GetFields(), Purpose: req.GetPurpose(), Justification: req.GetJustification(), User: "alice",
	})
	if err != nil {
		return nil, err
	}
	frame, err := answer.Recv()
	if err != nil {
		return nil, err
	}
	return frame, Ended(answer.Recv())
}

// Ended wants the end of a stream.
func Ended(_ *gatewayv1.RetrieveResponse, err error) error {
	switch {
	case err == nil:
		return errors.New("more than one frame")
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

// ServeBare serves on 127.0.0.1, tuned as a gateway is.
func ServeBare(config *tls.Config, register func(*grpc.Server)) (address string, stop func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)), grpc.NumStreamWorkers(4), grpc.MaxConcurrentStreams(1024))
	register(s)
	go func() { _ = s.Serve(ln) }()
	return ln.Addr().String(), s.Stop, nil
}

// MutualTLS is the configuration of a server whose clients show a certificate of the authority.
func MutualTLS(own *tls.Certificate, clients *Authority) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool(), SessionTicketsDisabled: true}
}

// LastStatement is the look-up that a gateway's session ran last, by its application name.
func LastStatement(ctx context.Context, url, application string) (sql string, err error) {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	return sql, c.QueryRow(ctx, `SELECT query FROM pg_stat_activity WHERE application_name = $1 AND query LIKE 'SELECT %' LIMIT 1`, application).Scan(&sql)
}

// RecordBytes is the size of the floor's record.
const RecordBytes = 512
