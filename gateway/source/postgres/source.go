package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/mapping"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/internal/statement"
)

// Source reads PostgreSQL. See New.
type Source struct{ pools *pools }

var _ source.Streamer = (*Source)(nil)

// New makes a source, which opens nothing before it is asked. It panics without Options.Credentials, which is a mistake in
// the program and not in any input.
func New(o Options) *Source {
	if o.Credentials == nil {
		panic("postgres: Options.Credentials is missing")
	}
	return &Source{pools: newPools(o.withDefaults())}
}

// Revoke cuts off every connection of the agreement, whatever runs on it, and forgets its logins. When it returns, they
// are closed.
func (s *Source) Revoke(agreement string) {
	s.pools.revoke(func(a string) bool { return a == agreement })
}

// Close cuts everything off. The source cannot be used afterwards.
func (s *Source) Close() error {
	s.pools.close()
	return nil
}

// dialect reads every field in the one type that decode knows, whatever the type of its column.
var dialect = statement.Dialect{
	Filter:        filter.PostgreSQL,
	Mapping:       mapping.PostgreSQL,
	Quote:         quote,
	DefaultSchema: "public", // not whatever the search path of the login says
	Select: func(f *route.Field, column string) string {
		if f.Repeated {
			return list(f, column)
		}
		switch f.Type {
		case "int":
			return column + "::int8"
		case "decimal":
			return column + "::numeric::text"
		case "bool":
			return column + "::boolean"
		case "date":
			return column + "::date"
		case "timestamp":
			return column + "::timestamptz"
		default:
			return column + "::text"
		}
	},
	Order: func(f *route.Field, column string) string {
		switch {
		case f.Type == "string", f.Type == "code", f.Repeated:
			// Not the database's collation: it differs between servers, and an index in that order would tempt the planner to
			// walk it instead of the filter's.
			return column + `::text COLLATE "C"`
		default:
			return column
		}
	},
	Placeholder: func(n int) string { return "$" + strconv.Itoa(n) + "::int8" },
	Key: func(f *route.Field, expression string) string {
		switch f.Type {
		case "int":
			return expression + "::int8"
		case "decimal":
			return expression + "::numeric"
		case "bool":
			return expression + "::boolean"
		case "date":
			return expression + "::date"
		case "timestamp":
			return expression + "::timestamptz"
		default:
			return expression + `::text COLLATE "C"`
		}
	},
	Spelling: func(f *route.Field, column string) string {
		if f.Type == "decimal" { // 1.5 and 1.50 are equal
			return column + `::numeric::text COLLATE "C"`
		}
		return ""
	},
	Bound: func(f *route.Field, n int) string {
		switch f.Type {
		case "int":
			return "$" + strconv.Itoa(n) + "::int8"
		case "bool":
			return "$" + strconv.Itoa(n) + "::boolean"
		default:
			return "$" + strconv.Itoa(n) + "::text"
		}
	},
}

// dialectOf is dialect with what this database has besides.
func dialectOf(q source.Query) statement.Dialect {
	d := dialect
	if q.Dataset.PostgreSQL.TrigramSchema != "" {
		d.Filter = filter.PostgreSQLWithTrigrams(q.Dataset.PostgreSQL.TrigramSchema)
	}
	return d
}

// list reads an array whose elements decode knows, or the JSON text of a list of records.
func list(f *route.Field, column string) string {
	switch f.Type {
	case "record":
		return column + "::text"
	case "int":
		return column + "::int8[]"
	case "decimal":
		return column + "::numeric[]::text[]"
	case "bool":
		return column + "::boolean[]"
	case "date":
		return column + "::date[]"
	case "timestamp":
		return column + "::timestamptz[]"
	default:
		return column + "::text[]"
	}
}

// quote is pgx.Identifier.Sanitize for names that need nothing done, which are all that a dataset may have.
func quote(name string) string {
	if strings.ContainsAny(name, "\"\x00") {
		return pgx.Identifier{name}.Sanitize()
	}
	return `"` + name + `"`
}

// binaryResults asks for all columns in binary, which decode reads without parsing.
var binaryResults = pgx.QueryResultFormats{pgx.BinaryFormatCode}

