package main

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		{[]string{"api", "--config", dir}, 1, "only PostgreSQL and SQLite have a catalogue that is read here"},
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
