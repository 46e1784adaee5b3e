// Package consent holds records against a consent service: it reads them from the source that has them, asks the service for the persons
// that they are about, and gives on those whose persons consented. The others are no hits and are not counted.
package consent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/httpclient"
)

// maxRows that one query holds against consents.
const maxRows = 100_000

// maxPersons that a service is asked for at once.
const maxPersons = 256

// Source is a source whose datasets may rest on a consent service.
type Source struct {
	source.Source
	service service
}

var _ source.Streamer = (*Source)(nil)

// Over makes a source of another. The pool asks the services; it is not closed with the source. now is the clock of answers that are
// used again; nil: time.Now.
func Over(inner source.Source, pool *httpclient.Pool, now func() time.Time) *Source {
	if now == nil {
		now = time.Now
	}
	return &Source{Source: inner, service: service{pool: pool, now: now, given: map[given]answer{}}}
}

// bound says whether a query needs a service.
func bound(q source.Query) bool {
	return q.Dataset != nil && q.Dataset.Consent != nil && q.Dataset.Consent.Service != nil
}

// check holds records against the service, in batches.
type check struct {
	s   *Source
	ctx context.Context
	q   source.Query
	at  int // of the subject key in the records that are read
	// extra: the subject key was not asked for, and is taken off.
	extra bool
	// waiting records, and how many of them are asked for at once.
	waiting []*gatewayv1.Record
	batch   int
	// each gets the records whose persons consented.
	each func(record *gatewayv1.Record, person string) (enough bool, err error)
}

var errSchema = errors.New("source: query without a schema")

// errEnough ends a reading that has what it wants.
var errEnough = errors.New("enough")

// reading is what the source is asked for a query whose records a service is asked about: all of them, with their subject key. at is
// where a record has it: the members of a record inside are one value of it, however many paths of the query name them.
func reading(q source.Query) (inner source.Query, at int, extra bool) {
	inner, dataset := q, *q.Dataset
	dataset.Consent = nil
	inner.Dataset, inner.Consent, inner.Limit, inner.Persons = &dataset, nil, maxRows, false
	values := route.Names(q.Schema.Layout(q.Fields))
	if at = slices.Index(values, dataset.SubjectKey); at < 0 {
		at, extra = len(values), true
		inner.Fields, inner.HiddenKey = append(slices.Clone(q.Fields), dataset.SubjectKey), true
	}
	return inner, at, extra
}

// Describe implements source.Describer: under a service, whatever is asked, records are read.
func (s *Source) Describe(q source.Query, m source.Method) (source.Statement, error) {
	if bound(q) {
		if q.Schema == nil {
			return source.Statement{}, errSchema
		}
		q, _, _ = reading(q)
		m = source.MethodRecords
	}
	return source.Describe(s.Source, q, m)
}

// read reads the records of the query and gives on those with consent.
func (s *Source) read(ctx context.Context, q source.Query, batch int64, each func(*gatewayv1.Record, string) (bool, error)) error {
	if q.Schema == nil {
		return errSchema
	}
	key := q.Dataset.SubjectKey
	if key == "" || q.Consent == nil {
		return fmt.Errorf("source: dataset %s: its rows cannot be held against consents", q.Dataset.Name)
	}
	c := &check{s: s, ctx: ctx, q: q, each: each, batch: int(min(batch, maxPersons))}
	var inner source.Query
	inner, c.at, c.extra = reading(q)
	more, err := s.Source.Records(ctx, inner, c.add)
	if err == nil {
		err = c.flush()
	}
	switch {
	case errors.Is(err, errEnough):
		return nil
	case err == nil && more:
		return fmt.Errorf("source: dataset %s: more than %d records would have to be held against consents: narrow the filter", q.Dataset.Name, maxRows)
	}
	return err
}

func (c *check) add(r *gatewayv1.Record) error {
	c.waiting = append(c.waiting, r)
	if len(c.waiting) < c.batch {
		return nil
	}
	return c.flush()
}

