package data

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// table is one agency's system of records: a table in words of its own, with more in it than anyone agreed to share.
type table struct {
	file, name string
	columns    []string
	types      []string
	indexes    []string
	// row of a person; nil: the agency does not know them.
	row func(i int, p *Person) []any
}

var tables = []table{
	{
		file: "police.db", name: "case_subjects",
		columns: []string{"subject_no", "subject_name", "dob", "id_document", "citizenship", "case_no", "case_state", "part_in_case", "opened_on", "officer_notes"},
		types:   []string{"INTEGER PRIMARY KEY", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT", "INTEGER", "TEXT", "TEXT"},
		indexes: []string{"id_document", "dob"},
		row: func(i int, p *Person) []any {
			if p.Case == nil {
				return nil
			}
			return []any{i, p.Family + ", " + p.Given, p.Birth.Format("02.01.2006"), p.Document, p.Nationality, p.Case.Number, p.Case.Status[:1], parts[p.Case.Role], day(p.Case.Opened), "notes stay with the police"}
		},
	},
	{
		file: "labor.db", name: "wage_records",
		columns: []string{"record_no", "last_name", "first_name", "born_on", "document_no", "nationality", "employer_name", "employer_no", "trade_code", "gross_cents", "employed_since", "bank_account"},
		types:   []string{"INTEGER PRIMARY KEY", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT", "INTEGER", "INTEGER", "TEXT", "TEXT"},
		indexes: []string{"document_no", "last_name, first_name, born_on"},
		row: func(i int, p *Person) []any {
			if p.Job == nil {
				return nil
			}
			trade := 10 * (1 + slices.Index(trades, p.Job.Trade))
			return []any{i, p.Family, p.Given, p.Birth.Format(compact), p.Document, p.Nationality, p.Job.Employer, p.Job.EmployerID, trade, p.Job.WageCents, p.Job.Since.Format(compact), p.Job.Account}
		},
	},
	{
		file: "border.db", name: "travellers",
		columns: []string{"traveller_no", "family_name", "given_name", "birth_date", "travel_document", "nationality", "permit", "permit_until", "last_crossing", "crossing_point", "biometrics_ref"},
		types:   []string{"INTEGER PRIMARY KEY", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT"},
		indexes: []string{"travel_document", "family_name, given_name, birth_date"},
		row: func(i int, p *Person) []any {
			if p.Border == nil {
				return nil
			}
			return []any{i, p.Family, p.Given, p.Birth.Format("01/02/2006"), p.Document, p.Nationality, strings.ToUpper(p.Border.Permit), day(p.Border.Until), p.Border.Crossing.Format(time.RFC3339), p.Border.Point, fmt.Sprintf("bio-%06d", i)}
		},
	},
}

// parts are the police's numbers for the part that somebody has in a case.
var parts = map[string]int{"suspect": 1, "victim": 2, "witness": 3}

// compact is how the labor inspectorate writes a day.
const compact = "20060102"

func day(t time.Time) string { return t.Format(time.DateOnly) }

// Databases says which file is which agency's: the keys are state-police, labor-inspectorate and border-service.
var Databases = map[string]string{"state-police": "police.db", "labor-inspectorate": "labor.db", "border-service": "border.db"}

// Generate writes the three databases, each to the path that dirs gives for its file. It returns how many rows each has.
// progress is called now and then with the number of people done, of 3 × Population.
func Generate(ctx context.Context, path func(file string) string, progress func(done int)) (map[string]int, error) {
	var (
		mu    sync.Mutex
		wait  sync.WaitGroup
		rows  = map[string]int{}
		errs  []error
		total int
	)
	advance := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		total += n
		progress(total)
	}
	for i := range tables {
		wait.Go(func() {
			n, err := tables[i].write(ctx, path(tables[i].file), advance)
			mu.Lock()
			defer mu.Unlock()
			rows[tables[i].file] = n
			errs = append(errs, err)
		})
	}
	wait.Wait()
	errs = append(errs, consents(ctx, path("labor.db")))
	return rows, errors.Join(errs...)
}

// consents writes the labor inspectorate's register of consents, in which Marisol stands and nobody else.
func consents(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: filepath.ToSlash(path)}).String())
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `CREATE TABLE consents (document_no TEXT, given_for TEXT, given_to TEXT, good_until TEXT);
CREATE INDEX consents_0 ON consents (document_no);
INSERT INTO consents VALUES (?, 'entente:victim-support', 'border-service', NULL)`, Marisol().Document)
	return errors.Join(err, db.Close())
}

// batch is how many rows one statement inserts.
const batch = 100

func (t *table) write(ctx context.Context, path string, advance func(int)) (rows int, err error) {
	source := &url.URL{Scheme: "file", Opaque: filepath.ToSlash(path), RawQuery: "_pragma=journal_mode(off)&_pragma=synchronous(off)"}
	db, err := sql.Open("sqlite", source.String())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() // does nothing after Commit
	if _, err := tx.ExecContext(ctx, t.create()); err != nil {
		return 0, err
	}
	if rows, err = t.fill(ctx, tx, advance); err != nil {
		return 0, err
	}
	for i, columns := range t.indexes {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("CREATE INDEX %s_%d ON %s (%s)", t.name, i, t.name, columns)); err != nil {
			return 0, err
		}
	}
	return rows, tx.Commit()
}

func (t *table) create() string {
	columns := make([]string, len(t.columns))
	for i, c := range t.columns {
		columns[i] = c + " " + t.types[i]
	}
	return fmt.Sprintf("CREATE TABLE %s (%s)", t.name, strings.Join(columns, ", "))
}

func (t *table) insert(n int) string {
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", len(t.columns)), ",") + ")"
	return fmt.Sprintf("INSERT INTO %s VALUES %s", t.name, strings.TrimSuffix(strings.Repeat(one+",", n), ","))
}

func (t *table) fill(ctx context.Context, tx *sql.Tx, advance func(int)) (rows int, err error) {
	full, err := tx.PrepareContext(ctx, t.insert(batch))
	if err != nil {
		return 0, err
	}
	defer full.Close()
	args := make([]any, 0, batch*len(t.columns))
	done := 0
	for i, p := range People {
		if row := t.row(i, p); row != nil {
			args = append(args, row...)
			rows++
		}
		if len(args) == cap(args) {
			if _, err := full.ExecContext(ctx, args...); err != nil {
				return 0, err
			}
			args = args[:0]
		}
		if i%2000 == 1999 {
			advance(i + 1 - done)
			done = i + 1
		}
	}
	if len(args) > 0 {
		if _, err := tx.ExecContext(ctx, t.insert(len(args)/len(t.columns)), args...); err != nil {
			return 0, err
		}
	}
	advance(Population - done)
	return rows, nil
}
