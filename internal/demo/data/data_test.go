package data

import (
	"database/sql"
	"path/filepath"
	"reflect"
	"testing"
)

func TestPeople(t *testing.T) {
	documents := map[string]bool{}
	known := map[string]int{}
	people, overlap := 0, 0
	for i, p := range People {
		people++
		if documents[p.Document] {
			t.Fatalf("document %s twice", p.Document)
		}
		documents[p.Document] = true
		n := 0
		for agency, yes := range map[string]bool{"police": p.Case != nil, "labor": p.Job != nil, "border": p.Border != nil} {
			if yes {
				known[agency]++
				n++
			}
		}
		if n == 0 {
			t.Fatalf("person %d is known to nobody", i)
		}
		if n > 1 {
			overlap++
		}
	}
	if people < 100_000 {
		t.Errorf("%d people", people)
	}
	if overlap < people/10 || overlap > people*2/3 {
		t.Errorf("%d of %d people are known to more than one agency", overlap, people)
	}
	t.Logf("%d people, %d known to more than one agency, %v", people, overlap, known)
	if !reflect.DeepEqual(person(4711), person(4711)) {
		t.Error("not deterministic")
	}
	m, h := Marisol(), Hannah()
	if m.Case == nil || m.Job == nil || m.Border == nil || h.Case != nil || h.Job == nil || h.Border != nil {
		t.Error("the cast does not fit the play")
	}
}

func TestGenerate(t *testing.T) {
	if testing.Short() {
		t.Skip("writes three databases")
	}
	dir := t.TempDir()
	last := 0
	rows, err := Generate(t.Context(), func(file string) string { return filepath.Join(dir, file) }, func(done int) { last = max(last, done) })
	if err != nil {
		t.Fatal(err)
	}
	if last != 3*Population {
		t.Errorf("progress ended at %d", last)
	}
	for i := range tables {
		tb := &tables[i]
		db, err := sql.Open("sqlite", filepath.Join(dir, tb.file))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var n int
		if err := db.QueryRow("SELECT count(*) FROM " + tb.name).Scan(&n); err != nil || n != rows[tb.file] || n < 10_000 {
			t.Errorf("%s: %d rows, said %d: %v", tb.file, n, rows[tb.file], err)
		}
	}
}
