// Package source says what the gateway needs of a system that keeps records. Adding a kind of source is adding one package
// that implements Source.
package source

import (
	"context"
	"errors"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

// Query is what a source is asked, after the decision: nothing in it is left to decide.
type Query struct {
	// Agreement id, which names the credential.
	Agreement string
	Dataset   *route.Dataset
	// Schema that Filter, RowFilter and Fields are in.
	Schema *route.Schema
	// Filter of the user; nil: none.
	Filter *filter.Filter
	// RowFilter of the clause; nil: none. Both hold for every row.
	RowFilter *filter.Filter
	// Persons: Count counts the values of the dataset's subject key, not the records.
	Persons bool
	// Consent is the condition that a consent to the row must meet; required when the dataset needs consent.
	Consent *Consent
	// Fields to return, in this order; Records only.
	Fields []string
	// HiddenKey: the dataset's subject key is among Fields for the log, or for consents, and is not disclosed. It orders nothing.
	HiddenKey bool
	// Limit is the most records returned; Records only.
	Limit int64
	// Order of the records, by all of these fields; empty: any that is stable. Records only.
	Order []Order
	// From is where to begin, with a value for each field of Order; nil: at the first record.
	From *From
}

// Order is one field to order by. Text and codes are ordered by code point, whatever the collation of their column, numbers, dates and
// timestamps by value, false before true. Null comes last, whichever the direction.
type Order struct {
	Field      string
	Descending bool
}

// From is a place in an order.
type From struct {
	// Values, one for each field of the order, as the source gave them.
	Values []*gatewayv1.Value
	// Including: records with just these values are among the answer.
	Including bool
}

// Consent is what a row is held against.
type Consent struct {
	// Condition of a recorded consent, over the schema of the dataset's consents; nil: every row of theirs is one.
	Condition *filter.Filter
	// Purpose and Recipient of the query, which a consent service is told.
	Purpose, Recipient string
	// Checked, if set, is told of each answer of a consent service, before anything that rests on it is given.
	Checked func(ConsentAnswer)
}

// ConsentAnswer is an answer of a consent service, without the persons.
type ConsentAnswer struct {
	// Service is the dataset that is bound to it.
	Service string
	// Asked and Given: the number of persons, and of those who consented.
	Asked, Given int
	// Ref by which the service finds its answer again; empty: it gave none, or what it said before was used again.
	Ref string
	// Body of the answer; nil: what it said before was used again.
	Body []byte
}

// Source reads records. Its methods are safe for concurrent use, return when ctx ends, and never put a value in an error.
type Source interface {
	// Records calls yield for each record in a stable order; it stops at an error of yield and returns that. more says that
	// further records match beyond Limit. A *gatewayv1.Record passed to yield is the callee's to keep.
	Records(ctx context.Context, q Query, yield func(*gatewayv1.Record) error) (more bool, err error)
	// Count counts the records that match.
	Count(ctx context.Context, q Query) (int64, error)
	// Exists says whether a record matches.
	Exists(ctx context.Context, q Query) (bool, error)
	// Revoke closes everything open for the agreement: pools, connections, credentials.
	Revoke(agreement string)
	// Close closes everything.
	Close() error
}

// Sink takes the rows of an answer. An error of its methods ends the reading, which returns it.
type Sink interface {
	// Columns gives the batch for the next row, whose columns are the query's fields in their order; nil: the row is wanted as a
	// record, by Record.
	Columns() (*columns.Batch, error)
	// Row says that the values of one more row are in the batch that Columns gave, and ends it.
	Row() error
	// Record takes a record, which is the callee's to keep.
	Record(*gatewayv1.Record) error
}

// Streamer is a Source that puts rows into columns without making records of them.
type Streamer interface {
	Source
	// Stream is Records, into a sink.
	Stream(ctx context.Context, q Query, to Sink) (more bool, err error)
}

// Stream reads records into a sink, from any source.
func Stream(ctx context.Context, s Source, q Query, to Sink) (more bool, err error) {
	if s, ok := s.(Streamer); ok {
		return s.Stream(ctx, q, to)
	}
	return s.Records(ctx, q, func(r *gatewayv1.Record) error {
		b, err := to.Columns()
		switch {
		case err != nil:
			return err
		case b == nil:
			return to.Record(r)
		}
		if err := b.PutRecord(r); err != nil {
			return err
		}
		return to.Row()
	})
}

// Records is a sink that wants records only.
type Records func(*gatewayv1.Record) error

// Columns implements Sink.
func (Records) Columns() (*columns.Batch, error) { return nil, nil }

// Row implements Sink.
func (Records) Row() error { return nil }

// Record implements Sink.
func (f Records) Record(r *gatewayv1.Record) error { return f(r) }

// Method of a Source that answers a query.
type Method int

// Methods.
const (
	MethodRecords Method = iota
	MethodCount
	MethodExists
)

// Statement is what a source would run, with placeholders in the place of values.
type Statement struct {
	// System is its language: postgresql, sqlite, …
	System string
	Text   string
}

// Describer is a Source that can say what it would run.
type Describer interface {
	// Describe writes what the method would run, by the same code that runs it. It asks nothing of the source's system.
	Describe(q Query, m Method) (Statement, error)
}

// Describe asks a source what it would run.
func Describe(s Source, q Query, m Method) (Statement, error) {
	if d, ok := s.(Describer); ok {
		return d.Describe(q, m)
	}
	return Statement{}, errors.New("source: this kind of source does not say what it runs")
}

// ErrUnavailable wraps every error that means that the source's system cannot be reached or refuses to work; others mean
// that the query or the mapping does not fit the source.
var ErrUnavailable = errors.New("source system unavailable")

// ErrTooMany wraps the error of a source that would have to read or keep more than it may to answer: a narrower filter helps.
var ErrTooMany = errors.New("too many records match")

// ErrConsent wraps the error of a consent service that cannot be asked, or does not answer as it should.
var ErrConsent = errors.New("consent service")

// ErrNoRelation wraps the error of a catalogue that does not have the relation of a dataset.
var ErrNoRelation = errors.New("no such relation")
