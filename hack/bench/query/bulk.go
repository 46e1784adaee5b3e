package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/metadata"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/hack/bench/rig"
	"github.com/entente-dev/entente/hack/testenv"
)

// bulkOptions of the comparison of large answers.
type bulkOptions struct {
	rows, rounds int
	// dir for the logs, on a disk; profiles: where the CPU profile of each target's last round goes, if anywhere.
	dir, profiles string
}

// bulkResults are the medians of paired rounds.
type bulkResults struct {
	Rows, Rounds int
	Targets      []bulkTarget
	// Ratios of rows a second to those of COPY of the same statement, and of COPY without its order, in the same round.
	Ratios []bulkRatio
}

type bulkTarget struct {
	Target        string
	Seconds       rig.Spread
	ProcessMillis rig.Spread // CPU of this process: gateways, and whoever asks
	ServerMillis  rig.Spread // CPU of PostgreSQL
	MiB           float64    // that came, before TLS
}

type bulkRatio struct {
	Name     string
	Ratio    rig.Spread
	CPU      rig.Spread // of CPU time
	Promised float64    `json:",omitempty"`
}

// The targets of a large answer, and what they are called together; see doc.go.
const (
	bulkName        = "bulk"
	copyName        = "copy"
	copyPlainName   = "copy-unordered"
	bulkSource      = "bulk-source"
	bulkSourcePlain = "bulk-source-records"
	bulkQuery       = "bulk-query"
	bulkQueryPlain  = "bulk-query-records"
)

const bulkAgreement = "bulk"

// bulkTables are what the source has, and the login that a source credential is.
const bulkTables = `
CREATE TABLE wages (nr text PRIMARY KEY, family text, given text, born date, wage numeric(10,2), grade bigint, active boolean, seen timestamptz);
INSERT INTO wages SELECT 'P' || lpad(i::text, 7, '0'), 'family' || i % 5000, 'given' || i % 300, date '1950-01-01' + i % 20000,
	(i % 900000)::numeric / 100, i % 40, i % 3 = 0, timestamptz '2026-01-01' + i * interval '7 seconds' FROM generate_series(0, $rows - 1) i;
VACUUM ANALYZE wages;
CREATE ROLE payroll LOGIN PASSWORD 'only-on-loopback';
GRANT SELECT (nr, family, given, born, wage, grade, active, seen) ON wages TO payroll;
`

type bulkWorld struct {
	options           bulkOptions
	postgres          *testenv.Postgres
	server            rig.ServerCPU
	source, recipient *rig.Agency
	copies            *pgx.Conn
	sql               string // that the gateway ran, its values written out
	peer              gatewayv1.SourceServiceClient
	user              gatewayv1.QueryServiceClient
	fields            []string
}

