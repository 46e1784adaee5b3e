package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/entente-dev/entente/gateway"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/hack/bench/rig"
	"github.com/entente-dev/entente/hack/testenv"
)

const (
	people    = 100_000
	agreement = "agr"
	purpose   = "entente:trafficking-investigation"
	password  = "only-on-loopback"
)

// tables are what the source has, and the login that a source credential is: it may read the agreed columns.
const tables = `
CREATE TABLE people (nr text PRIMARY KEY, family text, given text, born date, secret text);
INSERT INTO people SELECT 'P' || lpad(i::text, 6, '0'), 'f' || i % 10, 'given', date '1950-01-01' + i % 20000, 'secret' FROM generate_series(0, 99999) i;
VACUUM ANALYZE people;
CREATE ROLE reader LOGIN PASSWORD '` + password + `';
GRANT SELECT (nr, family, born) ON people TO reader;
`

// world is everything that runs.
type world struct {
	postgres          *testenv.Postgres
	source, recipient *rig.Agency
	bare              *bare
	// credential of the recipient under the agreement, and certificate of its user.
	credential, user *tls.Certificate
}

func startWorld(ctx context.Context, dir string) (w *world, err error) {
	gateway.TuneRuntime() // of all targets: they are one process
	w = &world{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stop())
		}
	}()
	if w.postgres, err = testenv.StartPostgres(ctx, testenv.PostgresOptions{Progress: io.Discard}); err != nil {
		return w, err
	}
	// One after the other: VACUUM runs in no transaction.
	for _, sql := range statements(tables) {
		if err = w.postgres.Exec(ctx, "postgres", sql); err != nil {
			return w, err
		}
	}
	ca, err := os.ReadFile(w.postgres.CAFile())
	if err != nil {
		return w, err
	}
	if w.source, err = rig.StartAgency("source", dir, nil, "reader", password); err != nil {
		return w, err
	}
	if w.recipient, err = rig.StartAgency("recipient", dir, &rig.Exchange{Sources: []*rig.Agency{w.source}}, "reader", password); err != nil {
		return w, err
	}
	target := &route.PostgreSQL{Host: "127.0.0.1", Port: int32(w.postgres.Port()), Database: "postgres", SSLMode: "verify-full", CABundle: string(ca), Role: "reader"}
	retention := int64(30)
	clause := route.Clause{
		Name: "persons", Recipients: []route.Recipient{{Party: w.recipient.Party}}, Purposes: []string{purpose}, Granularity: "Records",
		Source: route.Peer{Party: w.source.Party, Gateway: w.source.Addrs.Peer, TrustBundle: w.source.CA.PEM()},
		Schema: route.Schema{Name: "person", Version: 1, Digest: "sha256:person", Fields: []route.Field{
			{Name: "person_number", Type: "string"}, {Name: "family_name", Type: "string"}, {Name: "birth_date", Type: "date"}, {Name: "note", Type: "string"},
		}},
		Fields: []string{"person_number", "birth_date"}, FilterFields: []string{"person_number", "family_name", "birth_date"},
		RequireSelectors: [][]string{{"person_number"}, {"family_name", "birth_date"}}, CaseReference: `SP-[0-9]{4}-[0-9]+`, RecordsPerQuery: 100,
		Obligations: route.Obligations{Redisclosure: "Prohibited", RetentionDays: &retention},
		Datasets: []route.Dataset{{
			Name: "people", Relation: "people", PostgreSQL: target, SubjectKey: "person_number",
			Columns: map[string]string{"person_number": "nr", "family_name": "family", "birth_date": "born"},
		}},
	}
	for _, a := range []*rig.Agency{w.source, w.recipient} {
		if err = a.Agree(agreement, clause); err != nil {
			return w, err
		}
	}
	if w.credential, err = w.source.CA.Issue(identity.AgreementID(w.source.Party.TrustDomain, agreement, w.recipient.Party.Agency)); err != nil {
		return w, err
	}
	if w.user, err = w.recipient.CA.Issue(""); err != nil {
		return w, err
	}
	// The bare server runs the very statement that the gateway does: it is asked for once, and PostgreSQL says what it ran.
	if err = firstLookup(w); err != nil {
		return w, fmt.Errorf("governed look-up: %w", err)
	}
	sql, err := rig.LastStatement(ctx, w.postgres.AdminURL("postgres"), "entente "+agreement)
	if err != nil {
		return w, err
	}
	w.bare, err = startBare(ctx, w, dir, w.postgres.URL("postgres", "reader", password), sql)
	return w, err
}

func (w *world) stop() error {
	var errs []error
	if w.bare != nil {
		errs = append(errs, w.bare.stop())
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
