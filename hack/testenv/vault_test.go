package testenv_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/entente-dev/entente/hack/testenv"
)

func TestVault(t *testing.T) {
	v := testenv.RequireVault(t, testenv.VaultOptions{Progress: t.Output()})

	t.Run("PKI", func(t *testing.T) { vaultPKI(t, v) })
	t.Run("transit", func(t *testing.T) { vaultTransit(t, v) })
	t.Run("database", func(t *testing.T) { vaultDatabase(t, v) })
	t.Run("JWT", func(t *testing.T) { vaultJWT(t, v) })
	t.Run("taken away", func(t *testing.T) {
		health := func(within time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			_, err := v.Call(ctx, http.MethodGet, "transit/keys/routes", nil)
			return err
		}
		if err := v.Down(); err != nil {
			t.Fatal(err)
		}
		if err := health(time.Minute); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a Vault that is down: %v", err)
		}
		if err := v.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := health(time.Minute); err != nil {
			t.Errorf("after Down: %v", err)
		}
		if err := v.Hang(); err != nil {
			t.Fatal(err)
		}
		if err := health(time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a Vault that hangs: %v", err)
		}
		if err := v.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := health(time.Minute); err != nil {
			t.Errorf("after Hang: %v", err)
		}
	})
}

// call is Vault.Call that must succeed; it returns the answer's data.
func call(t *testing.T, v *testenv.Vault, method, path string, body any) map[string]any {
	t.Helper()
	answer, err := v.Call(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	data, _ := answer["data"].(map[string]any)
	return data
}

func vaultPKI(t *testing.T, v *testenv.Vault) {
	call(t, v, "POST", "sys/mounts/pki", map[string]any{"type": "pki"})
	call(t, v, "POST", "pki/root/generate/internal", map[string]any{"common_name": "state-police", "key_type": "ec", "key_bits": 256})
	call(t, v, "POST", "pki/roles/gateway", map[string]any{
		"allowed_uri_sans": "spiffe://police.example/gateway", "allow_any_name": true, "require_cn": false, "key_type": "ec", "max_ttl": "1h",
	})
	issued := call(t, v, "POST", "pki/issue/gateway", map[string]any{"uri_sans": "spiffe://police.example/gateway"})
	if cert, _ := issued["certificate"].(string); !strings.HasPrefix(cert, "-----BEGIN CERTIFICATE-----") {
		t.Errorf("issued: %v", issued)
	}
}

func vaultTransit(t *testing.T, v *testenv.Vault) {
	call(t, v, "POST", "sys/mounts/transit", map[string]any{"type": "transit"})
	call(t, v, "POST", "transit/keys/routes", map[string]any{"type": "ed25519"})
	signed := call(t, v, "POST", "transit/sign/routes", map[string]any{"input": "cm91dGU="})
	if s, _ := signed["signature"].(string); !strings.HasPrefix(s, "vault:v1:") {
		t.Errorf("signed: %v", signed)
	}
}

// configureDatabase mounts the database engine at database/ with a connection named police.
func configureDatabase(t *testing.T, v *testenv.Vault, p *testenv.Postgres) {
	t.Helper()
	user, password := p.Superuser()
	call(t, v, "POST", "sys/mounts/database", map[string]any{"type": "database"})
	call(t, v, "POST", "database/config/police", map[string]any{
		"plugin_name": testenv.PostgresPlugin, "connection_url": p.VaultURL("postgres"), "username": user, "password": password,
		"allowed_roles": "*", "password_authentication": "scram-sha-256",
	})
}

// vaultDatabase has Vault make a role that reads one column, and revoke it while it holds a transaction open.
func vaultDatabase(t *testing.T, v *testenv.Vault) {
	p := testenv.RequirePostgres(t, testenv.PostgresOptions{NoSync: true, Progress: t.Output()})
	ctx := t.Context()
	if err := p.Exec(ctx, "postgres", "CREATE TABLE person (name text, secret text); INSERT INTO person VALUES ('Ada', 'x')"); err != nil {
		t.Fatal(err)
	}
	configureDatabase(t, v, p)
	call(t, v, "POST", "database/roles/agreement", map[string]any{
		"db_name": "police", "default_ttl": "1h",
		"creation_statements": []string{
			`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
			`GRANT SELECT (name) ON person TO "{{name}}"`,
		},
		"revocation_statements": []string{
			`ALTER ROLE "{{name}}" NOLOGIN`,
			`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'`,
			`REVOKE ALL ON person FROM "{{name}}"`,
			`DROP ROLE "{{name}}"`,
		},
	})
	credential := call(t, v, "GET", "database/creds/agreement", nil)
	c, err := pgx.Connect(ctx, p.URL("postgres", credential["username"].(string), credential["password"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, "SELECT secret FROM person"); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a column that is not granted: %v", err)
	}
	tx, err := c.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var name string
	if err := tx.QueryRow(ctx, "SELECT name FROM person").Scan(&name); err != nil || name != "Ada" {
		t.Fatalf("a granted column: %q, %v", name, err)
	}
	call(t, v, "PUT", "sys/leases/revoke-prefix/database/creds/agreement", map[string]any{"sync": true})
	if err := tx.QueryRow(ctx, "SELECT name FROM person").Scan(&name); err == nil {
		t.Error("an open transaction reads after the revocation")
	}
	if err := p.Exec(ctx, "postgres", `DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM pg_roles WHERE rolname LIKE 'v-%'); END $$`); err != nil {
		t.Errorf("a role is left: %v", err)
	}
}

// vaultJWT logs in with a service account's token, which Vault verifies once by keys that it was given and once by keys that it fetches.
func vaultJWT(t *testing.T, v *testenv.Vault) {
	k := testenv.RequireKube(t, testenv.KubeOptions{PublicIssuer: true, Progress: t.Output()})
	ctx := t.Context()
	if err := k.EnsureServiceAccount(ctx, "state-police", "operator"); err != nil {
		t.Fatal(err)
	}
	token, _, err := k.Token(ctx, "state-police", "operator", testenv.TokenOptions{Audience: "vault"})
	if err != nil {
		t.Fatal(err)
	}
	apiToken, _, err := k.Token(ctx, "state-police", "operator", testenv.TokenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := k.IssuerKeys()
	if err != nil {
		t.Fatal(err)
	}
	for mount, config := range map[string]map[string]any{
		"by-keys":      {"jwt_validation_pubkeys": keys, "bound_issuer": k.Issuer()},
		"by-jwks":      {"jwks_url": k.Issuer() + "/openid/v1/jwks", "jwks_ca_pem": string(k.CAPEM()), "bound_issuer": k.Issuer()},
		"by-discovery": {"oidc_discovery_url": k.Issuer(), "oidc_discovery_ca_pem": string(k.CAPEM()), "bound_issuer": k.Issuer()},
	} {
		call(t, v, "POST", "sys/auth/"+mount, map[string]any{"type": "jwt"})
		call(t, v, "POST", "auth/"+mount+"/config", config)
		call(t, v, "POST", "auth/"+mount+"/role/operator", map[string]any{
			"role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault",
			"bound_subject": "system:serviceaccount:state-police:operator", "token_policies": "default",
		})
		login := func(jwt string) error {
			_, err := v.CallAs(ctx, "", "POST", "auth/"+mount+"/login", map[string]any{"role": "operator", "jwt": jwt})
			return err
		}
		if err := login(token); err != nil {
			t.Errorf("%s: %v", mount, err)
		}
		if err := login(apiToken); err == nil {
			t.Errorf("%s: Vault takes a token for the API server", mount)
		}
	}
}
