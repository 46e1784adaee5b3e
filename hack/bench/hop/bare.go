package main

import (
	"context"
	"crypto/tls"
	"errors"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/hack/bench/floor"
	"github.com/entente-dev/entente/hack/bench/rig"
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

// bare is what one would write without Entente, tuned as its gateway is: as many connections and stream workers, and no
// cancelled context that closes a connection.
type bare struct {
	pool  *pgxpool.Pool
	stops []func()
	logs  []*floor.File
	// Addresses of the source without and with a record, and of the aggregator.
	plain, recorded, aggregator string
}

func startBare(ctx context.Context, w *world, dir, url, sql string) (*bare, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 4
	b := &bare{}
	if b.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	for _, name := range []string{"source.log", "recipient.log"} {
		l, err := floor.Create(filepath.Join(dir, name), rig.RecordBytes)
		if err != nil {
			return b, err
		}
		b.logs = append(b.logs, l)
	}
	peers, users := rig.MutualTLS(w.source.Own, w.source.CA), rig.MutualTLS(w.recipient.Serving, w.recipient.CA)
	source := &rig.BareSource{Agency: "source", Pool: b.pool, SQL: sql}
	recorded := &rig.BareSource{Agency: "source", Pool: b.pool, SQL: sql, Log: b.logs[0]}
	if b.plain, err = b.serve(peers, func(s *grpc.Server) { gatewayv1.RegisterSourceServiceServer(s, source) }); err != nil {
		return b, err
	}
	if b.recorded, err = b.serve(peers, func(s *grpc.Server) { gatewayv1.RegisterSourceServiceServer(s, recorded) }); err != nil {
		return b, err
	}
	conn, err := rig.Dial(b.recorded, w.credential, w.source.CA.Certificate, false)
	if err != nil {
		return b, err
	}
	a := &rig.BareAggregator{Sources: []gatewayv1.SourceServiceClient{gatewayv1.NewSourceServiceClient(conn)}, Log: b.logs[1]}
	b.aggregator, err = b.serve(users, func(s *grpc.Server) { gatewayv1.RegisterQueryServiceServer(s, a) })
	return b, err
}

func (b *bare) serve(config *tls.Config, register func(*grpc.Server)) (string, error) {
	address, stop, err := rig.ServeBare(config, register)
	if err == nil {
		b.stops = append(b.stops, stop)
	}
	return address, err
}

func (b *bare) stop() error {
	for _, stop := range b.stops {
		stop()
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
