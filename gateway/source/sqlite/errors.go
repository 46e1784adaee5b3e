package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/entente-dev/entente/gateway/source"
)

// explain turns an error of the driver into one that is safe to log and to answer with: its own text may quote statements.
// ctx is the query's.
func explain(ctx context.Context, dataset string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, context.DeadlineExceeded) {
			return fmt.Errorf("%w: dataset %s: the file was not read in time: %w", source.ErrUnavailable, dataset, cause)
		}
		return cause
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%w: dataset %s: the file cannot be read", source.ErrUnavailable, dataset)
	}
	switch code := e.Code() & 0xff; code { // the primary code
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY,
		sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_FULL,
		sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_READONLY:
		return fmt.Errorf("%w: dataset %s: the file cannot be read (SQLite %d)", source.ErrUnavailable, dataset, code)
	default:
		return fmt.Errorf("sqlite: dataset %s: its relation, columns or the values in them are not as the dataset says (SQLite %d)", dataset, code)
	}
}
