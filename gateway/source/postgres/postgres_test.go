package postgres_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/internal/filtertest"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/postgres"
	"github.com/entente-dev/entente/hack/testenv"
)

// server is a database with a table of 10,000 persons and a login that may read some of its columns.
type server struct {
	*testenv.Postgres
	ca string
}

const tables = `
CREATE TABLE person (id bigint PRIMARY KEY, name text, secret text, sex text, wage numeric(12,2), born date, seen timestamptz, active bool);
INSERT INTO person SELECT i, 'name' || i, 'secret' || i, 'F', i + 0.50, date '1980-01-01' + i, timestamptz '2000-01-01Z' + i * interval '1 s', i % 2 = 0 FROM generate_series(1, 10000) i;
CREATE INDEX ON person (name);
CREATE VIEW slow AS SELECT id, name FROM person, pg_sleep(120);
CREATE TABLE odd (id bigint, sex text, wage numeric, born date, seen timestamptz);
INSERT INTO odd VALUES (1, 'Secret', 'NaN', 'infinity', '-infinity'), (2, NULL, NULL, '0044-03-15 BC', '20000-01-01Z');
ANALYZE;
`

func start(t testing.TB) *server {
	t.Helper()
	p := testenv.RequirePostgres(t, testenv.PostgresOptions{NoSync: true})
	ca, err := os.ReadFile(p.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	s := &server{p, string(ca)}
	s.exec(t, tables)
	s.login(t, "reader")
	return s
}

func (s *server) exec(t testing.TB, sql string) {
	t.Helper()
	if err := s.Exec(context.Background(), "postgres", sql); err != nil {
		t.Fatal(err)
	}
}

// login makes a user as a source credential is: it may read all columns but secret.
func (s *server) login(t testing.TB, user string) {
	t.Helper()
	s.exec(t, fmt.Sprintf(`CREATE ROLE %s LOGIN PASSWORD 'pw'; GRANT SELECT (id, name, sex, wage, born, seen, active) ON person TO %s; GRANT SELECT ON slow, odd TO %s`, user, user, user))
}

func (s *server) dropLogin(t testing.TB, user string) {
	t.Helper()
	s.exec(t, fmt.Sprintf(`ALTER ROLE %s NOLOGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '%s'; DROP OWNED BY %s; DROP ROLE %s`, user, user, user, user))
}

func (s *server) target() route.PostgreSQL {
	return route.PostgreSQL{Host: "127.0.0.1", Port: int32(s.Port()), Database: "postgres", SSLMode: "verify-full", CABundle: s.ca, Role: "reader"}
}

var schema = &route.Schema{Name: "s", Version: 1, Digest: "sha256:s", Fields: []route.Field{
	{Name: "id", Type: "int"}, {Name: "name", Type: "string"}, {Name: "secret", Type: "string"}, {Name: "sex", Type: "code", Codes: []string{"F", "M"}},
	{Name: "wage", Type: "decimal"}, {Name: "born", Type: "date"}, {Name: "seen", Type: "timestamp"}, {Name: "active", Type: "bool"},
}}

func (s *server) query(relation string) source.Query {
	target := s.target()
	d := &route.Dataset{Name: "people", Relation: relation, Columns: map[string]string{}, SubjectKey: "id", PostgreSQL: &target}
	for _, f := range schema.Fields {
		d.Columns[f.Name] = f.Name
	}
	return source.Query{Agreement: "mou", Dataset: d, Schema: schema, Fields: []string{"id", "name"}, Limit: 20_000}
}

// always gives the same login.
func always(user string) func(context.Context, string) (postgres.Credential, error) {
	return func(context.Context, string) (postgres.Credential, error) {
		return postgres.Credential{Username: user, Password: "pw"}, nil
	}
}

func open(t testing.TB, o postgres.Options) *postgres.Source {
	s := postgres.New(o)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func compile(t testing.TB, text string) *filter.Filter {
	t.Helper()
	f, err := filter.Compile(schema, text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func records(s source.Source, q source.Query) (out []*gatewayv1.Record, more bool, err error) {
	more, err = s.Records(context.Background(), q, func(r *gatewayv1.Record) error {
		out = append(out, r)
		return nil
	})
	return out, more, err
}

// byColumns is a sink that wants columns only.
type byColumns struct{ b *columns.Batch }

func (c byColumns) Columns() (*columns.Batch, error) { return c.b, nil }
func (c byColumns) Row() error                       { c.b.EndRow(); return nil }
func (c byColumns) Record(r *gatewayv1.Record) error {
	return errors.New("a record where columns were wanted")
}

// both reads by columns, too, and sees that it is the same.
func both(t *testing.T, s *postgres.Source, q source.Query) (out []*gatewayv1.Record, more bool, err error) {
	t.Helper()
	out, more, err = records(s, q)
	c := byColumns{columns.New(columns.Select(q.Schema, q.Fields))}
	also, errAlso := s.Stream(context.Background(), q, c)
	if fmt.Sprint(errAlso) != fmt.Sprint(err) || also != more {
		t.Errorf("by columns: more %v, %v; by records: %v, %v", also, errAlso, more, err)
	}
	if got := c.b.Records(); err == nil && fmt.Sprint(got) != fmt.Sprint(out) {
		t.Errorf("by columns: %.500v\nby records: %.500v", got, out)
	}
	return out, more, err
}

// TestServer shares one server among tests that leave it as it was.
func TestServer(t *testing.T) {
	s := start(t)
	t.Run("records", s.testRecords)
	t.Run("meaning", s.testMeaning)
	t.Run("normal", s.testNormal)
	t.Run("similarity", s.testSimilarity)
	t.Run("shape", s.testShape)
	t.Run("mapped", s.testMapped)
	t.Run("grants", s.testGrants)
	t.Run("consent", s.testConsent)
	t.Run("injection", s.testInjection)
	t.Run("values that do not fit", s.testOddValues)
	t.Run("TLS", s.testTLS)
	t.Run("session", s.testSession)
	t.Run("cancellation", s.testCancellation)
	t.Run("revoke", s.testRevoke)
	t.Run("dropped login", s.testDroppedLogin)
	t.Run("renewal", s.testRenewal)
	t.Run("idle", s.testIdle)
	t.Run("many pools", s.testManyPools)
	t.Run("columns", s.testColumns)
	t.Run("no login to be had", s.testNoLogin)
	t.Run("server hangs", s.testHang)
	t.Run("server down", s.testDown) // last
}

func (s *server) testRecords(t *testing.T) {
	src := open(t, postgres.Options{Credentials: always("reader")})
	q := s.query("person")
	got, more, err := both(t, src, q)
	if err != nil || more || len(got) != 10_000 {
		t.Fatalf("all: %d records, more %v, %v", len(got), more, err)
	}
	for i, r := range got {
		if r.Values[0].GetInteger() != int64(i+1) || r.Values[1].GetText() != fmt.Sprintf("name%d", i+1) {
			t.Fatalf("record %d is %v", i, r)
		}
	}
	q.Limit = 9999
	if got, more, err = both(t, src, q); err != nil || !more || len(got) != 9999 {
		t.Errorf("limit: %d records, more %v, %v", len(got), more, err)
	}
	q.Fields, q.Limit = []string{"active", "seen", "born", "wage", "sex", "id", "name"}, 1
	q.Filter, q.RowFilter = compile(t, `id >= 7`), compile(t, `wage == 7.5 || id == 8`)
	got, more, err = both(t, src, q)
	if err != nil || !more || len(got) != 1 {
		t.Fatalf("both filters: %d records, more %v, %v", len(got), more, err)
	}
	if want := `values:{boolean:false} values:{text:"2000-01-01T00:00:07Z"} values:{text:"1980-01-08"} values:{text:"7.50"} values:{text:"F"} values:{integer:7} values:{text:"name7"}`; strings.ReplaceAll(got[0].String(), "  ", " ") != want {
		t.Errorf("got  %v\nwant %v", got[0], want)
	}
	if n, err := src.Count(context.Background(), q); n != 2 || err != nil {
		t.Errorf("count %d, %v", n, err)
	}
	persons := q
	persons.Persons, persons.Filter, persons.RowFilter, persons.Dataset = true, compile(t, `id <= 100`), nil, new(route.Dataset)
	*persons.Dataset = *q.Dataset
	persons.Dataset.SubjectKey = "active"
	if n, err := src.Count(context.Background(), persons); n != 2 || err != nil {
		t.Errorf("count of persons %d, %v", n, err)
	}
	if ok, err := src.Exists(context.Background(), q); !ok || err != nil {
		t.Errorf("exists %v, %v", ok, err)
	}
	stop := errors.New("stop")
	for range 20 { // more than there are connections: none may be lost
		q := s.query("person")
		n := 0
		_, err := src.Records(context.Background(), q, func(*gatewayv1.Record) error {
			if n++; n == 10 {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) || n != 10 {
			t.Fatalf("an error of yield: %v after %d", err, n)
		}
	}
}

func (s *server) testMeaning(t *testing.T) {
	kinds := map[string]string{"string": "text", "code": "text", "int": "int8", "decimal": "numeric(20,2)", "bool": "boolean", "date": "date", "timestamp": "timestamptz"}
	var defs, names, marks []string
	for i, f := range filtertest.Schema.Fields {
		kind := kinds[f.Type]
		switch f.Name { // a column may be of another type than its field
		case "given_name":
			kind = `text COLLATE "und-x-icu"` // in no order of code points
		case "registered_sex":
			kind = "varchar(8)"
		case "left_at":
			kind = "timestamp"
		case "bonus":
			kind = "numeric"
		}
		defs = append(defs, "c_"+f.Name+" "+kind)
		names = append(names, "c_"+f.Name)
		marks = append(marks, fmt.Sprintf("$%d", i+1))
	}
	s.exec(t, "CREATE TABLE random ("+strings.Join(defs, ", ")+"); GRANT SELECT ON random TO reader")
	all := filtertest.Records(rand.New(rand.NewPCG(1, 1)), 150)
	conn, err := pgx.Connect(context.Background(), s.AdminURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, r := range all {
		args := make([]any, len(filtertest.Schema.Fields))
		for i, f := range filtertest.Schema.Fields {
			args[i] = r[f.Name]
		}
		if _, err := conn.Exec(context.Background(), "INSERT INTO random ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(marks, ", ")+")", args...); err != nil {
			t.Fatal(err)
		}
	}
	q := s.query("random")
	q.Dataset.Columns = filtertest.Columns()
	filtertest.Compare(t, open(t, postgres.Options{Credentials: always("reader")}), q.Dataset, all, 4, 1500)
	filtertest.CompareOrder(t, open(t, postgres.Options{Credentials: always("reader")}), q.Dataset, 5, 150)
}

func (s *server) testGrants(t *testing.T) {
	src := open(t, postgres.Options{Credentials: always("reader")})
	q := s.query("person")
	q.Fields = []string{"id", "secret"}
	if _, _, err := records(src, q); !errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), "42501") {
		t.Errorf("reading a column that is not granted: %v", err)
	}
	q = s.query("person")
	q.Filter = compile(t, `secret == "secret1"`)
	if _, err := src.Exists(context.Background(), q); !errors.Is(err, source.ErrUnavailable) {
		t.Errorf("filtering by a column that is not granted: %v", err)
	}
	if _, err := src.Exists(context.Background(), s.query("person")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	for name, change := range map[string]func(*route.Dataset){
		"column":   func(d *route.Dataset) { d.Columns["name"] = "nosuch" },
		"relation": func(d *route.Dataset) { d.Relation = "nosuch" },
		"type":     func(d *route.Dataset) { d.Columns["born"] = "name" },
	} {
		q := s.query("person")
		change(q.Dataset)
		q.Fields = []string{"id", "name", "born"}
		_, _, err := records(src, q)
		if err == nil || errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), "people") || strings.Contains(err.Error(), "name1") {
			t.Errorf("a %s that is not as the dataset says: %v", name, err)
		}
	}
}

func (s *server) testInjection(t *testing.T) {
	src := open(t, postgres.Options{Credentials: always("reader")})
	for _, value := range []string{`' OR 1=1 --`, `"; DROP TABLE person; --`, `\' OR ''='`, `$1`, `%`, `_`, `name%`, `E'\\x'`, `'||(SELECT 'name1')||'`} {
		for _, text := range []string{`name == %q`, `name in [%q, "x"]`, `name.startsWith(%q)`, `name.contains(%q)`} {
			q := s.query("person")
			q.Filter = compile(t, fmt.Sprintf(text, value))
			want := int64(0)
			if n, err := src.Count(context.Background(), q); err != nil || n != want {
				t.Errorf("%s: %d, %v", q.Filter.Text(), n, err)
			}
		}
	}
	for _, relation := range []string{`person; DROP TABLE person`, `person" WHERE true --`, `(SELECT 1)`} {
		q := s.query(relation)
		if _, err := src.Count(context.Background(), q); err == nil {
			t.Errorf("relation %q was taken for SQL", relation)
		}
	}
	q := s.query("person")
	q.Dataset.Columns["name"] = `name" || secret || "name`
	if _, _, err := records(src, q); err == nil {
		t.Error("a column was taken for SQL")
	}
}

func (s *server) testOddValues(t *testing.T) {
	src := open(t, postgres.Options{Credentials: always("reader")})
	for field, id := range map[string]string{"sex": "1", "wage": "1", "born": "1", "seen": "1"} {
		for _, id := range []string{id, "2"} {
			if id == "2" && (field == "sex" || field == "wage") {
				continue
			}
			q := s.query("odd")
			q.Fields, q.Filter = []string{field}, compile(t, "id == "+id)
			_, _, err := both(t, src, q)
			if err == nil || !strings.Contains(err.Error(), "field "+field) || !strings.Contains(err.Error(), "people") || strings.Contains(err.Error(), "Secret") {
				t.Errorf("%s of %s: %v", field, id, err)
			}
		}
	}
}

// stranger makes the certificate of an authority that did not sign the server's.
func stranger(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(crand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func (s *server) testTLS(t *testing.T) {
	otherCA := stranger(t)
	for name, c := range map[string]struct {
		change func(*route.PostgreSQL)
		ok     bool
		says   string
	}{
		"verify-full":             {func(p *route.PostgreSQL) {}, true, ""},
		"the default":             {func(p *route.PostgreSQL) { p.SSLMode = "" }, true, ""},
		"verify-ca":               {func(p *route.PostgreSQL) { p.SSLMode = "verify-ca" }, true, ""},
		"require":                 {func(p *route.PostgreSQL) { p.SSLMode = "require"; p.CABundle = "" }, true, ""},
		"verify-full, other name": {func(p *route.PostgreSQL) { p.Host = "127.0.0.2" }, false, ""},
		"verify-full, other CA":   {func(p *route.PostgreSQL) { p.CABundle = otherCA }, false, "caBundle"},
		"verify-ca, other CA":     {func(p *route.PostgreSQL) { p.SSLMode = "verify-ca"; p.CABundle = otherCA }, false, "caBundle"},
		"require, other CA":       {func(p *route.PostgreSQL) { p.SSLMode = "require"; p.CABundle = otherCA }, false, "caBundle"},
		"system's CAs":            {func(p *route.PostgreSQL) { p.CABundle = "" }, false, "caBundle"},
		"no CA":                   {func(p *route.PostgreSQL) { p.CABundle = "nonsense" }, false, "PEM"},
		"disable":                 {func(p *route.PostgreSQL) { p.SSLMode = "disable" }, false, "sslMode"},
		"prefer":                  {func(p *route.PostgreSQL) { p.SSLMode = "prefer" }, false, "sslMode"},
		"socket":                  {func(p *route.PostgreSQL) { p.Host = s.SocketDir() }, false, "TLS only"},
	} {
		src := open(t, postgres.Options{Credentials: always("reader")})
		q := s.query("person")
		c.change(q.Dataset.PostgreSQL)
		_, err := src.Exists(context.Background(), q)
		if c.ok != (err == nil) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func (s *server) testSession(t *testing.T) {
	s.exec(t, `CREATE VIEW session AS SELECT 1::bigint AS id, concat_ws('|', current_setting('application_name'), current_setting('default_transaction_read_only'),
		current_setting('statement_timeout'), current_setting('TimeZone'), current_setting('client_encoding'),
		(SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())) AS name; GRANT SELECT ON session TO reader`)
	// What the environment says is not for sources.
	for k, v := range map[string]string{"PGHOST": "/nowhere", "PGOPTIONS": "-c search_path=nowhere", "PGSSLMODE": "disable", "PGUSER": "nobody", "PGAPPNAME": "x"} {
		t.Setenv(k, v)
	}
	src := open(t, postgres.Options{Credentials: always("reader"), StatementTimeout: 1500 * time.Millisecond})
	got, _, err := records(src, s.query("session"))
	if err != nil {
		t.Fatal(err)
	}
	if name := got[0].Values[1].GetText(); name != "entente mou|on|1500ms|UTC|UTF8|t" {
		t.Errorf("session: %s", name)
	}
	began := time.Now()
	if _, err := src.Exists(context.Background(), s.query("slow")); !errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), "in time") {
		t.Errorf("statement timeout: %v", err)
	}
	if d := time.Since(began); d > early {
		t.Errorf("it took %v", d)
	}
}

// early is long before a slow query ends by itself, and as long as a busy machine may take for anything that takes a moment.
const early = time.Minute

// backends counts the sessions of a user.
func (s *server) backends(t *testing.T, user string) (n int, pids string) {
	t.Helper()
	return s.sessions(t, user, "true")
}

// sleeping counts the sessions of a user that run a slow query.
func (s *server) sleeping(t *testing.T, user string) int {
	t.Helper()
	n, _ := s.sessions(t, user, "wait_event = 'PgSleep'")
	return n
}

func (s *server) sessions(t *testing.T, user, condition string) (n int, pids string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), s.AdminURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(context.Background(), `SELECT count(*), coalesce(string_agg(pid::text, ',' ORDER BY pid), '') FROM pg_stat_activity WHERE usename = $1 AND `+condition, user).Scan(&n, &pids); err != nil {
		t.Fatal(err)
	}
	return n, pids
}

func (s *server) testCancellation(t *testing.T) {
	s.login(t, "cancelled")
	s.exec(t, `CREATE VIEW brief AS SELECT id, name FROM person, pg_sleep(0.05) WHERE id = 1; GRANT SELECT ON brief TO cancelled`)
	patient := open(t, postgres.Options{Credentials: always("cancelled"), MaxConns: 2, CancelGrace: early})
	if _, err := patient.Exists(context.Background(), s.query("brief")); err != nil {
		t.Fatal(err)
	}
	_, before := s.backends(t, "cancelled")
	for range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(5*time.Millisecond, cancel)
		_, _ = patient.Exists(ctx, s.query("brief"))
		cancel()
	}
	if _, after := s.backends(t, "cancelled"); after != before {
		t.Errorf("cancelled look-ups wore the pool out: sessions %s, then %s", before, after)
	}
	_ = patient.Close()
	eventually(t, "the sessions to end", func() bool { n, _ := s.backends(t, "cancelled"); return n == 0 })
	src := open(t, postgres.Options{Credentials: always("cancelled"), MaxConns: 2, CancelGrace: 300 * time.Millisecond})

	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	began := time.Now()
	if _, err := src.Exists(ctx, s.query("slow")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if d := time.Since(began); d > early {
		t.Errorf("a cancelled query ended after %v", d)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	began = time.Now()
	if _, err := src.Exists(ctx, s.query("slow")); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, source.ErrUnavailable) {
		t.Errorf("deadline: %v", err)
	}
	if d := time.Since(began); d > early {
		t.Errorf("a query with a deadline of 200ms ended after %v", d)
	}
	// What was cut off does not go on in the database.
	eventually(t, "the statements to end in the database", func() bool { n, _ := s.backends(t, "cancelled"); return n <= 1 })
	if _, err := src.Exists(context.Background(), s.query("person")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(early); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Errorf("waited in vain for %s", what)
}

func (s *server) testRevoke(t *testing.T) {
	s.login(t, "revoked")
	src := open(t, postgres.Options{Credentials: always("revoked")})
	q, other := s.query("slow"), s.query("person")
	other.Agreement = "other"
	if _, err := src.Exists(context.Background(), other); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 2)
	for range 2 {
		go func() { _, err := src.Exists(context.Background(), q); errs <- err }()
	}
	// And a caller that holds a connection and takes its time.
	reading := make(chan struct{})
	held := make(chan error, 1)
	var once sync.Once
	resume := make(chan struct{})
	go func() {
		q := s.query("person")
		q.Fields = []string{"id", "name", "sex", "wage", "born", "seen", "active"}
		_, err := src.Records(context.Background(), q, func(*gatewayv1.Record) error {
			once.Do(func() { close(reading); <-resume })
			return nil
		})
		held <- err
	}()
	<-reading
	eventually(t, "the queries to run", func() bool { n, _ := s.backends(t, "revoked"); return n == 4 })
	began := time.Now()
	src.Revoke("mou")
	for range 2 {
		if err := <-errs; !errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), "revoked") {
			t.Errorf("a query in flight: %v", err)
		}
	}
	if d := time.Since(began); d > early {
		t.Errorf("queries ended %v after the revocation", d)
	}
	close(resume)
	if err := <-held; !errors.Is(err, source.ErrUnavailable) {
		t.Errorf("a stream in flight: %v", err)
	}
	eventually(t, "the sessions to end", func() bool { n, _ := s.backends(t, "revoked"); return n == 1 })
	if _, err := src.Exists(context.Background(), other); err != nil {
		t.Errorf("the other agreement: %v", err)
	}
	_ = src.Close()
	eventually(t, "the last session to end", func() bool { n, _ := s.backends(t, "revoked"); return n == 0 })
	if _, err := src.Exists(context.Background(), other); !errors.Is(err, source.ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
}

func (s *server) testDroppedLogin(t *testing.T) {
	s.login(t, "dropped1")
	s.login(t, "dropped2")
	var issued atomic.Int32
	src := open(t, postgres.Options{RetryAfter: time.Millisecond, Credentials: func(ctx context.Context, role string) (postgres.Credential, error) {
		return always(fmt.Sprintf("dropped%d", issued.Add(1)))(ctx, role)
	}})
	q := s.query("slow")
	errs := make(chan error, 1)
	go func() { _, err := src.Exists(context.Background(), q); errs <- err }()
	eventually(t, "the query to run", func() bool { return s.sleeping(t, "dropped1") == 1 })
	s.dropLogin(t, "dropped1")
	if err := <-errs; !errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), "57P01") {
		t.Errorf("in mid-use: %v", err)
	}
	if _, err := src.Exists(context.Background(), s.query("person")); err != nil {
		t.Errorf("with a new login: %v", err)
	}
	if n := issued.Load(); n != 2 {
		t.Errorf("%d logins issued, want 2", n)
	}
	// A login that is gone before it is used.
	s.dropLogin(t, "dropped2")
	eventually(t, "a refusal of the login", func() bool {
		_, err := src.Exists(context.Background(), s.query("person"))
		if err != nil && !errors.Is(err, source.ErrUnavailable) {
			t.Errorf("after the login was dropped: %v", err)
		}
		return err != nil && strings.Contains(err.Error(), "does not accept the login") && !strings.Contains(err.Error(), "dropped")
	})
}

func (s *server) testRenewal(t *testing.T) {
	for i := 1; i <= 3; i++ {
		s.login(t, fmt.Sprintf("renewed%d", i))
	}
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	pass := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	var issued atomic.Int32
	src := open(t, postgres.Options{Now: clock, IdleTimeout: 24 * time.Hour, Credentials: func(ctx context.Context, role string) (postgres.Credential, error) {
		c, err := always(fmt.Sprintf("renewed%d", issued.Add(1)))(ctx, role)
		c.Expires = clock().Add(time.Hour)
		return c, err
	}})
	ask := func() {
		t.Helper()
		if _, err := src.Exists(context.Background(), s.query("person")); err != nil {
			t.Error(err)
		}
	}
	ask()
	pass(30 * time.Minute)
	ask()
	if n := issued.Load(); n != 1 {
		t.Errorf("%d logins issued after half an hour", n)
	}
	// A query that runs while the login is renewed ends in peace.
	running := make(chan error, 1)
	s.exec(t, `CREATE VIEW second AS SELECT id, name FROM person, pg_sleep(5) WHERE id = 1; GRANT SELECT ON second TO renewed1`)
	go func() { _, err := src.Exists(context.Background(), s.query("second")); running <- err }()
	eventually(t, "the query to run", func() bool { return s.sleeping(t, "renewed1") == 1 })
	pass(15 * time.Minute)
	ask()
	eventually(t, "another login", func() bool { ask(); n, _ := s.backends(t, "renewed2"); return n > 0 })
	if err := <-running; err != nil {
		t.Errorf("the query that ran: %v", err)
	}
	eventually(t, "the old sessions to end", func() bool { n, _ := s.backends(t, "renewed1"); return n == 0 })
	pass(2 * time.Hour) // beyond the end: the old login is not used again
	ask()
	if n := issued.Load(); n != 3 {
		t.Errorf("%d logins issued, want 3", n)
	}
}

func (s *server) testIdle(t *testing.T) {
	s.login(t, "idle")
	var issued atomic.Int32
	src := open(t, postgres.Options{IdleTimeout: 200 * time.Millisecond, Credentials: func(ctx context.Context, role string) (postgres.Credential, error) {
		issued.Add(1)
		return always("idle")(ctx, role)
	}})
	if n, _ := s.backends(t, "idle"); n != 0 || issued.Load() != 0 {
		t.Error("opened before it was asked")
	}
	for range 2 {
		if _, err := src.Exists(context.Background(), s.query("person")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "idle sessions to end", func() bool { n, _ := s.backends(t, "idle"); return n == 0 })
	}
	if n := issued.Load(); n != 2 {
		t.Errorf("%d logins issued, want 2: an idle login is forgotten", n)
	}
}

func (s *server) testManyPools(t *testing.T) {
	s.login(t, "many")
	src := open(t, postgres.Options{MaxPools: 3, MaxConns: 1, Credentials: always("many")})
	for i := range 20 {
		q := s.query("person")
		q.Agreement = fmt.Sprintf("agreement-%d", i)
		if _, err := src.Exists(context.Background(), q); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "evicted sessions to end", func() bool { n, _ := s.backends(t, "many"); return n <= 3 })
	errs := make(chan error, 3)
	for i := range 3 {
		q := s.query("slow")
		q.Agreement = fmt.Sprintf("busy-%d", i)
		go func() { _, err := src.Exists(context.Background(), q); errs <- err }()
	}
	eventually(t, "the pools to be busy", func() bool { return s.sleeping(t, "many") == 3 })
	q := s.query("person")
	q.Agreement = "one-more"
	if _, err := src.Exists(context.Background(), q); !errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("one more than there may be: %v", err)
	}
	_ = src.Close()
	for range 3 {
		<-errs
	}
}

