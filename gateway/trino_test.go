package gateway_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source/trino/trinotest"
)

// twoPeople answers every statement.
type twoPeople struct{}

func (twoPeople) Query(context.Context, string) (*trinotest.Result, error) {
	return &trinotest.Result{Types: []string{"varchar", "date"}, Rows: [][]any{{"P000042", "1980-02-12"}, {"P000043", nil}}}, nil
}

// TestTrino asks an agency whose records are in Trino, which sees nothing of the query but bound values, and nothing at all once the
// agreement has ended.
func TestTrino(t *testing.T) {
	server := trinotest.Start(t, twoPeople{})
	server.Token = "token of people"
	inOneDay()
	today := time.Now().UTC().Format(time.DateOnly)
	src, rec := startAgency(t, "border-service", options{}), startAgency(t, "state-police", options{})
	c := clause("persons", src, rec)
	d := &c.Datasets[0]
	d.SQLite, d.Relation = nil, "hr.people"
	d.Trino = &route.Trino{Host: "127.0.0.1", Port: server.Port(), Catalog: "lake", User: "entente_agr",
		HTTPAccess: route.HTTPAccess{Authentication: []string{"Bearer"}, CABundle: server.CABundle(), TimeoutSeconds: 10}}
	c.RowFilter = `birth_date == null || birth_date <= today()`
	agree("agr", []route.Clause{c}, src, rec)

	question := q(`family_name == "O'Neil" && birth_date > today() - years(100)`, `"fields":["person_number","birth_date"]`)
	code, a := rec.query(t, rec.client("alice"), question)
	if code != 200 || len(a.Records) != 2 || a.Sources[0].Outcome != "OK" {
		t.Fatalf("%d %+v", code, a)
	}
	texts := server.Texts()
	if len(texts) != 1 || strings.Contains(strings.Split(texts[0], " USING ")[0], "Neil") || !strings.Contains(texts[0], `'O''Neil'`) || !strings.Contains(texts[0], "DATE '"+today+"'") {
		t.Errorf("%q", texts)
	}
	for _, r := range server.Requests() {
		if r.Header.Get("X-Trino-User") != "entente_agr" || strings.Contains(r.URL.String(), "Neil") {
			t.Errorf("%s %v", r.URL, r.Header)
		}
	}
	if code, a := rec.query(t, rec.client("alice"), q(`similarity(family_name, "Neil") >= 0.5 && family_name == "x"`)); code != 403 && code != 400 {
		t.Errorf("similarity: %d %+v", code, a)
	}
	src.apply("agr", &route.Tombstone{Reason: "Terminated", At: time.Now()})
	if code, a := rec.query(t, rec.client("alice"), question); code != 403 {
		t.Errorf("ended: %d %+v", code, a)
	}
	if n := len(server.Texts()); n != 1 {
		t.Errorf("%d statements", n)
	}
	if s := rec.output.String() + src.output.String(); strings.Contains(s, "Neil") || strings.Contains(s, "P00004") {
		t.Errorf("personal data in the process log:\n%s", s)
	}
}
