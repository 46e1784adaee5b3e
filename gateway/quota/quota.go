// Package quota counts what recipients used of a clause's daily quotas: exactly, across all replicas that share a store, and
// never less than was disclosed. A query reserves before the source is asked and settles afterwards; what a crash keeps from being settled
// counts as used.
package quota

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver
)

// Key is what is counted by: one recipient's use of one clause of an agreement in all its versions.
type Key struct{ Agreement, Clause, Recipient string }

// Limits of a day; 0: none.
type Limits struct{ Queries, Records int64 }

// Used is what was used of a day, reservations included.
type Used struct{ Queries, Records int64 }

// Reservation is one query that counts, and the records that it may disclose.
type Reservation struct {
	Key
	// Day is the UTC day, YYYY-MM-DD.
	Day string
	// Records that are reserved: at most what was asked for, and what was left.
	Records int64
}

// ErrExceeded: nothing is left of the day.
var ErrExceeded = errors.New("quota: nothing is left of the day")

// Store counts. It is safe for concurrent use, by many processes if it is in PostgreSQL.
type Store struct {
	db *sql.DB
	// The statements in the database's own notation.
	reserve, settle, used, sweep string

	mu    sync.Mutex
	swept string // the day on which old days were last removed; guarded by mu
}

// Schema is the table that a store in PostgreSQL needs, and that an embedded store makes.
//
//go:embed schema.sql
var Schema string

// One statement reserves: it reads and writes the row under its lock, so that two replicas cannot both take what is left for one.
// granted is what this very statement reserved.
const (
	reserveSQL = `INSERT INTO entente_quota AS q (agreement, clause, recipient, day, queries, records, granted)
VALUES ($1, $2, $3, $4, 1, CASE WHEN CAST($5 AS bigint) < CAST($7 AS bigint) THEN CAST($5 AS bigint) ELSE CAST($7 AS bigint) END,
  CASE WHEN CAST($5 AS bigint) < CAST($7 AS bigint) THEN CAST($5 AS bigint) ELSE CAST($7 AS bigint) END)
ON CONFLICT (agreement, clause, recipient, day) DO UPDATE SET
  queries = q.queries + 1,
  granted = CASE WHEN CAST($5 AS bigint) = 0 THEN 0 WHEN CAST($5 AS bigint) < CAST($7 AS bigint) - q.records THEN CAST($5 AS bigint) ELSE CAST($7 AS bigint) - q.records END,
  records = q.records + CASE WHEN CAST($5 AS bigint) = 0 THEN 0 WHEN CAST($5 AS bigint) < CAST($7 AS bigint) - q.records THEN CAST($5 AS bigint) ELSE CAST($7 AS bigint) - q.records END
WHERE q.queries < CAST($6 AS bigint) AND (CAST($5 AS bigint) = 0 OR q.records < CAST($7 AS bigint))
RETURNING queries, records, granted`
	settleSQL = `UPDATE entente_quota SET records = records - CAST($5 AS bigint) WHERE agreement = $1 AND clause = $2 AND recipient = $3 AND day = $4 RETURNING queries, records`
	usedSQL   = `SELECT queries, records FROM entente_quota WHERE agreement = $1 AND clause = $2 AND recipient = $3 AND day = $4`
	// The clock alone is not believed: one that was set ahead, of one of many replicas even, would have today's use forgotten.
	sweepSQL = `DELETE FROM entente_quota WHERE day < $1 AND day < (SELECT MIN(day) FROM (SELECT DISTINCT day FROM entente_quota ORDER BY day DESC LIMIT $2) AS kept)`
)

// noLimit stands for a limit that is not set; half of what fits, so that sums do.
const noLimit = int64(1) << 62

// keepDays is how long past days are kept, and how many on which something was counted.
const keepDays = 7

// OpenEmbedded opens a store in a file, which it makes if there is none: for a gateway of one replica.
func OpenEmbedded(path string) (*Store, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(absolute, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("quota store: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("quota store: %w", err)
	}
	// synchronous(FULL): what is reserved outlives the machine's power.
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(absolute), RawQuery: "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("quota store: %w", err)
	}
	db.SetMaxOpenConns(1) // SQLite has one writer
	if _, err := db.Exec(Schema); err != nil {
		return nil, errors.Join(fmt.Errorf("quota store %s: %w", absolute, err), db.Close())
	}
	return newStore(db, "?"), nil
}

// Login gives a user and a password for a new connection.
type Login func(context.Context) (username, password string, err error)

