// Package sqlite reads records from SQLite files, which it never writes. It is for standalone installations and
// demonstrations: a file has no logins, so the gateway alone keeps to the agreed columns.
//
// Fields are stored so: string and code as TEXT; int as INTEGER; bool as INTEGER 0 or 1; date as TEXT YYYY-MM-DD;
// timestamp as TEXT in RFC 3339, at most microseconds; decimal as TEXT ("12.50"), INTEGER or REAL; a repeated field as TEXT with a JSON array. A value stored otherwise
// is an error when it is read or compared. Strings compare byte by byte, whatever collation a column was declared with.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"

	_ "modernc.org/sqlite" // the driver

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/mapping"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/internal/statement"
)

// Options of a Source. The zero value is useful.
type Options struct {
	// BaseDir is what relative paths start from; empty: the working directory.
	BaseDir string
	// MaxConns of each file; default 4.
	MaxConns int
}

// Source reads SQLite files.
type Source struct {
	opts Options

	mu       sync.Mutex
	files    map[string]*sql.DB // by path
	inFlight map[string]map[*context.CancelCauseFunc]struct{}
	closed   bool
}

var _ source.Source = (*Source)(nil)

var (
	errRevoked = fmt.Errorf("%w: sqlite: closed, because the agreement was revoked", source.ErrUnavailable)
	errClosed  = fmt.Errorf("%w: this gateway is stopping", source.ErrUnavailable)
)

// New makes a source, which opens nothing before it is asked.
func New(o Options) *Source {
	if o.MaxConns <= 0 {
		o.MaxConns = 4
	}
	return &Source{opts: o, files: map[string]*sql.DB{}, inFlight: map[string]map[*context.CancelCauseFunc]struct{}{}}
}

// Revoke interrupts every query of the agreement. Files are shared by agreements and stay open.
func (s *Source) Revoke(agreement string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cancel := range s.inFlight[agreement] {
		(*cancel)(errRevoked)
	}
}

// Close interrupts every query and closes the files.
func (s *Source) Close() error {
	s.mu.Lock()
	s.closed = true
	files := s.files
	s.files = nil
	for _, calls := range s.inFlight {
		for cancel := range calls {
			(*cancel)(errClosed)
		}
	}
	s.mu.Unlock()
	var errs []error
	for _, db := range files {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}

// open gives the file's connections. Opening connects to nothing yet.
func (s *Source) open(path string) (*sql.DB, error) {
	path = resolve(s.opts.BaseDir, path)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	if db := s.files[path]; db != nil {
		return db, nil
	}
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(s.opts.MaxConns)
	db.SetMaxIdleConns(s.opts.MaxConns)
	s.files[path] = db
	return db, nil
}

func resolve(base, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(base, path)
}

// openFile opens a file to read. It may change while it is open (it is not said to be immutable), by its owner's hand.
func openFile(path string) (*sql.DB, error) {
	if err := register(); err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil || strings.ContainsRune(path, 0) {
		return nil, errors.New("sqlite: not a path of a file")
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(absolute), RawQuery: "mode=ro&_query_only=1&_busy_timeout=1000"}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, errors.New("sqlite: the file cannot be opened")
	}
	return db, nil
}

