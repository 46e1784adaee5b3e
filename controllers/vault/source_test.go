package vault_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/vault"
	"github.com/entente-dev/entente/controllers/vault/vaulttest"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

func sourceCredential(agreement, dataset, relation string, columns ...string) compile.Credential {
	return compile.Credential{
		Agreement: agreement,
		Role:      compile.SourceRole(agreement, dataset),
		NotAfter:  time.Now().Add(24 * time.Hour),
		Source:    &compile.SourceCredential{Dataset: dataset, Connection: vaulttest.Connection, Relation: relation, Columns: columns},
	}
}

func sqlState(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

const (
	insufficientPrivilege = "42501"
	adminShutdown         = "57P01"
	readOnlyTransaction   = "25006"
)

// A source credential reads the agreed columns; the database itself refuses the others, and everything else.
func TestSourceCredentialReadsAgreedColumnsOnly(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "columns")
	ctx := t.Context()
	cred := sourceCredential("wage-check", "people", "people", "id", "name")
	if err := a.Client.EnsureSourceRole(ctx, cred); err != nil {
		t.Fatal(err)
	}
	c, err := a.Gateway.SourceCredential(ctx, cred.Role)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.Username, "entente-wage-check.people-") || len(c.Username) > 63 {
		t.Errorf("username %q does not show its role", c.Username)
	}
	if left := time.Until(c.Expires); left < 55*time.Minute || left > time.Hour {
		t.Errorf("expires in %s", left)
	}
	conn, err := a.Login(t, c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var name string
	if err := conn.QueryRow(ctx, `SELECT name FROM public.people WHERE id = $1`, 7).Scan(&name); err != nil || name != "name 7" {
		t.Errorf("agreed columns: %q, %v", name, err)
	}
	for what, q := range map[string]string{
		"another column":    `SELECT ssn FROM public.people`,
		"another in WHERE":  `SELECT id FROM public.people WHERE ssn = 'ssn 3'`,
		"all columns":       `SELECT * FROM public.people`,
		"another relation":  `SELECT person FROM files."Wages$"`,
		"becoming another":  `SET ROLE columns_admin`,
		"making a relation": `CREATE TABLE public.mine (i int)`,
		"writing":           `DELETE FROM public.people`,
	} {
		// What follows is not a matter of the session being read-only.
		if _, err := conn.Exec(ctx, `SET default_transaction_read_only = off`); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(ctx, q); sqlState(err) != insufficientPrivilege {
			t.Errorf("%s: %v, want permission denied", what, err)
		}
	}
	if _, err := conn.Exec(ctx, `RESET default_transaction_read_only`); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, `GRANT SELECT (name) ON public.people TO PUBLIC`); sqlState(err) != readOnlyTransaction {
		t.Errorf("by default the session is read-only: %v", err)
	}
}

// Names in mixed case and with $ are quoted.
func TestSourceCredentialQuotes(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "quotes")
	ctx := t.Context()
	cred := sourceCredential("wage-check", "wages", "files.Wages$", "Amount", "person")
	if err := a.Client.EnsureSourceRole(ctx, cred); err != nil {
		t.Fatal(err)
	}
	c, err := a.Gateway.SourceCredential(ctx, cred.Role)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := a.Login(t, c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `SELECT "Amount" FROM files."Wages$"`); err != nil {
		t.Error(err)
	}
	if err := a.Client.RevokeSourceRole(ctx, cred.Role); err != nil {
		t.Error(err)
	}
}

// Vault says why no credential can be had where the database would not keep the promise.
func TestSourceCredentialRefusedWhereGrantsCannotHold(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "refused")
	ctx := t.Context()
	su := a.Superconn(t)
	if _, err := su.Exec(ctx, `CREATE TABLE public.not_ours (id bigint)`); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		cred compile.Credential
		want string
	}{
		"everybody may read other columns":  {sourceCredential("hopeless", "open", "open_to_all", "id"), "column secret of open_to_all can be read by every user"},
		"no relation of that name":          {sourceCredential("hopeless", "none", "nothing", "id"), `relation "public.nothing" does not exist`},
		"no column of that name":            {sourceCredential("hopeless", "nocol", "people", "height"), `column "height" of relation "people" does not exist`},
		"the admin may not grant it either": {sourceCredential("hopeless", "notours", "not_ours", "id"), `permission denied for column "id" of relation "not_ours"`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := a.Client.EnsureSourceRole(ctx, tc.cred); err != nil {
				t.Fatal(err)
			}
			_, err := a.Gateway.SourceCredential(ctx, tc.cred.Role)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v\nwant %s", err, tc.want)
			}
		})
	}
	if left := usersOf(t, su, "hopeless"); len(left) > 0 {
		t.Errorf("users left behind: %v", left)
	}
}