// Describe implements source.Describer.
func (s *Source) Describe(q source.Query, m source.Method) (source.Statement, error) {
	if q.Dataset == nil || q.Schema == nil || q.Dataset.PostgreSQL == nil {
		return source.Statement{}, errors.New("postgres: the query's dataset is not in PostgreSQL")
	}
	sql, err := statement.Describe(dialectOf(q), q, m)
	return source.Statement{System: "postgresql", Text: sql}, err
}

// Records implements source.Source.
func (s *Source) Records(ctx context.Context, q source.Query, yield func(*gatewayv1.Record) error) (more bool, err error) {
	return s.Stream(ctx, q, source.Records(yield))
}

// Stream implements source.Streamer.
func (s *Source) Stream(ctx context.Context, q source.Query, to source.Sink) (more bool, err error) {
	sql, args, selection, err := prepared(q, func() (string, []any, statement.Selection, error) { return statement.Records(dialectOf(q), q) })
	if err != nil {
		return false, err
	}
	err = s.run(ctx, q, func(ctx context.Context, c *pgxpool.Conn) error {
		// The end of this context is the end of the statement, if the sink ends it before its rows do.
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		rows, err := c.Query(ctx, sql, append([]any{binaryResults}, args...)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		d := newDecoder(q.Dataset.Name, selection)
		for n := int64(0); rows.Next(); n++ {
			if n == q.Limit {
				more = true
				break
			}
			err := ctx.Err()
			if err == nil {
				err = d.pass(rows.RawValues(), to)
			}
			if err != nil {
				cancel()
				return &callerError{err}
			}
		}
		rows.Close()
		return rows.Err()
	})
	return more && err == nil, err
}

// Count implements source.Source.
func (s *Source) Count(ctx context.Context, q source.Query) (n int64, err error) {
	sql, args, _, err := prepared(q, func() (string, []any, statement.Selection, error) {
		sql, args, err := statement.Count(dialectOf(q), q)
		return sql, args, statement.Selection{}, err
	})
	if err != nil {
		return 0, err
	}
	err = s.run(ctx, q, func(ctx context.Context, c *pgxpool.Conn) error { return c.QueryRow(ctx, sql, args...).Scan(&n) })
	return n, err
}

// Exists implements source.Source.
func (s *Source) Exists(ctx context.Context, q source.Query) (found bool, err error) {
	sql, args, _, err := prepared(q, func() (string, []any, statement.Selection, error) {
		sql, args, err := statement.Exists(dialectOf(q), q)
		return sql, args, statement.Selection{}, err
	})
	if err != nil {
		return false, err
	}
	err = s.run(ctx, q, func(ctx context.Context, c *pgxpool.Conn) error { return c.QueryRow(ctx, sql, args...).Scan(&found) })
	return found, err
}

// prepared checks that the query is for this source before its statement is written.
func prepared(q source.Query, write func() (string, []any, statement.Selection, error)) (string, []any, statement.Selection, error) {
	if q.Dataset == nil || q.Schema == nil || q.Dataset.PostgreSQL == nil {
		return "", nil, statement.Selection{}, errors.New("postgres: the query's dataset is not in PostgreSQL")
	}
	return write()
}

// run runs f on a connection of the query's agreement and dataset.
func (s *Source) run(ctx context.Context, q source.Query, f func(context.Context, *pgxpool.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	k := key{agreement: q.Agreement, dataset: q.Dataset.Name, target: *q.Dataset.PostgreSQL}
	l, err := s.pools.acquire(ctx, k)
	if err == nil {
		err = f(ctx, l.conn)
	}
	s.pools.release(l)
	if err == nil {
		return nil
	}
	var own *callerError
	if errors.As(err, &own) {
		return own.err
	}
	if l.pool != nil && l.pool.isKilled() {
		return fmt.Errorf("%w: %w", source.ErrUnavailable, errKilled)
	}
	err, badLogin := explain(ctx, q.Dataset.Name, err)
	if badLogin && l.pool != nil {
		s.pools.drop(l.pool)
	}
	return err
}

// callerError is an error that is not the database's and passes as it is.
type callerError struct{ err error }

func (e *callerError) Error() string { return e.err.Error() }