// runBulk compares an answer of many rows, through one gateway and through two, with COPY of the same statement by pgx, over TLS with
// the same login. Rounds are paired, and their order changes.
func runBulk(ctx context.Context, o bulkOptions) (r *bulkResults, err error) {
	w := &bulkWorld{options: o, fields: []string{"person_number", "family_name", "given_name", "birth_date", "wage", "grade", "active", "seen"}}
	defer func() { err = errors.Join(err, w.stop()) }()
	if err := w.start(ctx); err != nil {
		return nil, err
	}
	targets := []struct {
		name string
		run  func(context.Context) (bytes int64, err error)
	}{
		{copyName, func(ctx context.Context) (int64, error) { return w.copy(ctx, w.sql) }},
		{copyPlainName, func(ctx context.Context) (int64, error) {
			plain, _, _ := strings.Cut(w.sql, " ORDER BY ")
			return w.copy(ctx, plain)
		}},
		{bulkSource, func(ctx context.Context) (int64, error) { return w.retrieve(arrow(ctx)) }},
		{bulkSourcePlain, w.retrieve},
		{bulkQuery, func(ctx context.Context) (int64, error) { return w.query(arrow(ctx)) }},
		{bulkQueryPlain, w.query},
	}
	seconds, process, server := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	size := map[string]int64{}
	for round := range o.rounds + 1 { // the first warms up
		for i := range targets {
			at := (i + round) % len(targets)
			if round%2 == 1 {
				at = len(targets) - 1 - at
			}
			t := targets[at]
			runtime.GC()
			before, err := w.server.Read()
			if err != nil {
				return nil, err
			}
			stop, err := w.profile(t.name, round)
			if err != nil {
				return nil, err
			}
			cpu, began := rig.CPUTime(), time.Now()
			n, err := t.run(ctx)
			took := time.Since(began)
			cpu = rig.CPUTime() - cpu
			stop()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			postgres, err := w.server.Since(before)
			if err != nil {
				return nil, err
			}
			if size[t.name] = n; round == 0 {
				continue
			}
			seconds[t.name] = append(seconds[t.name], took.Seconds())
			process[t.name] = append(process[t.name], cpu.Seconds()*1000)
			server[t.name] = append(server[t.name], postgres.Seconds()*1000)
		}
		fmt.Fprintf(os.Stderr, "bulk: round %d of %d\n", round, o.rounds)
	}
	r = &bulkResults{Rows: o.rows, Rounds: o.rounds}
	for _, t := range targets {
		r.Targets = append(r.Targets, bulkTarget{t.name, rig.SpreadOf(seconds[t.name]), rig.SpreadOf(process[t.name]), rig.SpreadOf(server[t.name]), float64(size[t.name]) / (1 << 20)})
	}
	for _, to := range []string{copyName, copyPlainName} {
		for _, of := range []string{bulkSource, bulkSourcePlain, bulkQuery, bulkQueryPlain} {
			var ratios, cpus []float64
			for i := range seconds[of] {
				ratios = append(ratios, seconds[to][i]/seconds[of][i])
				cpus = append(cpus, (process[of][i]+server[of][i])/(process[to][i]+server[to][i]))
			}
			x := bulkRatio{Name: of + " / " + to, Ratio: rig.SpreadOf(ratios), CPU: rig.SpreadOf(cpus)}
			if to == copyName && (of == bulkSource || of == bulkQuery) {
				x.Promised = 0.5
			}
			r.Ratios = append(r.Ratios, x)
		}
	}
	return r, nil
}