// Names that no CRD lets through are refused here again; nothing is sent.
func TestEnsureRefusesNames(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "names")
	ctx := t.Context()
	good := sourceCredential("x", "people", "people", "id")
	for name, change := range map[string]func(*compile.Credential){
		"column":     func(c *compile.Credential) { c.Source.Columns = []string{`id") ON x TO y; --`} },
		"no columns": func(c *compile.Credential) { c.Source.Columns = nil },
		"relation":   func(c *compile.Credential) { c.Source.Relation = `a.b.c` },
		"quote":      func(c *compile.Credential) { c.Source.Relation = `a"b` },
		"connection": func(c *compile.Credential) { c.Source.Connection = "../x" },
		"role":       func(c *compile.Credential) { c.Role = "x.other" },
		"dot":        func(c *compile.Credential) { c.Agreement, c.Role = "x.y", "x.y.people" },
		"probe":      func(c *compile.Credential) { c.Agreement, c.Role = "entente_probe", "entente_probe.people" },
	} {
		c := good
		s := *good.Source
		c.Source = &s
		change(&c)
		if err := a.Client.EnsureSourceRole(ctx, c); !errors.Is(err, vault.ErrName) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := a.Client.RevokeSourceRole(ctx, "../../x"); !errors.Is(err, vault.ErrName) {
		t.Errorf("revoke: %v", err)
	}
}

// usersOf are the users that Vault made for an agreement.
func usersOf(t *testing.T, su *pgx.Conn, agreement string) []string {
	t.Helper()
	rows, err := su.Query(t.Context(), `SELECT rolname FROM pg_roles WHERE rolname LIKE 'entente-' || $1 || '.%'`, agreement)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// RevokeSourceRole ends what is open within the call: sessions, transactions, users, leases, role.
func TestRevokeSourceRoleCutsOpenTransactions(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "revoke")
	ctx := t.Context()
	cred := sourceCredential("suspended", "people", "people", "id", "name")
	if err := a.Client.EnsureSourceRole(ctx, cred); err != nil {
		t.Fatal(err)
	}
	var txs []pgx.Tx
	var users []string
	for range 3 { // as three replicas of a gateway would
		c, err := a.Gateway.SourceCredential(ctx, cred.Role)
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, c.Username)
		conn, err := a.Login(t, c)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.WithoutCancel(ctx))
		tx, err := conn.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(ctx, `DECLARE c CURSOR FOR SELECT name FROM public.people`); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(ctx, `FETCH 10 FROM c`); err != nil {
			t.Fatal(err)
		}
		txs = append(txs, tx)
	}
	// Somebody granted one of them more, which does not keep it alive.
	su := a.Superconn(t)
	if _, err := su.Exec(ctx, `GRANT SELECT ON files."Wages$" TO "`+users[0]+`"`); err != nil {
		t.Fatal(err)
	}

	roles, err := a.Client.ListRoles(ctx)
	if err != nil || len(roles.Source) != 1 || roles.Source[0] != cred.Role {
		t.Errorf("roles before: %+v, %v", roles, err)
	}

	began := time.Now()
	if err := a.Client.RevokeSourceRole(ctx, cred.Role); err != nil {
		t.Fatal(err)
	}
	t.Logf("revoking a role with 3 users in open transactions took %s", time.Since(began).Round(time.Millisecond))

	for _, tx := range txs {
		if _, err := tx.Exec(ctx, `FETCH 10 FROM c`); sqlState(err) != adminShutdown {
			t.Errorf("an open transaction goes on after revocation: %v", err)
		}
	}
	if left := usersOf(t, su, "suspended"); len(left) > 0 {
		t.Errorf("users left: %v", left)
	}
	leases, err := a.Root.List(ctx, "sys/leases/lookup/"+a.Options.Mounts.Database()+"/creds/"+cred.Role)
	if err != nil || len(leases) > 0 {
		t.Errorf("leases left: %v, %v", leases, err)
	}
	if _, err := a.Gateway.SourceCredential(ctx, cred.Role); !errors.Is(err, gwvault.ErrInvalid) {
		t.Errorf("a credential after revocation: %v", err)
	}
	if roles, err := a.Client.ListRoles(ctx); err != nil || len(roles.Source) != 0 {
		t.Errorf("roles after: %+v, %v", roles, err)
	}
	if err := a.Client.RevokeSourceRole(ctx, cred.Role); err != nil {
		t.Errorf("revoking again: %v", err)
	}
	// In force again: the role is written although it was known before.
	if err := a.Client.EnsureSourceRole(ctx, cred); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Gateway.SourceCredential(ctx, cred.Role); err != nil {
		t.Errorf("after resuming: %v", err)
	}
}

