// Package vaulttest gives tests an agency on a real Vault and a real PostgreSQL, set up by bootstrap.
package vaulttest

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/entente-dev/entente/controllers/vault"
	"github.com/entente-dev/entente/controllers/vault/bootstrap"
	gwvault "github.com/entente-dev/entente/gateway/vault"
	"github.com/entente-dev/entente/hack/testenv"
)

// Servers are a Vault and a PostgreSQL that the tests of a package share.
type Servers struct {
	Vault    *testenv.Vault
	Postgres *testenv.Postgres
}

var servers *Servers

// Main runs the tests of a package with servers, which under -short are not started. Call it from TestMain.
func Main(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		if testing.Short() {
			return m.Run()
		}
		s, err := start(context.Background())
		if s != nil {
			defer s.stop()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		servers = s
		return m.Run()
	}())
}

func start(ctx context.Context) (*Servers, error) {
	s := &Servers{}
	var err error
	if s.Vault, err = testenv.StartVault(ctx, testenv.VaultOptions{}); err != nil {
		return s, err
	}
	s.Postgres, err = testenv.StartPostgres(ctx, testenv.PostgresOptions{NoSync: true})
	return s, err
}

func (s *Servers) stop() {
	if s.Vault != nil {
		_ = s.Vault.Stop()
	}
	if s.Postgres != nil {
		_ = s.Postgres.Stop()
	}
}

// New makes an agency of a name that no other test of the package has, on the servers of Main; nothing is in Vault yet. The test
// is skipped under -short.
func New(t testing.TB, name string) *Agency {
	t.Helper()
	if servers == nil {
		t.Skip("needs Vault and PostgreSQL: not under -short")
	}
	return servers.NewAgency(t, name)
}

// NewBootstrapped is New, and Vault set up.
func NewBootstrapped(t testing.TB, name string) *Agency {
	t.Helper()
	return New(t, name).Bootstrap(t)
}

// Agency is an agency on these servers: mounts with a prefix and a database of its own.
type Agency struct {
	*Servers
	Name    string
	Options bootstrap.Options
	// Root acts as the person who bootstraps, Operator and Gateway with exactly the rights of those.
	Root, Operator, Gateway *gwvault.Session
	// Client is the operator's.
	Client *vault.Client
}

// TrustDomain of the agency.
func (a *Agency) TrustDomain() string { return a.Options.TrustDomain }

// Connection is the name of its only database connection.
const Connection = "records"

// Relations are made in each agency's database, owned by an admin that is no superuser.
const relations = `
CREATE TABLE public.people (id bigint PRIMARY KEY, name text, born date, ssn text);
INSERT INTO public.people SELECT i, 'name '||i, date '1970-01-01' + i, 'ssn '||i FROM generate_series(1, 5000) i;
CREATE SCHEMA files;
CREATE TABLE files."Wages$" ("Amount" numeric, person bigint);
CREATE TABLE public.open_to_all (id bigint, secret text);
GRANT SELECT ON public.open_to_all TO PUBLIC;
`

// NewAgency makes a database with an admin, and options for bootstrap.
func (s *Servers) NewAgency(t testing.TB, name string) *Agency {
	t.Helper()
	ctx := t.Context()
	admin, password := strings.ReplaceAll(name, "-", "_")+"_admin", "first password of "+name
	for _, q := range []string{
		fmt.Sprintf(`CREATE ROLE %s LOGIN CREATEROLE PASSWORD '%s'`, admin, password),
		fmt.Sprintf(`GRANT pg_signal_backend TO %s`, admin),
		fmt.Sprintf(`CREATE DATABASE "%s" OWNER %s`, name, admin),
	} {
		if err := s.Postgres.Exec(ctx, "postgres", q); err != nil {
			t.Fatal(err)
		}
	}
	db := s.Connect(t, s.Postgres.URL(name, admin, password))
	if _, err := db.Exec(ctx, relations); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(s.Postgres.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	a := &Agency{Servers: s, Name: name, Options: bootstrap.Options{
		Agency:       name,
		TrustDomain:  name + ".example.gov",
		Mounts:       gwvault.Mounts{Prefix: name},
		GatewayNames: []string{"gateway." + name + ".svc", "127.0.0.1"},
		Databases: []bootstrap.Database{{
			Name:     Connection,
			URL:      s.Postgres.VaultURL(name),
			Username: admin,
			Password: password,
			CA:       string(ca),
		}},
	}}
	a.Root = a.Session(t, s.Vault.Token())
	return a
}

// Bootstrap sets Vault up and gives the agency its sessions.
func (a *Agency) Bootstrap(t testing.TB) *Agency {
	t.Helper()
	if _, err := bootstrap.Run(t.Context(), a.Root, a.Options); err != nil {
		t.Fatal(err)
	}
	a.Operator = a.Session(t, a.token(t, gwvault.RoleOperator))
	a.Gateway = a.Session(t, a.token(t, gwvault.RoleGateway))
	var err error
	a.Client, err = vault.New(a.Operator, vault.Config{Agency: a.Name, TrustDomain: a.Options.TrustDomain})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *Agency) token(t testing.TB, role string) string {
	t.Helper()
	s, err := a.Root.Write(t.Context(), "auth/token/create", map[string]any{
		"policies":          []string{bootstrap.PolicyName(a.Name, role)},
		"no_default_policy": true,
		"ttl":               "1h",
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.Auth.ClientToken
}

// Session is a session with a token, on the agency's mounts.
func (a *Agency) Session(t testing.TB, token string) *gwvault.Session {
	t.Helper()
	s, err := gwvault.NewSession(gwvault.Config{Address: a.Vault.Address(), CACert: a.Vault.CAFile(), Mounts: a.Options.Mounts, Token: token, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Login gives a connection as the user of a source credential.
func (a *Agency) Login(t testing.TB, c gwvault.Credential) (*pgx.Conn, error) {
	t.Helper()
	return pgx.Connect(t.Context(), a.Postgres.URL(a.Name, c.Username, c.Password))
}

// Superconn is a superuser's connection to the agency's database.
func (a *Agency) Superconn(t testing.TB) *pgx.Conn {
	t.Helper()
	return a.Connect(t, a.Postgres.AdminURL(a.Name))
}

// Connect opens a connection that the end of the test closes.
func (s *Servers) Connect(t testing.TB, conn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = c.Close(ctx)
	})
	return c
}
