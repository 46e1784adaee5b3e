package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/hack/bench/floor"
	"github.com/entente-dev/entente/hack/bench/rig"
	"github.com/entente-dev/entente/hack/testenv"
)

const (
	people   = 100_000
	purpose  = "entente:trafficking-investigation"
	login    = "reader"
	password = "only-on-loopback"
	// connections of a source to its database, as a gateway has.
	connections = 4
	hub         = "hub"
)

// agencies that are sources; each has a database of that name.
var agencies = []string{"source-a", "source-b", "source-c"}

var tables = []string{
	`CREATE TABLE people (nr text PRIMARY KEY, family text, given text, born date, secret text)`,
	fmt.Sprintf(`INSERT INTO people SELECT 'P' || lpad(i::text, 6, '0'), 'f' || i %% 10, 'given', date '1950-01-01' + i %% 20000, 'secret' FROM generate_series(0, %d) i`, people-1),
	`VACUUM ANALYZE people`,
	`GRANT SELECT (nr, family, born) ON people TO ` + login,
}

// world is everything that runs. Its parts are stopped in the reverse order.
type world struct {
	dir       string
	postgres  *testenv.Postgres
	sources   []*rig.Agency
	recipient *rig.Agency
	lura      *luraProcess
	targets   []target
	stops     []func() error
}

func (w *world) later(stop func() error) { w.stops = append(w.stops, stop) }

func (w *world) stop() error {
	var errs []error
	for i := len(w.stops) - 1; i >= 0; i-- {
		errs = append(errs, w.stops[i]())
	}
	return errors.Join(errs...)
}

