// Package trino reads records through a Trino cluster, by its documented client protocol (POST /v1/statement and nextUri) over TLS. Of
// a statement's results no more than one page is in memory; a statement that nobody waits for any more is cancelled.
//
// Columns have the types of their fields: varchar (or anything that casts to it) for strings and codes, whole numbers for int, decimal or whole
// numbers for decimal, boolean, date, and timestamp with or without time zone. A timestamp without one is in UTC.
package trino

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/httpclient"
	"github.com/entente-dev/entente/gateway/source/internal/statement"
)

// Options of a Source. Only Pool has to be given.
type Options struct {
	// Pool reaches clusters. It may be used by others, and is closed with the source.
	Pool *httpclient.Pool
	// StatementTimeout is set on every statement: Trino ends what runs longer, whatever became of this gateway. Default 8 s.
	StatementTimeout time.Duration
	// PageBytes is the most of one page that is read; default 4 MiB. Trino is asked for pages of a quarter of it.
	PageBytes int64
}

// Source reads Trino. See New.
type Source struct {
	opts       Options
	cancelling sync.WaitGroup // statements that nobody waits for
}

var (
	_ source.Source    = (*Source)(nil)
	_ source.Describer = (*Source)(nil)
)

// New makes a source, which connects to nothing before it is asked. It panics without Options.Pool, which is a mistake in the
// program and not in any input.
func New(o Options) *Source {
	if o.Pool == nil {
		panic("trino: Options.Pool is missing")
	}
	if o.StatementTimeout <= 0 {
		o.StatementTimeout = 8 * time.Second
	}
	if o.PageBytes <= 0 {
		o.PageBytes = 4 << 20
	}
	return &Source{opts: o}
}

// Revoke cuts off every connection of the agreement, whatever runs on it. Statements that ran are cancelled.
func (s *Source) Revoke(agreement string) { s.opts.Pool.Revoke(agreement) }

// Close cuts everything off. The source cannot be used afterwards.
func (s *Source) Close() error {
	s.cancelling.Wait()
	return s.opts.Pool.Close()
}

// dialect reads every field in the one type that decode knows.
var dialect = statement.Dialect{
	Filter: filter.Trino,
	Quote:  quote,
	Select: func(f *route.Field, column string) string {
		switch f.Type {
		case "int":
			return "CAST(" + column + " AS bigint)"
		case "bool":
			return "CAST(" + column + " AS boolean)"
		case "date":
			return "CAST(" + column + " AS date)"
		case "timestamp":
			// With all its digits: fewer would be rounded.
			return "CAST(" + column + " AS timestamp(12) with time zone) AT TIME ZONE 'UTC'"
		default:
			return "CAST(" + column + " AS varchar)"
		}
	},
	Order: func(f *route.Field, column string) string {
		if f.Type == "string" || f.Type == "code" {
			return "CAST(" + column + " AS varchar)"
		}
		return column
	},
	Placeholder: func(int) string { return "?" },
	Key: func(f *route.Field, expression string) string {
		switch f.Type {
		case "int":
			return "CAST(" + expression + " AS bigint)"
		case "decimal":
			// No decimal type has room for all that a column may be of. With the sign it is no name, which an output column, as text, might have.
			return "+" + expression
		case "bool":
			return "CAST(" + expression + " AS boolean)"
		case "date":
			return "CAST(" + expression + " AS date)"
		case "timestamp":
			return "CAST(" + expression + " AS timestamp(12) with time zone)"
		default:
			return "CAST(" + expression + " AS varchar)" // which Trino orders by code point
		}
	},
	// A column's decimals have one scale, so that equal ones are spelled alike.
	Spelling: func(*route.Field, string) string { return "" },
	Bound:    func(*route.Field, int) string { return "?" },
	Argument: func(f *route.Field, v any) any {
		text, ok := v.(string)
		if !ok {
			return v
		}
		switch f.Type {
		case "decimal":
			return filter.TrinoLiteral{Type: "DECIMAL", Text: text}
		case "date":
			return filter.TrinoLiteral{Type: "DATE", Text: text}
		case "timestamp":
			return filter.TrinoLiteral{Type: "TIMESTAMP", Text: strings.Replace(strings.TrimSuffix(text, "Z"), "T", " ", 1) + " UTC"}
		}
		return v
	},
}

// typeOf is what the server has to call the type that dialect selects.
func typeOf(f *route.Field) string {
	switch f.Type {
	case "int":
		return "bigint"
	case "bool":
		return "boolean"
	case "date":
		return "date"
	case "timestamp":
		return "timestamp(12) with time zone"
	default:
		return "varchar"
	}
}

// errStop ends a statement whose rows are enough.
var errStop = errors.New("enough")