// flush asks for the persons of the waiting records.
func (c *check) flush() error {
	waiting := c.waiting
	c.waiting = nil
	persons := make([]string, len(waiting))
	var ask []string
	for i, r := range waiting {
		if c.at >= len(r.GetValues()) {
			return fmt.Errorf("source: dataset %s: a record has no subject key", c.q.Dataset.Name)
		}
		persons[i] = plain(r.Values[c.at])
		if persons[i] != "" && !slices.Contains(ask, persons[i]) {
			ask = append(ask, persons[i])
		}
	}
	if len(ask) == 0 {
		return nil // nobody whom a record names could have consented
	}
	consented, err := c.s.service.ask(c.ctx, c.q, ask)
	if err != nil {
		return fmt.Errorf("source: dataset %s: %w: %w", c.q.Dataset.Name, source.ErrConsent, err)
	}
	for i, r := range waiting {
		if persons[i] == "" || !consented[persons[i]] {
			continue
		}
		if c.extra {
			r.Values = r.Values[:c.at]
		}
		enough, err := c.each(r, persons[i])
		if err != nil {
			return err
		}
		if enough {
			return errEnough
		}
	}
	return nil
}

// plain writes a subject key as text; "" for null.
func plain(v *gatewayv1.Value) string {
	switch k := v.GetKind().(type) {
	case *gatewayv1.Value_Text:
		return k.Text
	case *gatewayv1.Value_Integer:
		return strconv.FormatInt(k.Integer, 10)
	case *gatewayv1.Value_Boolean:
		return strconv.FormatBool(k.Boolean)
	}
	return ""
}

// Records implements source.Source.
func (s *Source) Records(ctx context.Context, q source.Query, yield func(*gatewayv1.Record) error) (more bool, err error) {
	if !bound(q) {
		return s.Source.Records(ctx, q, yield)
	}
	left := q.Limit
	err = s.read(ctx, q, q.Limit+1, func(r *gatewayv1.Record, _ string) (bool, error) {
		if left == 0 {
			more = true
			return true, nil
		}
		left--
		return false, yield(r)
	})
	return more && err == nil, err
}

// recordsOnly has nothing of a source but what every source has.
type recordsOnly struct{ source.Source }

// Stream implements source.Streamer: what is held against consents goes by records, whatever the source below can.
func (s *Source) Stream(ctx context.Context, q source.Query, to source.Sink) (more bool, err error) {
	if bound(q) {
		return source.Stream(ctx, recordsOnly{s}, q, to)
	}
	return source.Stream(ctx, s.Source, q, to)
}

// Count implements source.Source.
func (s *Source) Count(ctx context.Context, q source.Query) (int64, error) {
	if !bound(q) {
		return s.Source.Count(ctx, q)
	}
	q.Fields = []string{q.Dataset.SubjectKey}
	var n int64
	persons := map[string]struct{}{}
	err := s.read(ctx, q, maxPersons, func(_ *gatewayv1.Record, person string) (bool, error) {
		n++
		if q.Persons {
			persons[person] = struct{}{}
		}
		return false, nil
	})
	if err != nil {
		return 0, err
	}
	if q.Persons {
		n = int64(len(persons))
	}
	return n, nil
}

// Exists implements source.Source.
func (s *Source) Exists(ctx context.Context, q source.Query) (found bool, err error) {
	if !bound(q) {
		return s.Source.Exists(ctx, q)
	}
	q.Fields = []string{q.Dataset.SubjectKey}
	err = s.read(ctx, q, maxPersons, func(*gatewayv1.Record, string) (bool, error) {
		found = true
		return true, nil
	})
	return found && err == nil, err
}

// Revoke implements source.Source: what was answered under the agreement is forgotten, too.
func (s *Source) Revoke(agreement string) {
	s.service.forget(agreement)
	s.service.pool.Revoke(agreement)
	s.Source.Revoke(agreement)
}