func (s *server) testColumns(t *testing.T) {
	cred := postgres.Credential{Username: "reader", Password: "pw"}
	want := []string{"id", "name", "secret", "sex", "wage", "born", "seen", "active"} // secret too: names are no secret
	for _, relation := range []string{"person", "public.person"} {
		if got, err := postgres.Columns(context.Background(), s.target(), cred, relation); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", relation, got, err)
		}
	}
	for _, relation := range []string{"nosuch", "nosuch.person", "person; DROP TABLE person", `"person"`} {
		if _, err := postgres.Columns(context.Background(), s.target(), cred, relation); !errors.Is(err, source.ErrNoRelation) {
			t.Errorf("%s: %v", relation, err)
		}
	}
	cred.Password = "wrong"
	if _, err := postgres.Columns(context.Background(), s.target(), cred, "person"); !errors.Is(err, source.ErrUnavailable) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("wrong password: %v", err)
	}
}

func (s *server) testNoLogin(t *testing.T) {
	var calls atomic.Int32
	src := open(t, postgres.Options{RetryAfter: time.Hour, Credentials: func(context.Context, string) (postgres.Credential, error) {
		calls.Add(1)
		return postgres.Credential{}, errors.New("vault is sealed")
	}})
	for range 10 {
		if _, err := src.Exists(context.Background(), s.query("person")); !errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), "vault is sealed") {
			t.Errorf("no login: %v", err)
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls: whoever issues logins is to be left alone for a while", n)
	}
	// One that hangs: callers leave at their own time.
	hang := open(t, postgres.Options{ConnectTimeout: 300 * time.Millisecond, Credentials: func(ctx context.Context, _ string) (postgres.Credential, error) {
		<-ctx.Done()
		return postgres.Credential{}, ctx.Err()
	}})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := hang.Exists(ctx, s.query("person")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller's deadline while a login is sought: %v", err)
	}
	if _, err := hang.Exists(context.Background(), s.query("person")); !errors.Is(err, source.ErrUnavailable) {
		t.Errorf("a login that is not to be had: %v", err)
	}
}

