package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	_ "modernc.org/sqlite" // the driver

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/vault"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/httpclient"
	"github.com/entente-dev/entente/gateway/source/postgres"
	"github.com/entente-dev/entente/gateway/source/trino"
	gwvault "github.com/entente-dev/entente/gateway/vault"
	"github.com/entente-dev/entente/internal/datasetcheck"
)

// sourceLogin is how a command reaches the source of a dataset, as whom.
type sourceLogin struct {
	dsn, username, base, secretDir string
	mounts                         gwvault.Mounts
}

func (l *sourceLogin) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVarP(&l.username, "username", "U", "", "user to log in as at the PostgreSQL server that the dataset names (default: one that Vault makes)")
	fl.StringVar(&l.dsn, "dsn", "", "how to connect to PostgreSQL instead, as psql takes it: host=… dbname=… user=…")
	fl.StringVar(&l.mounts.Prefix, "vault-mount-prefix", gwvault.DefaultPrefix, "where the agency's mounts are in Vault")
	fl.StringVar(&l.base, "base-dir", "", "folder that the relative path of an SQLite file starts from (default: --config, else the working directory)")
	fl.StringVar(&l.secretDir, "secret-dir", "", "folder with your own login to Trino: a file token, username and password, or certificate and key (default: secrets/<dataset> in --config)")
	cmd.MarkFlagsMutuallyExclusive("username", "dsn")
}

// check asks the source.
func (l *sourceLogin) check(ctx context.Context, d *v1alpha1.Dataset, s *v1alpha1.ExchangeSchema) (*datasetcheck.Report, error) {
	switch {
	case d.Spec.Source.SQLite != nil:
		return l.sqlite(ctx, d, s)
	case d.Spec.Source.Trino != nil:
		return l.trino(ctx, d, s)
	}
	if l.dsn != "" || l.username != "" {
		return l.postgresql(ctx, d, s)
	}
	// An operator that reads the same catalogue at this very moment ends all users of the probe's role.
	r, err := l.postgresql(ctx, d, s)
	if errors.Is(err, source.ErrUnavailable) {
		r, err = l.postgresql(ctx, d, s)
	}
	return r, err
}

func (l *sourceLogin) postgresql(ctx context.Context, d *v1alpha1.Dataset, s *v1alpha1.ExchangeSchema) (*datasetcheck.Report, error) {
	conn, err := l.connect(ctx, d)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	r, err := datasetcheck.PostgreSQL(ctx, conn, d, s)
	if err != nil && conn.IsClosed() {
		err = fmt.Errorf("%w: %w", source.ErrUnavailable, err)
	}
	return r, err
}

func (l *sourceLogin) connect(ctx context.Context, d *v1alpha1.Dataset) (*pgx.Conn, error) {
	if l.dsn != "" {
		conn, err := pgx.Connect(ctx, l.dsn)
		if err != nil {
			return nil, errors.New("the database cannot be connected to: check --dsn, and PGPASSWORD or ~/.pgpass") // the driver's words may have the password
		}
		return conn, nil
	}
	pg := d.Spec.Source.PostgreSQL
	target := route.PostgreSQL{
		Host: pg.Host, Port: cmp.Or(pg.Port, 5432), Database: pg.Database, SSLMode: cmp.Or(pg.SSLMode, "verify-full"), CABundle: pg.CABundle,
	}
	login := l.probe
	if l.username != "" {
		login = l.own
	}
	credential, who, err := login(ctx, d, target)
	if err != nil {
		return nil, err
	}
	conn, err := postgres.Connect(ctx, target, credential, d.Name)
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", who, net.JoinHostPort(target.Host, strconv.Itoa(int(target.Port))), err)
	}
	return conn, nil
}