// profile of the last round.
func (w *bulkWorld) profile(name string, round int) (stop func(), err error) {
	if w.options.profiles == "" || round != w.options.rounds {
		return func() {}, nil
	}
	f, err := os.Create(filepath.Join(w.options.profiles, name+".prof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); _ = f.Close() }, nil
}

func (r *bulkResults) print() {
	fmt.Printf("\n%d rows, %d rounds\n%-22s %18s %22s %22s %10s\n", r.Rows, r.Rounds, "target", "s (least to most)", "this process' CPU ms", "PostgreSQL's CPU ms", "MiB")
	for _, t := range r.Targets {
		fmt.Printf("%-22s %5.2f (%5.2f to %5.2f) %20.0f %22.0f %10.1f\n", t.Target, t.Seconds.Median, t.Seconds.Least, t.Seconds.Most, t.ProcessMillis.Median, t.ServerMillis.Median, t.MiB)
	}
	fmt.Printf("\n%-38s %8s %17s %8s %9s\n", "rows/s, paired", "ratio", "least to most", "CPU", "promised")
	for _, x := range r.Ratios {
		promised := ""
		if x.Promised > 0 {
			promised = fmt.Sprintf("≥ %.2f", x.Promised)
		}
		fmt.Printf("%-38s %8.2f %8.2f to %5.2f %8.2f %9s\n", x.Name, x.Ratio.Median, x.Ratio.Least, x.Ratio.Most, x.CPU.Median, promised)
	}
}

func (w *bulkWorld) start(ctx context.Context) (err error) {
	if w.postgres, err = testenv.StartPostgres(ctx, testenv.PostgresOptions{Progress: io.Discard}); err != nil {
		return err
	}
	for sql := range strings.SplitSeq(strings.ReplaceAll(bulkTables, "$rows", strconv.Itoa(w.options.rows)), ";\n") {
		if sql = strings.TrimSpace(sql); sql == "" {
			continue
		}
		if err := w.postgres.Exec(ctx, "postgres", sql); err != nil {
			return err
		}
	}
	ca, err := os.ReadFile(w.postgres.CAFile())
	if err != nil {
		return err
	}
	if w.source, err = rig.StartAgency("bulk-source", w.options.dir, nil, "payroll", "only-on-loopback"); err != nil {
		return err
	}
	if w.recipient, err = rig.StartAgency("recipient", w.options.dir, &rig.Exchange{Sources: []*rig.Agency{w.source}}, "payroll", "only-on-loopback"); err != nil {
		return err
	}
	schema := route.Schema{Name: "wage", Version: 1, Digest: "sha256:wage", Fields: []route.Field{
		{Name: "person_number", Type: "string"}, {Name: "family_name", Type: "string"}, {Name: "given_name", Type: "string"}, {Name: "birth_date", Type: "date"},
		{Name: "wage", Type: "decimal"}, {Name: "grade", Type: "int"}, {Name: "active", Type: "bool"}, {Name: "seen", Type: "timestamp"},
	}}
	clause := route.Clause{
		Name: "wages", Recipients: []route.Recipient{{Party: w.recipient.Party}}, Purposes: []string{bulkPurpose}, Granularity: "Records", Schema: schema,
		Source: route.Peer{Party: w.source.Party, Gateway: w.source.Addrs.Peer, TrustBundle: w.source.CA.PEM()},
		Fields: w.fields, FilterFields: w.fields, RecordsPerQuery: int64(w.options.rows) + 1, Obligations: route.Obligations{Redisclosure: "Prohibited"},
		Datasets: []route.Dataset{{
			Name: "wages", Relation: "wages", SubjectKey: "person_number",
			PostgreSQL: &route.PostgreSQL{Host: "127.0.0.1", Port: int32(w.postgres.Port()), Database: "postgres", SSLMode: "verify-full", CABundle: string(ca), Role: "payroll"},
			Columns:    map[string]string{"person_number": "nr", "family_name": "family", "given_name": "given", "birth_date": "born", "wage": "wage", "grade": "grade", "active": "active", "seen": "seen"},
		}},
	}
	for _, a := range []*rig.Agency{w.source, w.recipient} {
		if err := a.Agree(bulkAgreement, clause); err != nil {
			return err
		}
	}
	if err := w.connect(ctx); err != nil {
		return err
	}
	// COPY gets the very statement that the gateway runs: PostgreSQL says what it was.
	if _, err := w.retrieve(arrow(ctx)); err != nil {
		return fmt.Errorf("governed: %w", err)
	}
	admin, err := pgx.Connect(ctx, w.postgres.AdminURL("postgres"))
	if err != nil {
		return err
	}
	defer admin.Close(ctx)
	if err := admin.QueryRow(ctx, `SELECT query FROM pg_stat_activity WHERE application_name = 'entente `+bulkAgreement+`' AND query LIKE 'SELECT %' LIMIT 1`).Scan(&w.sql); err != nil {
		return err
	}
	w.sql = strings.ReplaceAll(w.sql, "$1::int8", strconv.Itoa(w.options.rows+2))
	if strings.Contains(w.sql, "$") {
		return fmt.Errorf("the statement has other values than the limit: %s", w.sql)
	}
	return nil
}

const bulkPurpose = "entente:payroll-check"

func (w *bulkWorld) connect(ctx context.Context) (err error) {
	if w.server, err = rig.FindPostmaster(w.postgres.SocketDir()); err != nil {
		return err
	}
	if w.copies, err = pgx.Connect(ctx, w.postgres.URL("postgres", "payroll", "only-on-loopback")); err != nil {
		return err
	}
	var credential, user *tls.Certificate
	if credential, err = w.source.CA.Issue(identity.AgreementID(w.source.Party.TrustDomain, bulkAgreement, w.recipient.Party.Agency)); err != nil {
		return err
	}
	if user, err = w.recipient.CA.Issue(""); err != nil {
		return err
	}
	toSource, err := rig.Dial(w.source.Addrs.Peer, credential, w.source.CA.Certificate, false)
	if err != nil {
		return err
	}
	toRecipient, err := rig.Dial(w.recipient.Addrs.GRPC, user, w.recipient.CA.Certificate, true)
	if err != nil {
		return err
	}
	w.peer, w.user = gatewayv1.NewSourceServiceClient(toSource), gatewayv1.NewQueryServiceClient(toRecipient)
	return nil
}

func (w *bulkWorld) stop() error {
	var errs []error
	if w.copies != nil {
		errs = append(errs, w.copies.Close(context.Background()))
	}
	for _, a := range []*rig.Agency{w.recipient, w.source} {
		if a != nil && a.Stop != nil {
			errs = append(errs, a.Stop())
		}
	}
	if w.postgres != nil {
		errs = append(errs, w.postgres.Stop())
	}
	return errors.Join(errs...)
}

// arrow says that the caller reads columns.
func arrow(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, columns.Header, columns.Encoding)
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

func (w *bulkWorld) copy(ctx context.Context, sql string) (int64, error) {
	var c counter
	tag, err := w.copies.PgConn().CopyTo(ctx, &c, "COPY ("+sql+") TO STDOUT")
	if err == nil && tag.RowsAffected() != int64(w.options.rows) {
		err = fmt.Errorf("%d rows", tag.RowsAffected())
	}
	return int64(c), err
}

// retrieve asks the source's gateway for everything.
func (w *bulkWorld) retrieve(ctx context.Context) (size int64, err error) {
	stream, err := w.peer.Retrieve(ctx, &gatewayv1.RetrieveRequest{
		DisclosureId: uuid.Must(uuid.NewV7()).String(), Agreement: bulkAgreement, Version: 1, Clause: "wages", Schema: "wage.v1", Fields: w.fields,
		Granularity: gatewayv1.Granularity_GRANULARITY_RECORDS, Purpose: bulkPurpose, Justification: &gatewayv1.Justification{}, User: "AAAAAAAAAAAAAAAAAAAAAA",
	})
	if err != nil {
		return 0, err
	}
	var result *gatewayv1.SourceStatus
	got := int64(0)
	for {
		f, err := stream.Recv()
		if err == io.EOF {
			return size, w.whole(got, result)
		}
		if err != nil {
			return 0, err
		}
		n, bytes, err := rowsOf(f.GetRecords(), f.GetArrow())
		if err != nil {
			return 0, err
		}
		got, size, result = got+n, size+bytes, f.GetResult()
	}
}

// query asks the recipient's gateway for everything.
func (w *bulkWorld) query(ctx context.Context) (size int64, err error) {
	stream, err := w.user.Query(ctx, &gatewayv1.QueryRequest{Schema: "wage", Fields: w.fields, Purpose: bulkPurpose, Justification: &gatewayv1.Justification{}})
	if err != nil {
		return 0, err
	}
	var result *gatewayv1.SourceStatus
	got := int64(0)
	for {
		f, err := stream.Recv()
		if err == io.EOF {
			return size, w.whole(got, result)
		}
		if err != nil {
			return 0, err
		}
		n, bytes, err := rowsOf(f.GetRecords(), f.GetArrow())
		if err != nil {
			return 0, err
		}
		got, size = got+n, size+bytes
		if f.GetSource() != nil {
			result = f.GetSource()
		}
	}
}

// rowsOf counts the rows of a frame, as whoever uses them would find them.
func rowsOf(b *gatewayv1.RecordBatch, data []byte) (rows, size int64, err error) {
	for _, r := range b.GetRecords() {
		for _, v := range r.GetValues() {
			size += int64(len(v.GetText()))
		}
	}
	if len(data) == 0 {
		return int64(len(b.GetRecords())), size, nil
	}
	c, err := columns.Decode(data, nil)
	if err != nil {
		return 0, 0, err
	}
	return int64(c.Rows()), int64(len(data)), nil
}

func (w *bulkWorld) whole(rows int64, result *gatewayv1.SourceStatus) error {
	if rows != int64(w.options.rows) || result.GetOutcome() != gatewayv1.Outcome_OUTCOME_OK {
		return fmt.Errorf("%d rows; %v", rows, result)
	}
	return nil
}