// begin makes the query's context, which Revoke and Close end too. It counts as in flight until end.
func (s *Source) begin(ctx context.Context, agreement string) (inner context.Context, end func()) {
	inner, cancel := context.WithCancelCause(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight[agreement] == nil {
		s.inFlight[agreement] = map[*context.CancelCauseFunc]struct{}{}
	}
	s.inFlight[agreement][&cancel] = struct{}{}
	return inner, func() {
		s.mu.Lock()
		delete(s.inFlight[agreement], &cancel)
		if len(s.inFlight[agreement]) == 0 {
			delete(s.inFlight, agreement)
		}
		s.mu.Unlock()
		cancel(nil)
	}
}

// dialect selects the columns as expressions, by an operator that does nothing: the driver would otherwise interpret values
// by the declared types of columns.
var dialect = statement.Dialect{
	Filter:      filter.SQLite,
	Mapping:     mapping.SQLite,
	Quote:       quote,
	Select:      func(_ *route.Field, column string) string { return "+" + column },
	Placeholder: func(int) string { return "?" },
	Order: func(f *route.Field, column string) string {
		if f.Type == "string" || f.Type == "code" || f.Repeated {
			return column + " COLLATE BINARY"
		}
		return column
	},
	Same: key, // which a plain column of NOCASE would not tell apart
	Key:  key,
	Spelling: func(f *route.Field, column string) string {
		switch f.Type {
		case "decimal", "timestamp": // 1.5 and 1.50 are equal
			return "CAST(" + column + " AS TEXT) COLLATE BINARY"
		}
		return ""
	},
	Bound: func(*route.Field, int) string { return "?" },
}

// key gives the expression by whose value a field is compared and ordered.
func key(f *route.Field, expression string) string {
	switch f.Type {
	case "string", "code", "date":
		return "+" + expression + " COLLATE BINARY"
	case "timestamp":
		return filter.SQLiteTimestampFunction + "(" + expression + ")"
	case "decimal":
		return decimalKeyFunction + "(" + expression + ")"
	default:
		return "+" + expression
	}
}

// quote uses backticks: SQLite takes "name" for a string when there is no such column.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// Describe implements source.Describer.
func (s *Source) Describe(q source.Query, m source.Method) (source.Statement, error) {
	if q.Dataset == nil || q.Schema == nil || q.Dataset.SQLite == nil {
		return source.Statement{}, errors.New("sqlite: the query's dataset is not in SQLite")
	}
	sql, err := statement.Describe(dialect, q, m)
	return source.Statement{System: "sqlite", Text: sql}, err
}

// Records implements source.Source.
func (s *Source) Records(ctx context.Context, q source.Query, yield func(*gatewayv1.Record) error) (more bool, err error) {
	db, err := s.prepare(ctx, q)
	if err != nil {
		return false, err
	}
	text, args, selection, err := statement.Records(dialect, q)
	if err != nil {
		return false, err
	}
	inner, end := s.begin(ctx, q.Agreement)
	defer end()
	rows, err := db.QueryContext(inner, text, args...)
	if err != nil {
		return false, explain(inner, q.Dataset.Name, err)
	}
	defer func() { _ = rows.Close() }()
	d := newDecoder(q.Dataset.Name, selection)
	for n := int64(0); rows.Next(); n++ {
		if n == q.Limit {
			return true, nil
		}
		if err := rows.Scan(d.targets...); err != nil {
			return false, explain(inner, q.Dataset.Name, err)
		}
		record, err := d.record()
		if err != nil {
			return false, err
		}
		if inner.Err() != nil {
			return false, explain(inner, q.Dataset.Name, inner.Err())
		}
		if err := yield(record); err != nil {
			return false, err
		}
	}
	if err := rows.Err(); err != nil {
		return false, explain(inner, q.Dataset.Name, err)
	}
	return false, nil
}

// Count implements source.Source.
func (s *Source) Count(ctx context.Context, q source.Query) (n int64, err error) {
	err = s.one(ctx, q, statement.Count, &n)
	return n, err
}

// Exists implements source.Source.
func (s *Source) Exists(ctx context.Context, q source.Query) (found bool, err error) {
	err = s.one(ctx, q, statement.Exists, &found)
	return found, err
}

// one runs a statement that gives one value.
func (s *Source) one(ctx context.Context, q source.Query, write func(statement.Dialect, source.Query) (string, []any, error), to any) error {
	db, err := s.prepare(ctx, q)
	if err != nil {
		return err
	}
	text, args, err := write(dialect, q)
	if err != nil {
		return err
	}
	inner, end := s.begin(ctx, q.Agreement)
	defer end()
	if err := db.QueryRowContext(inner, text, args...).Scan(to); err != nil {
		return explain(inner, q.Dataset.Name, err)
	}
	return nil
}

// prepare checks that the query is for this source and gives its file.
func (s *Source) prepare(ctx context.Context, q source.Query) (*sql.DB, error) {
	if q.Dataset == nil || q.Schema == nil || q.Dataset.SQLite == nil {
		return nil, errors.New("sqlite: the query's dataset is not in SQLite")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.open(q.Dataset.SQLite.Path)
}