// Describe implements source.Describer: the statement, whose values are bound by EXECUTE IMMEDIATE … USING.
func (s *Source) Describe(q source.Query, m source.Method) (source.Statement, error) {
	if err := check(q); err != nil {
		return source.Statement{}, err
	}
	sql, err := statement.Describe(dialect, q, m)
	return source.Statement{System: "trino", Text: sql}, err
}

// Records implements source.Source.
func (s *Source) Records(ctx context.Context, q source.Query, yield func(*gatewayv1.Record) error) (more bool, err error) {
	if err := check(q); err != nil {
		return false, err
	}
	sql, args, selection, err := statement.Records(dialect, q)
	if err != nil {
		return false, err
	}
	columns := selection.Columns
	fields := statement.Selected(columns)
	types := make([]string, len(fields))
	for i, f := range fields {
		if f.Repeated {
			return false, fmt.Errorf("trino: dataset %s: field %s: lists are not read from Trino", q.Dataset.Name, f.Name)
		}
		types[i] = typeOf(f)
	}
	n := int64(0)
	var own error // of yield, or about a value
	err = s.run(ctx, q, sql, args, types, func(row []any) error {
		if n == q.Limit {
			more = true
			return errStop
		}
		n++
		values, err := decode(q.Dataset.Name, fields, row)
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = yield(statement.Nest(columns, values))
		}
		own = err
		return err
	})
	switch {
	case own != nil:
		return false, own
	case errors.Is(err, errStop):
		return true, nil
	default:
		return more && err == nil, err
	}
}

// Count implements source.Source.
func (s *Source) Count(ctx context.Context, q source.Query) (n int64, err error) {
	err = s.one(ctx, q, statement.Count, "bigint", func(v any) (ok bool) { n, ok = whole(v); return ok && n >= 0 })
	return n, err
}

// Exists implements source.Source.
func (s *Source) Exists(ctx context.Context, q source.Query) (found bool, err error) {
	err = s.one(ctx, q, statement.Exists, "boolean", func(v any) (ok bool) { found, ok = v.(bool); return ok })
	return found, err
}

// one runs a statement that gives one value of a type.
func (s *Source) one(ctx context.Context, q source.Query, write func(statement.Dialect, source.Query) (string, []any, error), kind string, read func(any) bool) error {
	if err := check(q); err != nil {
		return err
	}
	sql, args, err := write(dialect, q)
	if err != nil {
		return err
	}
	rows := 0
	err = s.run(ctx, q, sql, args, []string{kind}, func(row []any) error {
		if rows++; rows > 1 || !read(row[0]) {
			return fault(q, errors.New("it gives another value than was asked for"))
		}
		return nil
	})
	if err == nil && rows != 1 {
		err = fmt.Errorf("trino: dataset %s: it gives no value where one was asked for", q.Dataset.Name)
	}
	return err
}

func check(q source.Query) error {
	if q.Dataset == nil || q.Schema == nil || q.Dataset.Trino == nil {
		return errors.New("trino: the query's dataset is not in Trino")
	}
	return nil
}

// header is what each request of a query carries besides the secret.
func (s *Source) header(q source.Query) map[string]string {
	t, info := q.Dataset.Trino, "agreement "+q.Agreement
	if q.Agreement == "" {
		info = "catalogue"
	}
	h := map[string]string{
		"X-Trino-Source":              "entente",
		"X-Trino-Client-Info":         info,
		"X-Trino-Catalog":             t.Catalog,
		"X-Trino-Time-Zone":           "UTC",
		"X-Trino-Language":            "en",
		"X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME", // otherwise timestamps would be cut to milliseconds
		"X-Trino-Session":             fmt.Sprintf("query_max_run_time=%dms", s.opts.StatementTimeout.Milliseconds()),
	}
	if t.User != "" {
		h["X-Trino-User"] = t.User
	}
	if t.Role != "" {
		h["X-Trino-Role"] = t.Catalog + "=ROLE{" + t.Role + "}"
	}
	return h
}

// cancel ends a statement that nobody waits for. It does not use the agreement's connections, which may be cut off for good.
func (s *Source) cancel(q source.Query, next string) {
	s.cancelling.Add(1)
	go func() {
		defer s.cancelling.Done()
		ctx, done := context.WithTimeout(context.Background(), 5*time.Second)
		defer done()
		// Trino forgets a statement that is not asked for by itself, after minutes.
		_, _ = s.opts.Pool.Do(ctx, "", q.Dataset.Name, q.Dataset.Trino.HTTPAccess, httpclient.Request{
			URL: next, Method: http.MethodDelete, Header: s.header(q), MaxBytes: 4 << 10,
		})
	}()
}