func (s *server) testHang(t *testing.T) {
	proxy, err := testenv.NewProxy(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = proxy.Stop() }()
	_, port, _ := net.SplitHostPort(proxy.Addr())
	n, _ := strconv.Atoi(port)
	src := open(t, postgres.Options{Credentials: always("reader"), MaxConns: 2, ConnectTimeout: time.Second})
	ask := func(timeout time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		q := s.query("person")
		q.Dataset.PostgreSQL.Port = int32(n)
		began := time.Now()
		_, err := src.Exists(ctx, q)
		if d := time.Since(began); d > early {
			t.Errorf("a deadline of %v was kept after %v", timeout, d)
		}
		return err
	}
	if err := ask(early); err != nil {
		t.Fatal(err)
	}
	if err := proxy.Hang(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 { // more than there are connections
		all.Go(func() {
			if err := ask(400 * time.Millisecond); !errors.Is(err, source.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("server hangs: %v", err)
			}
		})
	}
	all.Wait()
	began := time.Now()
	src.Revoke("mou")
	if d := time.Since(began); d > early {
		t.Errorf("revoking took %v", d)
	}
	if err := proxy.Up(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server's return", func() bool { return ask(time.Second) == nil })
}

func (s *server) testDown(t *testing.T) {
	src := open(t, postgres.Options{Credentials: always("reader")})
	if _, err := src.Exists(context.Background(), s.query("person")); err != nil {
		t.Fatal(err)
	}
	if err := s.Down(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		began := time.Now()
		_, err := src.Exists(ctx, s.query("person"))
		cancel()
		if !errors.Is(err, source.ErrUnavailable) || time.Since(began) > early {
			t.Errorf("server down: %v after %v", err, time.Since(began))
		}
	}
	if err := s.Up(context.Background()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server's return", func() bool {
		_, err := src.Exists(context.Background(), s.query("person"))
		return err == nil
	})
}

// BenchmarkLookup is a point look-up by an index: through this package, and by bare pgx with the same SQL over the same TLS.
func BenchmarkLookup(b *testing.B) {
	s := start(b)
	src := open(b, postgres.Options{Credentials: always("reader")})
	q := s.query("person")
	q.Fields = []string{"id", "name", "sex", "wage", "born", "seen", "active"}
	q.Filter = compile(b, `name == "name7777"`)
	q.Limit = 100
	b.Run("entente", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			_, err := src.Records(context.Background(), q, func(*gatewayv1.Record) error { n++; return nil })
			if err != nil || n != 1 {
				b.Fatal(n, err)
			}
		}
	})
	conn, err := pgx.Connect(context.Background(), s.URL("postgres", "reader", "pw"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(context.Background()) })
	b.Run("pgx", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			rows, err := conn.Query(context.Background(), `SELECT id, name, sex, wage::text, born, seen, active FROM person WHERE name = $1 LIMIT $2`, "name7777", 101)
			if err != nil {
				b.Fatal(err)
			}
			for rows.Next() {
				if len(rows.RawValues()) != 7 {
					b.Fatal("columns")
				}
			}
			if rows.Err() != nil {
				b.Fatal(rows.Err())
			}
		}
	})
	b.Run("entente, 10000 records", func(b *testing.B) {
		q := q
		q.Filter, q.Limit = nil, 10_000
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			_, err := src.Records(context.Background(), q, func(*gatewayv1.Record) error { n++; return nil })
			if err != nil || n != 10_000 {
				b.Fatal(n, err)
			}
		}
	})
}