// A relation that is gone does not keep a user alive.
func TestRevokeSourceRoleWithoutRelation(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "gone")
	ctx := t.Context()
	cred := sourceCredential("x", "people", "people", "id")
	if err := a.Client.EnsureSourceRole(ctx, cred); err != nil {
		t.Fatal(err)
	}
	c, err := a.Gateway.SourceCredential(ctx, cred.Role)
	if err != nil {
		t.Fatal(err)
	}
	su := a.Superconn(t)
	if _, err := su.Exec(ctx, `DROP TABLE public.people`); err != nil {
		t.Fatal(err)
	}
	if err := a.Client.RevokeSourceRole(ctx, cred.Role); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Login(t, c); err == nil {
		t.Error("the user can still log in")
	}
}

// A user that holds what only somebody else can take away stays, but cannot log in and has no session.
func TestRevokeSourceRoleThatCannotBeDropped(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "stays")
	ctx := t.Context()
	cred := sourceCredential("x", "people", "people", "id")
	if err := a.Client.EnsureSourceRole(ctx, cred); err != nil {
		t.Fatal(err)
	}
	c, err := a.Gateway.SourceCredential(ctx, cred.Role)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := a.Login(t, c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	su := a.Superconn(t)
	if _, err := su.Exec(ctx, `CREATE TABLE public.not_ours (id bigint); GRANT SELECT ON public.not_ours TO "`+c.Username+`"`); err != nil {
		t.Fatal(err)
	}
	if err := a.Client.RevokeSourceRole(ctx, cred.Role); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, `SELECT 1`); sqlState(err) != adminShutdown {
		t.Errorf("the session goes on: %v", err)
	}
	if _, err := a.Login(t, c); err == nil {
		t.Error("the user can still log in")
	}
	if _, err := su.Exec(ctx, `DROP OWNED BY "`+c.Username+`"; DROP ROLE "`+c.Username+`"`); err != nil {
		t.Errorf("the user should be there without login: %v", err)
	}
}

