// Package httpjson reads records from HTTP APIs that answer with JSON. An API is asked for the whole of the query's filters (package
// pushdown), and each record that comes back is held against them: one that was not asked for ends the answer and is not passed on.
package httpjson

import (
	"context"
	"errors"
	"fmt"
	"slices"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/pushdown"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/httpclient"
)

// Source reads HTTP APIs. See New.
type Source struct{ pool *httpclient.Pool }

var _ source.Source = (*Source)(nil)

// New makes a source, which connects to nothing before it is asked. The pool may be used by others, and is closed with the source.
func New(pool *httpclient.Pool) *Source { return &Source{pool: pool} }

// Revoke cuts off every connection of the agreement, whatever runs on it, and forgets its secrets.
func (s *Source) Revoke(agreement string) { s.pool.Revoke(agreement) }

// Close cuts everything off.
func (s *Source) Close() error { return s.pool.Close() }

// reading is one query on its way.
type reading struct {
	pool *httpclient.Pool
	q    source.Query
	api  *route.HTTP
	plan *pushdown.Plan
	// fields that are disclosed, then those that only the plan looks at.
	fields []field
	shown  int
}

// errOutside: the API gave what was not asked for.
var errOutside = errors.New("the API gives a record that the filters exclude: it is not passed on, and the answer ends; mend the API, or the dataset's filters")

func (s *Source) start(q source.Query, fields []string) (*reading, error) {
	if q.Dataset == nil || q.Schema == nil || q.Dataset.HTTP == nil {
		return nil, errors.New("httpjson: the query's dataset is no HTTP API")
	}
	if q.Dataset.Consent != nil {
		return nil, fmt.Errorf("source: dataset %s: its rows cannot be held against consents", q.Dataset.Name)
	}
	r := &reading{pool: s.pool, q: q, api: q.Dataset.HTTP, shown: len(fields)}
	plan, refusal := pushdown.Of(r.api, q.Filter, q.RowFilter)
	if refusal != nil {
		return nil, r.fault(refusal)
	}
	r.plan = plan
	for _, name := range slices.Concat(fields, plan.Fields()) {
		i := slices.IndexFunc(q.Schema.Fields, func(f route.Field) bool { return f.Name == name })
		pointer, ok := q.Dataset.Columns[name]
		if i < 0 || !ok {
			return nil, fmt.Errorf("source: dataset %s: field %s is no member of its items", q.Dataset.Name, name)
		}
		r.fields = append(r.fields, newField(&q.Schema.Fields[i], pointer))
	}
	return r, nil
}

// fault says which dataset an error is about.
func (r *reading) fault(err error) error {
	return fmt.Errorf("source: dataset %s: %w", r.q.Dataset.Name, err)
}

// record reads one item and holds it against the filters.
func (r *reading) record(item any) (*gatewayv1.Record, error) {
	values := make([]*gatewayv1.Value, len(r.fields))
	for i := range r.fields {
		v, err := r.fields[i].read(item)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	if !r.plan.Holds(func(name string) (string, bool) {
		for i := r.shown; i < len(r.fields); i++ {
			if r.fields[i].schema.Name == name {
				return r.fields[i].plain(values[i])
			}
		}
		return "", false
	}) {
		return nil, errOutside
	}
	return &gatewayv1.Record{Values: values[:r.shown:r.shown]}, nil
}

// each calls yield for each record, in pages of at most size, until yield says that it is enough.
func (r *reading) each(ctx context.Context, size int64, yield func(*gatewayv1.Record) (enough bool, err error)) error {
	if r.plan.Nothing {
		return nil
	}
	p := newPager(r, size)
	for {
		items, done, err := p.next(ctx)
		if err != nil {
			return r.fault(err)
		}
		for _, item := range items {
			record, err := r.record(item)
			if err != nil {
				return r.fault(err)
			}
			if enough, err := yield(record); enough || err != nil {
				return err
			}
		}
		if done {
			return nil
		}
	}
}

// Records implements source.Source.
func (s *Source) Records(ctx context.Context, q source.Query, yield func(*gatewayv1.Record) error) (more bool, err error) {
	if len(q.Fields) == 0 || q.Limit < 1 {
		return false, errors.New("source: a query for records needs fields and a limit")
	}
	r, err := s.start(q, q.Fields)
	if err != nil {
		return false, err
	}
	if len(q.Order) > 0 {
		return r.ordered(ctx, yield)
	}
	left := q.Limit
	err = r.each(ctx, q.Limit+1, func(record *gatewayv1.Record) (bool, error) {
		if left == 0 {
			more = true
			return true, nil
		}
		left--
		return false, yield(record)
	})
	return more && err == nil, err
}

// Count implements source.Source. Without a count of the API's own, and for persons, it reads the records.
func (s *Source) Count(ctx context.Context, q source.Query) (int64, error) {
	var fields []string
	if q.Persons {
		if q.Dataset == nil || q.Dataset.SubjectKey == "" {
			return 0, errors.New("source: persons cannot be counted without a subject key")
		}
		fields = []string{q.Dataset.SubjectKey}
	}
	r, err := s.start(q, fields)
	if err != nil {
		return 0, err
	}
	if r.api.Count != "" && !q.Persons && !r.plan.Nothing {
		n, err := r.count(ctx)
		if err != nil {
			return 0, r.fault(err)
		}
		return n, nil
	}
	var n int64
	persons := map[string]struct{}{}
	err = r.each(ctx, maxPage, func(record *gatewayv1.Record) (bool, error) {
		n++
		if q.Persons {
			if person, ok := r.fields[0].plain(record.Values[0]); ok {
				persons[person] = struct{}{}
			}
		}
		return false, nil
	})
	if q.Persons {
		n = int64(len(persons))
	}
	return n, err
}

// count asks for one record and takes the API's word for how many there are. What comes along is looked at all the same.
func (r *reading) count(ctx context.Context) (int64, error) {
	p := newPager(r, 1)
	items, _, err := p.next(ctx)
	if err != nil {
		return 0, err
	}
	for _, item := range items {
		if _, err := r.record(item); err != nil {
			return 0, err
		}
	}
	if p.total < int64(len(items)) {
		return 0, errors.New("the API counts fewer records than it gives")
	}
	return p.total, nil
}

// Exists implements source.Source.
func (s *Source) Exists(ctx context.Context, q source.Query) (found bool, err error) {
	r, err := s.start(q, nil)
	if err != nil {
		return false, err
	}
	err = r.each(ctx, 1, func(*gatewayv1.Record) (bool, error) {
		found = true
		return true, nil
	})
	return found && err == nil, err
}
