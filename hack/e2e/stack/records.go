package stack

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/entente-dev/entente/hack/testenv"
	"github.com/entente-dev/entente/internal/demo/data"
)

// table is an agency's system of records: in words of its own, with more in it than anyone agreed to share.
type table struct {
	columns []column
	indexes []string
	row     func(i int, p *data.Person) []any // nil: the agency does not know the person
}

type column struct{ name, kind string }

var tables = map[string]table{
	Police: {
		columns: []column{{"subject_no", "bigint PRIMARY KEY"}, {"surname", "text"}, {"forenames", "text"}, {"dob", "date"}, {"id_document", "text"}, {"citizenship", "text"},
			{"case_no", "text"}, {"case_state", "text"}, {"part_in_case", "text"}, {"opened_on", "date"}, {"officer_notes", "text"}},
		indexes: []string{"id_document", "surname, forenames, dob"},
		row: func(i int, p *data.Person) []any {
			if p.Case == nil {
				return nil
			}
			return []any{i, p.Family, p.Given, p.Birth, p.Document, p.Nationality, p.Case.Number, p.Case.Status, p.Case.Role, p.Case.Opened, "notes stay with the police"}
		},
	},
	Labor: {
		columns: []column{{"record_no", "bigint PRIMARY KEY"}, {"last_name", "text"}, {"first_name", "text"}, {"born_on", "date"}, {"document_no", "text"}, {"nationality", "text"},
			{"employer_name", "text"}, {"employer_no", "text"}, {"trade", "text"}, {"gross_monthly", "numeric(12,2)"}, {"employed_since", "date"}, {"bank_account", "text"}},
		indexes: []string{"document_no", "last_name, first_name, born_on", "employer_no"},
		row: func(i int, p *data.Person) []any {
			if p.Job == nil {
				return nil
			}
			wage := fmt.Sprintf("%d.%02d", p.Job.WageCents/100, p.Job.WageCents%100)
			return []any{i, p.Family, p.Given, p.Birth, p.Document, p.Nationality, p.Job.Employer, p.Job.EmployerID, p.Job.Trade, wage, p.Job.Since, p.Job.Account}
		},
	},
	Border: {
		columns: []column{{"traveller_no", "bigint PRIMARY KEY"}, {"family_name", "text"}, {"given_name", "text"}, {"birth_date", "date"}, {"travel_document", "text"}, {"nationality", "text"},
			{"permit", "text"}, {"permit_until", "date"}, {"last_crossing", "timestamptz"}, {"crossing_point", "text"}, {"biometrics_ref", "text"}},
		indexes: []string{"travel_document", "family_name, given_name, birth_date"},
		row: func(i int, p *data.Person) []any {
			if p.Border == nil {
				return nil
			}
			return []any{i, p.Family, p.Given, p.Birth, p.Document, p.Nationality, p.Border.Permit, p.Border.Until, p.Border.Crossing, p.Border.Point, fmt.Sprintf("bio-%06d", i)}
		},
	},
}

// startPostgres starts the server and fills each agency's database.
func (s *Stack) startPostgres(ctx context.Context) (err error) {
	began := time.Now()
	s.Postgres, err = testenv.StartPostgres(ctx, testenv.PostgresOptions{Dir: filepath.Join(s.Dir, "postgres"), NoSync: true})
	if err != nil {
		return err
	}
	s.told(began, "PostgreSQL serves at %s", s.Postgres.Addr())
	began = time.Now()
	if err := s.each(ctx, s.createRecords); err != nil {
		return err
	}
	s.told(began, "records of %d synthetic people, in three databases", s.People)
	return nil
}

// createRecords makes the agency's database, owned by an administrator that may create roles and end sessions, and is no superuser.
func (s *Stack) createRecords(ctx context.Context, a *Agency) error {
	password := rand.Text()
	for _, sql := range []string{
		fmt.Sprintf(`CREATE ROLE %s LOGIN CREATEROLE PASSWORD '%s'`, a.admin(), password),
		fmt.Sprintf(`GRANT pg_signal_backend TO %s`, a.admin()),
		fmt.Sprintf(`CREATE DATABASE %s OWNER %s`, a.Short, a.admin()),
		// Agencies share a server here, and nothing else.
		fmt.Sprintf(`REVOKE CONNECT, TEMPORARY ON DATABASE %s FROM PUBLIC`, a.Short),
	} {
		if err := s.Postgres.Exec(ctx, "postgres", sql); err != nil {
			return err
		}
	}
	if err := os.WriteFile(a.File("admin.password"), []byte(password), 0o600); err != nil {
		return err
	}
	c, err := pgx.Connect(ctx, s.Postgres.URL(a.Short, a.admin(), password))
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	return tables[a.Name].fill(ctx, c, a.Relation, s.People)
}

func (t table) fill(ctx context.Context, c *pgx.Conn, name string, people int) error {
	var names, definitions []string
	for _, col := range t.columns {
		names = append(names, col.name)
		definitions = append(definitions, col.name+" "+col.kind)
	}
	if _, err := c.Exec(ctx, fmt.Sprintf("CREATE TABLE %s (%s)", name, strings.Join(definitions, ", "))); err != nil {
		return err
	}
	var rows [][]any
	for i, p := range data.People {
		if i >= people {
			break
		}
		if row := t.row(i, p); row != nil {
			rows = append(rows, row)
		}
	}
	if _, err := c.CopyFrom(ctx, pgx.Identifier{name}, names, pgx.CopyFromRows(rows)); err != nil {
		return fmt.Errorf("records of %s: %w", name, err)
	}
	for _, columns := range t.indexes {
		if _, err := c.Exec(ctx, fmt.Sprintf("CREATE INDEX ON %s (%s)", name, columns)); err != nil {
			return err
		}
	}
	_, err := c.Exec(ctx, "ANALYZE "+name)
	return err
}