// OpenPostgres opens a store in PostgreSQL, which all replicas share, and which an administrator made with Schema. The address is a
// connection string of libpq; login, if it is not nil, gives who connects. It connects on first use.
func OpenPostgres(address string, login Login) (*Store, error) {
	c, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errors.New("quota store: the address is no connection string of PostgreSQL") // the error may repeat a password
	}
	secure := c.TLSConfig != nil || strings.HasPrefix(c.Host, "/")
	for _, f := range c.Fallbacks {
		secure = secure && (f.TLSConfig != nil || strings.HasPrefix(f.Host, "/"))
	}
	if !secure {
		return nil, errors.New("quota store: sslmode must be verify-full, verify-ca or require")
	}
	c.ConnectTimeout = connectTimeout
	if c.RuntimeParams == nil {
		c.RuntimeParams = map[string]string{}
	}
	// What is reserved is on the server's disk, whatever the server's default is.
	c.RuntimeParams["synchronous_commit"] = "on"
	c.RuntimeParams["application_name"] = "entente quota"
	c.RuntimeParams["statement_timeout"] = "5000"
	var options []stdlib.OptionOpenDB
	if login != nil {
		options = append(options, stdlib.OptionBeforeConnect(func(ctx context.Context, c *pgx.ConnConfig) (err error) {
			c.User, c.Password, err = login(ctx)
			return err
		}))
	}
	db := stdlib.OpenDB(*c, options...)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(4)
	db.SetConnMaxLifetime(MaxConnLifetime)
	return newStore(db, "$"), nil
}

const (
	connectTimeout = 5 * time.Second
	// MaxConnLifetime is how long a connection lives: a login must outlive it.
	MaxConnLifetime = 5 * time.Minute
	// File is the name of an embedded store in a gateway's state folder.
	File = "quota.db"
)

func newStore(db *sql.DB, placeholder string) *Store {
	in := func(text string) string { return strings.ReplaceAll(text, "$", placeholder) }
	return &Store{db: db, reserve: in(reserveSQL), settle: in(settleSQL), used: in(usedSQL), sweep: in(sweepSQL)}
}

// Day is the UTC day of an instant.
func Day(at time.Time) string { return at.UTC().Format(time.DateOnly) }

// Reserve counts a query, and reserves records for it: as many as it asks for, or what is left. The error wraps ErrExceeded when
// the day has no query, or no record, left; then used says which, and nothing was counted.
func (s *Store) Reserve(ctx context.Context, k Key, l Limits, at time.Time, records int64) (r Reservation, used Used, err error) {
	r = Reservation{Key: k, Day: Day(at)}
	s.sweepOnce(ctx, at)
	err = s.db.QueryRowContext(ctx, s.reserve, k.Agreement, k.Clause, k.Recipient, r.Day, records, limit(l.Queries), limit(l.Records)).
		Scan(&used.Queries, &used.Records, &r.Records)
	if errors.Is(err, sql.ErrNoRows) {
		if used, err = s.Used(ctx, k, at); err == nil {
			err = ErrExceeded
		}
	}
	if err != nil && !errors.Is(err, ErrExceeded) {
		err = fmt.Errorf("quota store: %w", err)
	}
	return r, used, err
}

// Settle gives back what a query reserved and did not disclose.
func (s *Store) Settle(ctx context.Context, r Reservation, disclosed int64) (used Used, err error) {
	err = s.db.QueryRowContext(ctx, s.settle, r.Agreement, r.Clause, r.Recipient, r.Day, r.Records-min(max(disclosed, 0), r.Records)).Scan(&used.Queries, &used.Records)
	if err != nil {
		return used, fmt.Errorf("quota store: %w", err)
	}
	return used, nil
}

// Used says what was used of the day, and counts nothing.
func (s *Store) Used(ctx context.Context, k Key, at time.Time) (used Used, err error) {
	err = s.db.QueryRowContext(ctx, s.used, k.Agreement, k.Clause, k.Recipient, Day(at)).Scan(&used.Queries, &used.Records)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return used, fmt.Errorf("quota store: %w", err)
	}
	return used, nil
}

// sweepOnce removes what is older than keepDays, once a day. It is no harm when it fails: the next day tries again.
func (s *Store) sweepOnce(ctx context.Context, at time.Time) {
	day := Day(at)
	s.mu.Lock()
	due := s.swept != day
	s.swept = day
	s.mu.Unlock()
	if due {
		_, _ = s.db.ExecContext(ctx, s.sweep, Day(at.AddDate(0, 0, -keepDays)), keepDays)
	}
}

// Close closes the store.
func (s *Store) Close() error { return s.db.Close() }

func limit(n int64) int64 {
	if n <= 0 {
		return noLimit
	}
	return n
}