func startWorld(ctx context.Context, dir string) (_ *world, err error) {
	gateway.TuneRuntime() // of all targets in this process
	w := &world{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stop())
		}
	}()
	for _, start := range []func(context.Context) error{w.startPostgres, w.startAgencies, w.startBare, w.startREST, w.startForeign} {
		if err := start(ctx); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *world) startPostgres(ctx context.Context) (err error) {
	// postgres_fdw keeps a connection to each source for each of its own.
	w.postgres, err = testenv.StartPostgres(ctx, testenv.PostgresOptions{Progress: io.Discard, Settings: map[string]string{"max_connections": "500"}})
	if err != nil {
		return err
	}
	w.later(w.postgres.Stop)
	if err := w.postgres.Exec(ctx, "postgres", "CREATE ROLE "+login+" LOGIN PASSWORD '"+password+"'"); err != nil {
		return err
	}
	for _, name := range append([]string{hub}, agencies...) {
		if err := w.postgres.CreateDatabase(ctx, name); err != nil {
			return err
		}
		if name == hub {
			continue
		}
		for _, sql := range tables { // one after the other: VACUUM runs in no transaction
			if err := w.postgres.Exec(ctx, name, sql); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) startAgencies(context.Context) error {
	ca, err := os.ReadFile(w.postgres.CAFile())
	if err != nil {
		return err
	}
	for _, name := range agencies {
		a, err := rig.StartAgency(name, w.dir, nil, login, password)
		if err != nil {
			return err
		}
		w.later(a.Stop)
		w.sources = append(w.sources, a)
	}
	if w.recipient, err = rig.StartAgency("recipient", w.dir, &rig.Exchange{Sources: w.sources}, login, password); err != nil {
		return err
	}
	w.later(w.recipient.Stop)
	for _, a := range w.sources {
		clause := w.clause(a, string(ca))
		if err := errors.Join(a.Agree(agreementOf(a), clause), w.recipient.Agree(agreementOf(a), clause)); err != nil {
			return err
		}
	}
	user, err := w.recipient.CA.Issue("")
	if err != nil {
		return err
	}
	for _, t := range []target{{Name: queryName, Agencies: agencies[:1]}, {Name: ententeName, Agencies: agencies}} {
		t.Kind, t.Address = kindUsers, w.recipient.Addrs.GRPC
		if err := w.add(t, user, w.recipient.CA); err != nil {
			return err
		}
	}
	credential, err := w.credential()
	if err != nil {
		return err
	}
	return w.add(target{Name: governedName, Kind: kindSource, Address: w.sources[0].Addrs.Peer, Agencies: agencies[:1]}, credential, w.sources[0].CA)
}

func agreementOf(a *rig.Agency) string { return "with-" + a.Party.Agency }

func (w *world) clause(a *rig.Agency, ca string) route.Clause {
	retention := int64(30)
	return route.Clause{
		Name: "persons", Recipients: []route.Recipient{{Party: w.recipient.Party}}, Purposes: []string{purpose}, Granularity: "Records",
		Source: route.Peer{Party: a.Party, Gateway: a.Addrs.Peer, TrustBundle: a.CA.PEM()},
		Schema: route.Schema{Name: "person", Version: 1, Digest: "sha256:person", Fields: []route.Field{
			{Name: "person_number", Type: "string"}, {Name: "family_name", Type: "string"}, {Name: "birth_date", Type: "date"}, {Name: "note", Type: "string"},
		}},
		Fields: []string{"person_number", "birth_date"}, FilterFields: []string{"person_number", "family_name", "birth_date"},
		RequireSelectors: [][]string{{"person_number"}, {"family_name", "birth_date"}}, CaseReference: `SP-[0-9]{4}-[0-9]+`, RecordsPerQuery: 100,
		Obligations: route.Obligations{Redisclosure: "Prohibited", RetentionDays: &retention},
		Datasets: []route.Dataset{{
			Name: "people", Relation: "people", SubjectKey: "person_number",
			PostgreSQL: &route.PostgreSQL{Host: "127.0.0.1", Port: int32(w.postgres.Port()), Database: a.Party.Agency, SSLMode: "verify-full", CABundle: ca, Role: login},
			Columns:    map[string]string{"person_number": "nr", "family_name": "family", "birth_date": "born"},
		}},
	}
}

// startBare starts servers with the very statement that the gateways run: it is asked for once, and PostgreSQL says what that was.
func (w *world) startBare(ctx context.Context) error {
	governed := w.targets[len(w.targets)-1]
	ask, err := governed.ask()
	if err == nil {
		err = ask(0)
	}
	if err != nil {
		return fmt.Errorf("governed look-up: %w", err)
	}
	sql, err := rig.LastStatement(ctx, w.postgres.AdminURL(agencies[0]), "entente "+agreementOf(w.sources[0]))
	if err != nil {
		return err
	}
	credential, err := w.credential()
	if err != nil {
		return err
	}
	users, err := w.recipient.CA.Issue("")
	if err != nil {
		return err
	}
	var logs [2]*floor.File
	for i := range logs {
		if logs[i], err = floor.Create(filepath.Join(w.dir, fmt.Sprintf("floor-%d.log", i)), rig.RecordBytes); err != nil {
			return err
		}
		w.later(logs[i].Close)
	}
	var plain, recorded []gatewayv1.SourceServiceClient
	for i, a := range w.sources {
		pool, err := w.pool(ctx, a.Party.Agency)
		if err != nil {
			return err
		}
		s := &rig.BareSource{Agency: a.Party.Agency, Pool: pool, SQL: sql}
		// The aggregators show the credential of the first source's authority to all: bare servers know no others.
		address, client, err := w.bareSource(s, w.sources[0], credential)
		if err != nil {
			return err
		}
		plain = append(plain, client)
		if i > 0 {
			continue
		}
		if err := w.add(target{Name: bareName, Kind: kindSource, Address: address, Agencies: agencies[:1]}, credential, w.sources[0].CA); err != nil {
			return err
		}
		s = &rig.BareSource{Agency: a.Party.Agency, Pool: pool, SQL: sql, Log: logs[0]}
		if address, client, err = w.bareSource(s, w.sources[0], credential); err != nil {
			return err
		}
		recorded = append(recorded, client)
		if err := w.add(target{Name: recordName, Kind: kindSource, Address: address, Agencies: agencies[:1]}, credential, w.sources[0].CA); err != nil {
			return err
		}
	}
	for _, x := range []struct {
		name string
		of   *rig.BareAggregator
		at   []string
	}{{aggregatorName, &rig.BareAggregator{Sources: recorded, Log: logs[1]}, agencies[:1]}, {fanoutName, &rig.BareAggregator{Sources: plain}, agencies}} {
		address, stop, err := rig.ServeBare(rig.MutualTLS(w.recipient.Serving, w.recipient.CA), func(s *grpc.Server) { gatewayv1.RegisterQueryServiceServer(s, x.of) })
		if err != nil {
			return err
		}
		w.later(func() error { stop(); return nil })
		if err := w.add(target{Name: x.name, Kind: kindUsers, Address: address, Agencies: x.at}, users, w.recipient.CA); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) bareSource(s *rig.BareSource, of *rig.Agency, credential *certificate) (string, gatewayv1.SourceServiceClient, error) {
	address, stop, err := rig.ServeBare(rig.MutualTLS(of.Own, of.CA), func(g *grpc.Server) { gatewayv1.RegisterSourceServiceServer(g, s) })
	if err != nil {
		return "", nil, err
	}
	w.later(func() error { stop(); return nil })
	conn, err := rig.Dial(address, credential, of.CA.Certificate, false)
	if err != nil {
		return "", nil, err
	}
	w.later(conn.Close)
	return address, gatewayv1.NewSourceServiceClient(conn), nil
}

func (w *world) pool(ctx context.Context, database string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(w.postgres.URL(database, login, password))
	if err != nil {
		return nil, err
	}
	config.MaxConns = connections
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err == nil {
		w.later(func() error { pool.Close(); return nil })
	}
	return pool, err
}

// credential of the recipient under its agreement with the first source.
func (w *world) credential() (*certificate, error) {
	a := w.sources[0]
	return a.CA.Issue(identity.AgreementID(a.Party.TrustDomain, agreementOf(a), w.recipient.Party.Agency))
}

// startREST starts three REST servers over TLS, each over its database, and lura before them.
func (w *world) startREST(ctx context.Context) error {
	ca, err := rig.NewAuthority("rest.example")
	if err != nil {
		return err
	}
	var hosts []string
	for _, name := range agencies {
		pool, err := w.pool(ctx, name)
		if err != nil {
			return err
		}
		own, err := ca.Issue("")
		if err != nil {
			return err
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s := &http.Server{Handler: restPeople(pool), TLSConfig: rig.MutualTLS(own, ca), ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = s.ServeTLS(ln, "", "") }()
		w.later(s.Close)
		hosts = append(hosts, "https://"+ln.Addr().String())
	}
	if w.lura, err = startLura(ctx, w.dir, ca, hosts); err != nil {
		return err
	}
	w.later(w.lura.stop)
	user, err := ca.Issue("")
	if err != nil {
		return err
	}
	return w.add(target{Name: luraName, Kind: kindHTTP, Address: w.lura.address, Agencies: agencies}, user, ca)
}

// restPeople answers GET /people?nr=….
func restPeople(pool *pgxpool.Pool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /people", func(rw http.ResponseWriter, r *http.Request) {
		var out struct {
			PersonNumber string `json:"person_number"`
			BirthDate    string `json:"birth_date"`
		}
		var born time.Time
		row := pool.QueryRow(context.WithoutCancel(r.Context()), `SELECT nr, born FROM people WHERE nr = $1`, r.URL.Query().Get("nr"))
		if err := row.Scan(&out.PersonNumber, &born); err != nil {
			http.Error(rw, err.Error(), http.StatusNotFound)
			return
		}
		out.BirthDate = born.Format(time.DateOnly)
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(out)
	})
	return mux
}

// startForeign makes the database that sees the tables of the three.
func (w *world) startForeign(ctx context.Context) error {
	// The server's own user must be able to read it.
	ca, authority := w.postgres.CAFile(), filepath.Join(w.postgres.SocketDir(), "sources-ca.pem")
	b, err := os.ReadFile(ca)
	if err == nil {
		err = os.WriteFile(authority, b, 0o644)
	}
	if err != nil {
		return err
	}
	sql := []string{"CREATE EXTENSION postgres_fdw"}
	var parts []string
	for i, name := range agencies {
		server, table := fmt.Sprintf("server_%d", i), fmt.Sprintf("people_%d", i)
		sql = append(sql,
			fmt.Sprintf("CREATE SERVER %s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '%d', dbname '%s', sslmode 'verify-full', sslrootcert '%s', async_capable 'true')",
				server, w.postgres.Port(), name, authority),
			// The server shows no certificate to itself; libpq would look for one in the home folder of whoever started it.
			fmt.Sprintf("CREATE USER MAPPING FOR %s SERVER %s OPTIONS (user '%s', password '%s', sslcert '%s.none', sslkey '%s.none')", login, server, login, password, authority, authority),
			fmt.Sprintf("CREATE FOREIGN TABLE %s (nr text, born date) SERVER %s OPTIONS (table_name 'people')", table, server),
			fmt.Sprintf("GRANT SELECT ON %s TO %s", table, login))
		parts = append(parts, fmt.Sprintf("SELECT '%s' AS agency, nr, born FROM %s WHERE nr = $1", name, table))
	}
	if err := w.postgres.Exec(ctx, hub, strings.Join(sql, ";\n")); err != nil {
		return err
	}
	w.targets = append(w.targets, target{
		Name: fdwName, Kind: kindSQL, Agencies: agencies,
		Address: w.postgres.URL(hub, login, password), SQL: strings.Join(parts, " UNION ALL "),
	})
	return nil
}