// own is the login of whoever runs the command. The driver knows where psql looks for its password.
func (l *sourceLogin) own(_ context.Context, _ *v1alpha1.Dataset, t route.PostgreSQL) (c postgres.Credential, who string, err error) {
	u := url.URL{Scheme: "postgres", User: url.User(l.username), Host: net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))), Path: "/" + t.Database, RawQuery: "sslmode=disable"}
	parsed, err := pgx.ParseConfig(u.String())
	if err != nil {
		return c, "", errors.New("the password of --username cannot be looked up: check PGPASSFILE and the other PG… variables")
	}
	return postgres.Credential{Username: l.username, Password: parsed.Password}, "--username " + l.username + ", with the password of PGPASSWORD or ~/.pgpass,", nil
}

// probe is a user that Vault makes, with the rights of whoever runs the command at Vault.
func (l *sourceLogin) probe(ctx context.Context, d *v1alpha1.Dataset, _ route.PostgreSQL) (c postgres.Credential, who string, err error) {
	role := vault.ProbeRole(d.Spec.Source.PostgreSQL.VaultConnection)
	path := l.mounts.Database() + "/creds/" + role
	if os.Getenv("VAULT_ADDR") == "" {
		return c, "", fmt.Errorf("say who logs in to the database of dataset %s: --username (PGPASSWORD or ~/.pgpass), --dsn, or VAULT_ADDR and a token that may read %s", d.Name, path)
	}
	session, err := gwvault.NewSession(gwvault.Config{TokenPath: personalTokenFile(), Mounts: l.mounts, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return c, "", err
	}
	made, err := session.SourceCredential(ctx, role)
	switch {
	case errors.Is(err, gwvault.ErrDenied):
		return c, "", fmt.Errorf("your token may not read %s: ask for a policy that lets it, or use --username: %w", path, err)
	case errors.Is(err, gwvault.ErrInvalid), errors.Is(err, gwvault.ErrNotFound):
		return c, "", fmt.Errorf("the operator makes that role when it first reads the catalogue: see condition SourceReachable of dataset %s and --vault-mount-prefix, or use --username: %w", d.Name, err)
	case err != nil:
		return c, "", err
	}
	return postgres.Credential(made), "the user that Vault made", nil
}

func (l *sourceLogin) sqlite(ctx context.Context, d *v1alpha1.Dataset, s *v1alpha1.ExchangeSchema) (*datasetcheck.Report, error) {
	path := d.Spec.Source.SQLite.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.base, path)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("dataset %s: its file is looked for on this machine (--base-dir): %w", d.Name, err)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.ToSlash(absolute), RawQuery: "mode=ro"}).String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	return datasetcheck.SQLite(ctx, db, d, s)
}

// trino asks Trino with a login of one's own: that of the gateway is nobody else's, and no other can be made.
func (l *sourceLogin) trino(ctx context.Context, d *v1alpha1.Dataset, s *v1alpha1.ExchangeSchema) (*datasetcheck.Report, error) {
	if l.secretDir == "" {
		return nil, fmt.Errorf("say who logs in to Trino for dataset %s: --secret-dir, a folder with a file token, username and password, or certificate and key (mode 600)", d.Name)
	}
	t := d.Spec.Source.Trino
	pool := httpclient.NewPool(httpclient.Options{Secrets: func(context.Context, string) (httpclient.Secret, error) { return httpclient.ReadSecret(l.secretDir) }})
	reader := trino.New(trino.Options{Pool: pool})
	defer func() { _ = reader.Close() }()
	target := &route.Trino{Host: t.Host, Port: cmp.Or(t.Port, 443), Catalog: t.Catalog, HTTPAccess: route.HTTPAccess{CABundle: t.CABundle, TimeoutSeconds: 15}}
	for _, a := range t.Authentication {
		target.Authentication = append(target.Authentication, string(a))
	}
	columns, err := reader.Columns(ctx, &route.Dataset{Name: d.Name, Relation: d.Spec.Relation, Trino: target})
	if err != nil {
		return nil, err
	}
	return datasetcheck.Trino(columns, d, s)
}
