package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entente-dev/entente/gateway/source/trino/trinotest"
)

// TestDatasetCheckFolder checks a dataset of a standalone folder, and of files: the SQLite file is found from where the dataset is.
func TestDatasetCheckFolder(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"schema.yaml": peopleSchema, "dataset.yaml": peopleDataset("sqlite: {path: people.db}", "born"),
		"api.yaml": strings.NewReplacer("name: people}", "name: api}", "relation: people", "relation: s.people").Replace(peopleDataset("trino: {host: trino.example.gov, catalog: lake, authentication: [Bearer]}", "born")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "people.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE people (id INTEGER PRIMARY KEY, name, born); INSERT INTO people (id) VALUES (1), (2), (3)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	file, schema := filepath.Join(dir, "dataset.yaml"), filepath.Join(dir, "schema.yaml")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"people", "--config", dir}, 0, "people on people: about 3 rows"},
		{[]string{"people", "--config", dir, "-o", "yaml"}, 0, "path: selectors[name]"},
		{[]string{"people", "--config", dir, "--base-dir", os.DevNull}, 1, "its file is looked for on this machine (--base-dir)"},
		{[]string{"nobody", "--config", dir}, 1, `the folder has no Dataset "nobody"`},
		{[]string{"api", "--config", dir}, 1, "secret"}, // none is there
		{[]string{"-f", file, "--schema", schema, "--base-dir", dir}, 0, "CREATE INDEX ON people (name)"},
		{[]string{"-f", file}, 1, "-f and --schema go together"},
		{[]string{"people", "-f", file, "--schema", schema}, 1, "name a dataset, or give a file"},
		{nil, 1, "name a dataset, or give a file"},
		{[]string{"people", "--config", dir, "-o", "csv"}, 1, "use table, json or yaml"},
		{[]string{"people", "--config", dir, "--dsn", "host=x", "-U", "me"}, 1, "none of the others can be"},
	} {
		out, code := runDataset(t, append([]string{"check"}, c.args...)...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%v: exit code %d, want %d; no %q in\n%s", c.args, code, c.code, c.want, out)
		}
	}
}

// catalogueOf answers as Trino does when it is asked which columns a relation has.
type catalogueOf [][]any

func (c catalogueOf) Query(_ context.Context, sql string) (*trinotest.Result, error) {
	r := &trinotest.Result{Types: []string{"varchar", "varchar"}}
	if strings.Contains(sql, "table_schema = 'hr' AND table_name = 'people'") {
		r.Rows = c
	}
	return r, nil
}

// TestDatasetCheckTrino checks a dataset in Trino with a login of one's own.
func TestDatasetCheckTrino(t *testing.T) {
	server := trinotest.Start(t, catalogueOf{{"id", "integer"}, {"name", "varchar(50)"}, {"born", "varchar"}, {"amount", "double"}, {"tags", "array(varchar)"}, {"seen", "timestamp(3) with time zone"}})
	server.Username, server.Password = "me", "my own"
	dir, secret := t.TempDir(), t.TempDir()
	source := fmt.Sprintf("trino: {host: 127.0.0.1, port: %d, catalog: lake, authentication: [Basic], caBundle: %q}", server.Port(), server.CABundle())
	for path, text := range map[string]string{
		filepath.Join(secret, "username"): "me", filepath.Join(secret, "password"): "my own", filepath.Join(dir, "schema.yaml"): peopleSchema,
		filepath.Join(dir, "fits.yaml"):  strings.Replace(peopleDataset(source, "Born"), "relation: people", "relation: HR.People", 1),
		filepath.Join(dir, "wrong.yaml"): strings.NewReplacer("relation: people", "relation: hr.people", "column: id", "column: amount", "column: name", "column: tags").Replace(peopleDataset(source, "gone")),
		filepath.Join(dir, "away.yaml"):  strings.Replace(peopleDataset(source, "born"), "relation: people", "relation: hr.nobody", 1),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		file, secret string
		code         int
		wants        []string
	}{
		{"fits", secret, 0, []string{"people on HR.People: rows not estimated", "Warning   born   column Born is of type varchar: it is cast to date"}},
		{"wrong", secret, 1, []string{"id     column amount is of type double: what is read is of type int", "name   column tags is of type array(varchar): it is an array", "born   relation hr.people has no column gone"}},
		{"away", secret, 1, []string{"there is no relation hr.nobody, or this login may not see it"}},
		{"fits", "", 1, []string{"say who logs in to Trino for dataset people: --secret-dir"}},
		{"fits", dir, 1, []string{"secret"}},
	} {
		args := []string{"check", "-f", filepath.Join(dir, c.file+".yaml"), "--schema", filepath.Join(dir, "schema.yaml")}
		if c.secret != "" {
			args = append(args, "--secret-dir", c.secret)
		}
		out, code := runDataset(t, args...)
		for _, want := range c.wants {
			if code != c.code || !strings.Contains(out, want) || strings.Contains(out, "my own") {
				t.Errorf("%s: exit code %d, want %d; no %q in\n%s", c.file, code, c.code, want, out)
			}
		}
	}
	for _, r := range server.Requests() {
		if r.Header.Get("X-Trino-Client-Info") != "catalogue" || r.Header.Get("X-Trino-User") != "" {
			t.Errorf("%v", r.Header)
		}
	}
}

func TestSchemaShow(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "person.v1.yaml")
	if err := os.WriteFile(file, []byte(`apiVersion: entente.dev/v1alpha1
kind: ExchangeSchema
metadata: {name: person.v1}
spec:
  name: person
  version: 1
  description: A person.
  fields:
  - {name: id, type: string, sensitivity: Identifier, semanticTerm: "http://release.niem.gov/niem/niem-core/6.0/Identification"}
  - {name: status, type: code, description: Marital status, codes: [M, S], displays: [{code: M, display: married}]}
  - {name: homes, type: record, repeated: true, fields: [{name: kind, type: code, codes: [H], displays: [{code: H, display: house}]}]}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-f", file}, `A person.
FIELD       TYPE            SENSITIVITY  MEANING
id          string          Identifier   http://release.niem.gov/niem/niem-core/6.0/Identification
status      code            -            Marital status
              M                          married
              S                          
homes       list of record  -            
homes.kind  code            -            
              H                          house
`},
		{[]string{"person.v1", "--config", dir, "-o", "yaml"}, "display: married"},
		{[]string{"person.v2", "--config", dir}, `the folder has no ExchangeSchema "person.v2"`},
		{nil, "name an exchange schema (person.v1)"},
	} {
		cmd := newSchemaCommand()
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetArgs(append([]string{"show"}, c.args...))
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			out.WriteString(err.Error())
		}
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("%v: no\n%s\nin\n%s", c.args, c.want, out.String())
		}
	}
}
