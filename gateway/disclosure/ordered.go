package disclosure

import (
	"context"
	"errors"
	"iter"
	"slices"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/order"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

func orderOf(o []*gatewayv1.OrderBy) []enforce.Order {
	var out []enforce.Order
	for _, by := range o {
		out = append(out, enforce.Order{Field: by.GetField(), Descending: by.GetDescending()})
	}
	return out
}

// wholeOrder is the order that is asked for, then the other single values of the answer: records that are equal in it are equal in all that
// is disclosed, but for lists and records. Fields that are not disclosed do not order, since their order would tell of them.
func wholeOrder(plan *enforce.Plan, fields []string) []source.Order {
	out := make([]source.Order, 0, len(fields))
	for _, o := range plan.Order {
		out = append(out, source.Order{Field: o.Field, Descending: o.Descending})
	}
	for _, f := range fields {
		if plan.Clause.Schema.Single(f) != nil && !slices.ContainsFunc(out, func(o source.Order) bool { return o.Field == f }) {
			out = append(out, source.Order{Field: f})
		}
	}
	return out
}

// byIndex gives the order by the places of its fields in a record.
func byIndex(whole []source.Order, fields []string, schema *route.Schema) []order.By {
	out := make([]order.By, len(whole))
	for i, o := range whole {
		out[i] = order.By{Index: slices.Index(fields, o.Field), Descending: o.Descending}
		if at := slices.IndexFunc(schema.Fields, func(f route.Field) bool { return f.Name == o.Field }); at >= 0 {
			out[i].Type = schema.Fields[at].Type
		}
	}
	return out
}

// errEnough ends the reading of a source from which no more is needed.
var errEnough = errors.New("enough")

// merging is the reading of records in an order.
type merging struct {
	d    *disclosure
	send func(*gatewayv1.RetrieveResponse) error
	by   []order.By
	left int64
	more bool
	// equals are, by dataset, the last record and how many there were that are equal to it.
	equals map[string]*equals
	// skip is how many records of the first page's end are still to come again.
	skip int64
	read int64
}

type equals struct {
	values []*gatewayv1.Value
	copies int64
}

// ordered reads the records of every dataset in the order that is asked for; what is equal comes by the name of its dataset.
func (d *disclosure) ordered(ctx context.Context, result *gatewayv1.SourceStatus, send func(*gatewayv1.RetrieveResponse) error) error {
	whole := wholeOrder(d.plan, d.shape.Fields)
	m := &merging{d: d, send: send, by: byIndex(whole, d.shape.Fields, &d.plan.Clause.Schema), left: d.plan.Limit, equals: map[string]*equals{}}
	if d.page.resumes() {
		m.skip = d.page.copies
		m.equals[d.page.dataset] = &equals{d.page.values, d.page.copies}
	}
	datasets := inOrder(d.plan.Clause)
	var err error
	if len(datasets) == 1 {
		err = m.one(ctx, datasets[0], whole)
	} else {
		err = m.several(ctx, datasets, whole)
	}
	if err != nil {
		return err
	}
	switch {
	case !m.more:
	case d.page != nil && !d.page.last(d.plan.Limit):
		result.Reason = ReasonPage
		result.Message = "more records match: they come with the next page"
	default:
		result.Outcome = gatewayv1.Outcome_OUTCOME_PARTIAL
		result.Reason = ReasonLimit
		result.Message = "more records match than the limit lets through: narrow the filter"
	}
	return nil
}

// query of one dataset, from where the page begins.
func (m *merging) query(ds *route.Dataset, whole []source.Order) source.Query {
	d := m.d
	q := d.ask(ds, m.left)
	q.Order = whole
	if !d.page.resumes() {
		return q
	}
	q.From = &source.From{Including: ds.Name >= d.page.dataset}
	for _, b := range m.by {
		q.From.Values = append(q.From.Values, d.page.values[b.Index])
	}
	if ds.Name == d.page.dataset {
		q.Limit += d.page.copies // which come again, and are skipped
	}
	return q
}

func (m *merging) one(ctx context.Context, ds *route.Dataset, whole []source.Order) error {
	q := m.query(ds, whole)
	of := m.d.subjectOf(&q)
	more, err := m.d.core.Sources.Records(ctx, q, func(r *gatewayv1.Record) error {
		subject := of(r)
		return m.take(ctx, ds.Name, r, subject)
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	m.more = m.more || more
	return err
}

// stream is one dataset of several that are read at once.
type stream struct {
	dataset string
	next    func() (*gatewayv1.Record, error, bool)
	head    *gatewayv1.Record
	subject func(*gatewayv1.Record) string
	token   string // of the head
	more    bool
}

// several merges datasets. They begin one after another, in one order for all queries: two queries never hold what the other waits for.
func (m *merging) several(ctx context.Context, datasets []*route.Dataset, whole []source.Order) error {
	var streams []*stream
	for _, ds := range datasets {
		q := m.query(ds, whole)
		s := &stream{dataset: ds.Name, subject: m.d.subjectOf(&q)}
		next, stop := iter.Pull2(func(yield func(*gatewayv1.Record, error) bool) {
			more, err := m.d.core.Sources.Records(ctx, q, func(r *gatewayv1.Record) error {
				if !yield(r, nil) {
					return errEnough
				}
				return nil
			})
			if s.more = more; err != nil && !errors.Is(err, errEnough) {
				yield(nil, err)
			}
		})
		defer stop()
		s.next = next
		if err := s.advance(); err != nil {
			return err
		}
		streams = append(streams, s)
	}
	for {
		var first *stream
		for _, s := range streams {
			if s.head != nil && (first == nil || order.Compare(m.by, s.head.Values, first.head.Values) < 0) {
				first = s
			}
			if s.head == nil && s.more {
				// The rest of this dataset may come before all that the others have.
				m.more = true
				return nil
			}
		}
		if first == nil {
			return nil
		}
		if err := m.take(ctx, first.dataset, first.head, first.token); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
		if err := first.advance(); err != nil {
			return err
		}
	}
}

func (s *stream) advance() error {
	r, err, ok := s.next()
	s.head = nil
	if !ok || err != nil {
		return err
	}
	s.token = s.subject(r)
	s.head = r
	return nil
}

// take discloses the next record in the order.
func (m *merging) take(ctx context.Context, dataset string, r *gatewayv1.Record, subject string) error {
	d := m.d
	if m.skip > 0 && dataset == d.page.dataset && order.Compare(m.by, r.Values, d.page.values) == 0 {
		m.skip--
		return nil
	}
	if m.left == 0 {
		m.more = true
		return errEnough
	}
	m.left--
	m.read++
	if d.page != nil {
		e := m.equals[dataset]
		switch {
		case e == nil:
			e = &equals{r.Values, 1}
			m.equals[dataset] = e
		case order.Compare(m.by, e.values, r.Values) == 0:
			e.copies++
		default:
			e.values, e.copies = r.Values, 1
		}
		r.Position = d.position(dataset, r.Values, d.page.count+m.read, e.copies)
	}
	return d.add(ctx, dataset, r, subject, m.send)
}
