package source

import (
	"context"
	"errors"
	"fmt"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
)

// Mux is the Source of all datasets: it hands each query to the source of its dataset's kind. A nil source means that this
// gateway does not read that kind.
type Mux struct {
	PostgreSQL, SQLite, HTTP, Trino Source
}

var _ Streamer = Mux{}

// of gives the source that reads the query's dataset.
func (m Mux) of(q Query) (Source, error) {
	if q.Dataset == nil {
		return nil, errors.New("source: query without a dataset")
	}
	var found Source
	systems := 0
	for i, bound := range [...]bool{q.Dataset.PostgreSQL != nil, q.Dataset.SQLite != nil, q.Dataset.HTTP != nil, q.Dataset.Trino != nil} {
		if bound {
			found = [...]Source{m.PostgreSQL, m.SQLite, m.HTTP, m.Trino}[i]
			systems++
		}
	}
	switch {
	case systems > 1:
		return nil, fmt.Errorf("source: dataset %s is bound to two systems", q.Dataset.Name)
	case found == nil:
		return nil, fmt.Errorf("source: dataset %s is bound to no system that this gateway reads", q.Dataset.Name)
	}
	return found, nil
}

// Records implements Source.
func (m Mux) Records(ctx context.Context, q Query, yield func(*gatewayv1.Record) error) (bool, error) {
	s, err := m.of(q)
	if err != nil {
		return false, err
	}
	return s.Records(ctx, q, yield)
}

// Stream implements Streamer.
func (m Mux) Stream(ctx context.Context, q Query, to Sink) (bool, error) {
	s, err := m.of(q)
	if err != nil {
		return false, err
	}
	return Stream(ctx, s, q, to)
}

// Count implements Source.
func (m Mux) Count(ctx context.Context, q Query) (int64, error) {
	s, err := m.of(q)
	if err != nil {
		return 0, err
	}
	return s.Count(ctx, q)
}

// Exists implements Source.
func (m Mux) Exists(ctx context.Context, q Query) (bool, error) {
	s, err := m.of(q)
	if err != nil {
		return false, err
	}
	return s.Exists(ctx, q)
}

// Describe implements Describer.
func (m Mux) Describe(q Query, method Method) (Statement, error) {
	s, err := m.of(q)
	if err != nil {
		return Statement{}, err
	}
	return Describe(s, q, method)
}

// Revoke revokes in every source: an agreement may have datasets of several kinds.
func (m Mux) Revoke(agreement string) {
	for _, s := range []Source{m.PostgreSQL, m.SQLite, m.HTTP, m.Trino} {
		if s != nil {
			s.Revoke(agreement)
		}
	}
}

// Close closes every source.
func (m Mux) Close() error {
	var errs []error
	for _, s := range []Source{m.PostgreSQL, m.SQLite, m.HTTP, m.Trino} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}
