package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/entente-dev/entente/controllers/vault/vaulttest"
	"github.com/entente-dev/entente/hack/testenv"
)

func runDataset(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	out, errs, err := runCommand(newDatasetCommand(), args...)
	if err != nil {
		errs += err.Error()
	}
	return out + errs, exitCode(err)
}

const peopleSchema = `apiVersion: entente.dev/v1alpha1
kind: ExchangeSchema
metadata: {name: person.v1}
spec:
  name: person
  version: 1
  fields:
  - {name: id, type: int}
  - {name: name, type: string}
  - {name: born, type: date}
`

func peopleDataset(source, born string) string {
	return `apiVersion: entente.dev/v1alpha1
kind: Dataset
metadata: {name: people}
spec:
  schema: {name: person, version: 1}
  source: {` + source + `}
  relation: people
  fields:
  - {field: id, column: id}
  - {field: name, column: name}
  - {field: born, column: ` + born + `}
  selectors: [[id], [name]]
`
}

// TestDatasetCheckCluster checks a dataset of a real API server in a real database, as the people who may: with a login of their own, and
// with one that Vault makes for them.
func TestDatasetCheckCluster(t *testing.T) {
	kube := testenv.RequireKube(t, testenv.KubeOptions{CRDDirs: []string{"../../config/crd"}})
	a := (&vaulttest.Servers{
		Vault: testenv.RequireVault(t, testenv.VaultOptions{}), Postgres: testenv.RequirePostgres(t, testenv.PostgresOptions{NoSync: true}),
	}).NewAgency(t, "police").Bootstrap(t)
	ctx, dir := t.Context(), t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := kube.WriteAdminKubeconfig(kubeconfig); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(a.Postgres.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	source := fmt.Sprintf("postgresql: {host: 127.0.0.1, port: %d, database: police, vaultConnection: %s, caBundle: %q}", a.Postgres.Port(), vaulttest.Connection, ca)
	for name, text := range map[string]string{"schema": peopleSchema, "dataset": peopleDataset(source, "born"), "wrong": strings.Replace(peopleDataset(source, "ssn"), "name: people}", "name: wrong}", 1)} {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"create", "namespace", "police"},
		{"apply", "-n", "police", "-f", dir + "/schema.yaml", "-f", dir + "/dataset.yaml", "-f", dir + "/wrong.yaml"},
		// What the command needs at the API server, and no more.
		{"create", "role", "checker", "-n", "police", "--verb=get", "--resource=datasets.entente.dev,exchangeschemas.entente.dev"},
		{"create", "rolebinding", "checker", "-n", "police", "--role=checker", "--user=me"},
	} {
		if _, err := kube.Kubectl(ctx, args...); err != nil {
			t.Fatal(err)
		}
	}
	// A login of one's own that may read no table.
	for _, statement := range []string{"CREATE ROLE me LOGIN PASSWORD 'my own'", "ANALYZE people"} {
		if _, err := a.Superconn(t).Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range a.Vault.Environment() {
		name, _, _ := strings.Cut(e, "=")
		t.Setenv(name, "")
	}
	t.Setenv("HOME", dir)
	try := func(code int, wants []string, args ...string) {
		t.Helper()
		args = append([]string{"check"}, append(args, "--kubeconfig", kubeconfig, "-n", "police", "--as", "me", "--vault-mount-prefix", "police")...)
		out, got := runDataset(t, args...)
		for _, want := range wants {
			if !strings.Contains(out, want) || got != code {
				t.Errorf("%v: exit code %d, want %d; no %q in\n%s", args, got, code, want, out)
			}
		}
	}
	fits := []string{"people on people: about 5000 rows", "Warning   selectors[name]  no index begins with one of its columns: CREATE INDEX ON people (name)"}
	try(1, []string{"say who logs in to the database of dataset people", "police/database/creds/entente_probe.records"}, "people")
	try(1, []string{"not found"}, "nobody")
	try(1, []string{"--username me, with the password of PGPASSWORD or ~/.pgpass, at 127.0.0.1:", "does not accept the login"}, "people", "--username", "me")
	t.Setenv("PGPASSWORD", "my own")
	try(0, fits, "people", "--username", "me")
	try(0, []string{`"rows": 5000`}, "people", "-U", "me", "-o", "json")
	try(1, []string{"Error     born             column ssn is of type text: what is read is of type date"}, "wrong", "-U", "me")
	t.Setenv("PGPASSWORD", "")
	try(0, fits, "people", "--dsn", a.Postgres.AdminURL("police"))

	// As a user of Vault's, with a token that may have one made, and nothing else.
	if _, err := a.Root.Write(ctx, "sys/policies/acl/checker", map[string]any{"policy": `path "police/database/creds/entente_probe.*" { capabilities = ["read"] }`}); err != nil {
		t.Fatal(err)
	}
	token := func(policy string) string {
		s, err := a.Root.Write(ctx, "auth/token/create", map[string]any{"policies": []string{policy}, "ttl": "1h"})
		if err != nil {
			t.Fatal(err)
		}
		return s.Auth.ClientToken
	}
	for _, e := range a.Vault.Environment() {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	t.Setenv("VAULT_TOKEN", token("default"))
	try(1, []string{"your token may not read police/database/creds/entente_probe.records"}, "people")
	t.Setenv("VAULT_TOKEN", token("checker"))
	try(1, []string{"the operator makes that role when it first reads the catalogue"}, "people")
	if err := a.Client.EnsureProbeRole(ctx, vaulttest.Connection); err != nil {
		t.Fatal(err)
	}
	try(0, fits, "people")
	try(0, []string{"rows: 5000\n"}, "people", "-o", "yaml")
	try(1, []string{"the dataset cannot be read as it stands"}, "wrong")

	conn, err := pgx.Connect(ctx, a.Postgres.AdminURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var left int
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'entente catalogue'").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d connections are left open, %v", left, err)
	}
}
