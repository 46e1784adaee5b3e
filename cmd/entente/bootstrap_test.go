package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entente-dev/entente/controllers/vault/bootstrap"
	"github.com/entente-dev/entente/hack/testenv"
)

func TestParseDatabase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte("secret, with = and comma\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const url = "postgresql://{{username}}:{{password}}@a:5432,b:5432/d?sslmode=verify-full&options=x=y"
	d, err := parseDatabase("name=records,url=" + url + ",username=admin,password-file=" + file)
	if err != nil {
		t.Fatal(err)
	}
	if want := (bootstrap.Database{Name: "records", URL: url, Username: "admin", Password: "secret, with = and comma"}); d != want {
		t.Errorf("got %+v\nwant %+v", d, want)
	}
	for _, text := range []string{"", "records", "nmae=x", "name=a,name=b", "name=a,password-file=/nonexistent"} {
		if _, err := parseDatabase(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestBootstrapVaultCommand(t *testing.T) {
	v := testenv.RequireVault(t, testenv.VaultOptions{})
	for _, e := range v.Environment() {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := newBootstrapCommand()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(append([]string{"vault", "--agency", "state-police", "--trust-domain", "police.example.gov", "--no-kubernetes"}, args...))
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		return out.String()
	}
	if out := run("--dry-run"); !strings.Contains(out, "nothing was written") || !strings.Contains(out, "create   ") {
		t.Error(out)
	}
	var r bootstrap.Report
	if err := json.Unmarshal([]byte(run("-o", "json")), &r); err != nil || r.Count(bootstrap.Create) != len(r.Steps) {
		t.Errorf("%+v, %v", r, err)
	}
	if out := run(); !strings.Contains(out, "Done: 0 created, 0 changed") {
		t.Error(out)
	}
	if out := run("--gateway-name", "gateway.example.gov", "--dry-run", "-o", "yaml"); !strings.Contains(out, "allowed_domains") {
		t.Error(out)
	}
}