// testConsent: rows without a consent that meets the condition never leave the database, and of the consents the login needs the
// columns that decide and no others.
func (s *server) testConsent(t *testing.T) {
	s.exec(t, `CREATE TABLE consent (person bigint, state text, valid_until timestamptz, note text);
		INSERT INTO consent VALUES (1, 'given', NULL, 'n'), (2, 'given', '2001-01-01Z', 'n'), (3, 'withdrawn', NULL, 'n'), (4, 'given', '2999-01-01Z', 'n'), (NULL, 'given', NULL, 'n'), (4, 'given', NULL, 'n');
		CREATE ROLE consenting LOGIN PASSWORD 'pw'; GRANT SELECT (id, name) ON person TO consenting; GRANT SELECT (person, state, valid_until) ON consent TO consenting`)
	src := open(t, postgres.Options{Credentials: always("consenting")})
	q := s.query("person")
	q.Dataset.Columns = map[string]string{"id": "id", "name": "name"}
	q.Dataset.Consent = &route.Consent{
		Relation: "consent", Subject: "person", Columns: map[string]string{"person": "person", "state": "state", "until": "valid_until"},
		Schema: route.Schema{Fields: []route.Field{{Name: "person", Type: "int"}, {Name: "state", Type: "string"}, {Name: "until", Type: "timestamp"}}},
	}
	condition, err := filter.Compile(&q.Dataset.Consent.Schema, `state == "given" && (until == null || until > timestamp("2026-01-01T00:00:00Z"))`)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := records(src, q); err == nil {
		t.Errorf("without the condition: %d records", len(got))
	}
	q.Consent = &source.Consent{Condition: condition}
	got, _, err := records(src, q)
	if err != nil || len(got) != 2 || got[0].Values[0].GetInteger() != 1 || got[1].Values[0].GetInteger() != 4 {
		t.Errorf("%v, %v", got, err)
	}
	if n, err := src.Count(context.Background(), q); n != 2 || err != nil {
		t.Errorf("count %d, %v", n, err)
	}
	q.Filter = compile(t, `id == 3`)
	if found, err := src.Exists(context.Background(), q); found || err != nil {
		t.Errorf("who withdrew is found: %v, %v", found, err)
	}
	// A column that the consents lack is not taken from the records around them.
	q.Filter, q.Dataset.Consent.Columns["state"] = nil, "name"
	if got, _, err := records(src, q); err == nil {
		t.Errorf("%d records by a column of the records", len(got))
	}
}