// The probe's user sees which columns a relation has, and no value.
func TestProbe(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "probe")
	ctx := t.Context()
	c, err := a.Client.ProbeCredential(ctx, vaulttest.Connection)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := a.Login(t, c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, `SELECT attname FROM pg_attribute WHERE attrelid = 'public.people'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || strings.Join(columns, ",") != "id,name,born,ssn" {
		t.Errorf("columns %v, %v", columns, err)
	}
	if _, err := conn.Exec(ctx, `SELECT id FROM public.people`); sqlState(err) != insufficientPrivilege {
		t.Errorf("the probe reads values: %v", err)
	}
	if roles, err := a.Client.ListRoles(ctx); err != nil || len(roles.Source) != 0 {
		t.Errorf("the probe's role is listed as an agreement's: %+v, %v", roles, err)
	}
	if err := a.Client.RevokeProbe(ctx, vaulttest.Connection); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, `SELECT 1`); sqlState(err) != adminShutdown {
		t.Errorf("the probe's session goes on: %v", err)
	}
}

// While the database is away nothing more can be had, the error says what remains, and a later call ends it.
func TestRevokeSourceRoleWhileDatabaseIsAway(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "away")
	ctx := t.Context()
	cred := sourceCredential("x-away", "people", "people", "id")
	if err := a.Client.EnsureSourceRole(ctx, cred); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Gateway.SourceCredential(ctx, cred.Role); err != nil {
		t.Fatal(err)
	}
	if err := a.Postgres.Down(); err != nil {
		t.Fatal(err)
	}
	err := a.Client.RevokeSourceRole(ctx, cred.Role)
	if !errors.Is(err, vault.ErrLeases) {
		t.Errorf("while the database is away: %v", err)
	}
	if _, err := a.Gateway.SourceCredential(ctx, cred.Role); !errors.Is(err, gwvault.ErrInvalid) {
		t.Errorf("a credential of a role that is gone: %v", err)
	}
	// The role is gone, but a reconciler still sees that there is something to end.
	if roles, err := a.Client.ListRoles(ctx); err != nil || len(roles.Source) != 1 || roles.Source[0] != cred.Role {
		t.Errorf("roles: %+v, %v", roles, err)
	}
	if err := a.Postgres.Up(ctx); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for err = a.Client.RevokeSourceRole(ctx, cred.Role); err != nil && time.Now().Before(deadline); err = a.Client.RevokeSourceRole(ctx, cred.Role) {
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		t.Errorf("with the database back: %v", err)
	}
	if left := usersOf(t, a.Superconn(t), "x-away"); len(left) > 0 {
		t.Errorf("users left: %v", left)
	}
}

// What an operator that starts does: a read each where the roles are as they should be.
func TestEnsureManyRoles(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "many")
	ctx := t.Context()
	const n = 400
	ensure := func(c *vault.Client) time.Duration {
		t.Helper()
		began := time.Now()
		var wg sync.WaitGroup
		turn := make(chan struct{}, 32) // who waits for a turn at the session waits within the time-out of a request
		for i := range n {
			wg.Go(func() {
				turn <- struct{}{}
				defer func() { <-turn }()
				if err := c.EnsureSourceRole(ctx, sourceCredential(fmt.Sprintf("agreement-%d", i), "people", "people", "id", "name")); err != nil {
					t.Error(err)
				}
				if err := c.EnsureAgreementRole(ctx, agreementCredential(a, fmt.Sprintf("agreement-%d", i), "border-service")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		return time.Since(began)
	}
	restarted, err := vault.New(a.Operator, vault.Config{Agency: a.Name, TrustDomain: a.TrustDomain()})
	if err != nil {
		t.Fatal(err)
	}
	written, read, known := ensure(a.Client), ensure(restarted), ensure(restarted)
	began := time.Now()
	roles, err := a.Client.ListRoles(ctx)
	if err != nil || len(roles.Source) != n || len(roles.Agreement) != n {
		t.Errorf("%d and %d roles, %v", len(roles.Source), len(roles.Agreement), err)
	}
	t.Logf("%d roles: written in %s, read after a restart in %s, known in %s, listed in %s", 2*n, written, read, known, time.Since(began))
}

// With consents, a source credential reads the columns of two relations, and no other of either.
func TestSourceCredentialReadsConsents(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "consents")
	ctx := t.Context()
	cred := sourceCredential("wage-check", "people", "people", "id", "name")
	cred.Source.Consents = []compile.Grant{{Relation: "files.Wages$", Columns: []string{"person"}}}
	if err := a.Client.EnsureSourceRole(ctx, cred); err != nil {
		t.Fatal(err)
	}
	c, err := a.Gateway.SourceCredential(ctx, cred.Role)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := a.Login(t, c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `SELECT p.name FROM public.people p WHERE EXISTS (SELECT 1 FROM files."Wages$" k WHERE k.person::text = p.id::text)`); err != nil {
		t.Error(err)
	}
	for _, q := range []string{`SELECT "Amount" FROM files."Wages$"`, `SELECT ssn FROM public.people`} {
		if _, err := conn.Exec(ctx, q); sqlState(err) != insufficientPrivilege {
			t.Errorf("%s: %v, want permission denied", q, err)
		}
	}
	if err := a.Client.RevokeSourceRole(ctx, cred.Role); err != nil {
		t.Error(err)
	}
	cred.Source.Consents[0].Relation = cred.Source.Relation
	if err := a.Client.EnsureSourceRole(ctx, cred); !errors.Is(err, vault.ErrName) {
		t.Errorf("one relation twice: %v", err)
	}
}

// The secrets of HTTP services are people's to write and the gateway's to read, and nobody else's.
func TestHTTPSecret(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "http-secret")
	ctx := t.Context()
	path := a.Options.Mounts.KV() + "/data/sources/wages"
	if _, err := a.Gateway.HTTPSecret(ctx, "wages"); !errors.Is(err, gwvault.ErrNotFound) {
		t.Errorf("before there is one: %v", err)
	}
	for data, want := range map[string]bool{"hush": true, "": false} {
		members := map[string]any{"token": data}
		if data == "" {
			members = map[string]any{"token": 7}
		}
		if _, err := a.Root.Write(ctx, path, map[string]any{"data": members}); err != nil {
			t.Fatal(err)
		}
		got, err := a.Gateway.HTTPSecret(ctx, "wages")
		if want && (err != nil || got["token"] != data) || !want && !errors.Is(err, gwvault.ErrInvalid) {
			t.Errorf("%v %v", got, err)
		}
	}
	if _, err := a.Gateway.Write(ctx, path, map[string]any{"data": map[string]any{"token": "mine"}}); err == nil {
		t.Error("the gateway may write secrets")
	}
	if _, err := a.Operator.Read(ctx, path); err == nil {
		t.Error("the operator may read secrets")
	}
}
