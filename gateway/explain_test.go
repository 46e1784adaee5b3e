package gateway_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/entente-dev/entente/gateway/route"
)

type explained struct {
	Clauses []struct {
		Agency, Agreement, Clause string
		Allowed                   bool
		Checks                    []struct {
			Name, Term, Message, Change string
			Passed                      bool
		}
		SourceQuery []struct{ Dataset, System, Statement string }
	}
	Status         int
	Reason, Detail string
}

func (a *agency) explain(user, body string) (int, explained) {
	a.t.Helper()
	code, _, text := a.post(a.client(user), "/v1/query:explain", body)
	var e explained
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		a.t.Fatalf("%d %s: %v", code, text, err)
	}
	return code, e
}

func (e explained) check(name string) (change string, passed bool) {
	for _, k := range e.Clauses[0].Checks {
		if k.Name == name {
			return k.Change, k.Passed
		}
	}
	return "", false
}

// TestExplainSaysWhatToChange: a recipient learns what to change and, in the schema's words, what would run; of the source's tables and
// columns, and of any value, nothing.
func TestExplainSaysWhatToChange(t *testing.T) {
	src, rec := startAgency(t, "border-service", options{people: 10}), startAgency(t, "state-police", options{})
	c := clause("persons", src, rec)
	c.RowFilter = `region == "north"`
	agree("agr", []route.Clause{c}, src, rec)

	code, e := rec.explain("alice", q(`person_number == "P000042"`, `"fields":["age","given_name","note"]`))
	change, passed := e.check("fields")
	if code != 200 || passed || change != "remove given_name, note from fields, or ask for an amendment of clauses[persons].fields" || len(e.Clauses[0].SourceQuery) != 0 {
		t.Errorf("%d %+v", code, e)
	}
	code, e = rec.explain("alice", q(`person_number == "P000042"`, `"fields":["age","family_name"]`))
	if code != 200 || !e.Clauses[0].Allowed || len(e.Clauses[0].SourceQuery) != 1 {
		t.Fatalf("%d %+v", code, e)
	}
	const want = `SELECT age, family_name FROM person.v1 WHERE (region == $1) AND (person_number == $2) LIMIT 5000`
	if s := e.Clauses[0].SourceQuery[0]; s.Statement != want || s.System != "" || s.Dataset != "" {
		t.Errorf("%+v", s)
	}
	if n := len(src.records()); n != 0 {
		t.Errorf("the source was asked %d times", n)
	}
}

// TestExplainAsTheSource: who belongs to a group that the source's gateway names sees the statement that runs; nobody else does, and
// across agencies nobody can.
func TestExplainAsTheSource(t *testing.T) {
	src, rec := startAgency(t, "border-service", options{people: 10, explainGroups: []string{"analysts"}}), startAgency(t, "state-police", options{})
	c := clause("persons", src, rec)
	c.RowFilter, c.UserAttributes = `region == "north"`, `"desk-7" in claims.units`
	agree("agr", []route.Clause{c}, src, rec)
	query := q(`person_number == "P000042"`, `"fields":["age"]`, `"asRecipient":"state-police"`)

	code, e := src.explain("alice", query)
	if change, passed := e.check("user-attributes"); code != 200 || passed || e.Clauses[0].Allowed || !strings.Contains(change, "identity provider") {
		t.Fatalf("%d %+v", code, e)
	}
	code, e = src.explain("alice", q(`person_number == "P000042"`, `"fields":["age"]`, `"asRecipient":"state-police"`, `"claims":{"units":["desk-7"]}`))
	if code != 200 || len(e.Clauses) != 1 || !e.Clauses[0].Allowed || e.Clauses[0].Agreement != "agr.v1" || len(e.Clauses[0].SourceQuery) != 1 {
		t.Fatalf("%d %+v", code, e)
	}
	s := e.Clauses[0].SourceQuery[0]
	if s.Dataset != "people" || s.System != "sqlite" || !strings.Contains(s.Statement, "FROM `people` WHERE") || !strings.Contains(s.Statement, "`nr`") {
		t.Errorf("%+v", s)
	}
	for _, value := range []string{"P000042", "north"} {
		if strings.Contains(s.Statement, value) {
			t.Errorf("the shape has a value: %s", s.Statement)
		}
	}
	// What it shows is what runs.
	for granularity, start := range map[string]string{"Count": "SELECT count(*)", "Existence": "SELECT EXISTS"} {
		_, e := src.explain("alice", q(`person_number == "P000042"`, `"granularity":"`+granularity+`"`, `"asRecipient":"state-police"`))
		if !strings.HasPrefix(e.Clauses[0].SourceQuery[0].Statement, start) {
			t.Errorf("%s: %+v", granularity, e.Clauses[0].SourceQuery)
		}
	}
	if n := len(src.records()); n != 0 {
		t.Errorf("an explanation left %d records in the log", n)
	}

	for name, refused := range map[string]struct {
		agency *agency
		body   string
		code   int
		reason string
	}{
		"a gateway that names no group":        {rec, query, 403, "NotPermitted"},
		"an agency that no clause lets ask":    {src, strings.Replace(query, `"state-police"`, `"coast-guard"`, 1), 403, "NoAgreement"},
		"claims without a recipient":           {src, q(`person_number == "P000042"`, `"claims":{"units":["desk-7"]}`), 400, "request"},
		"claims that are no claims":            {src, q(`person_number == "P000042"`, `"asRecipient":"state-police"`, `"claims":{"a":{"b":1}}`), 400, "request"},
		"a name that is none":                  {src, q(`person_number == "P000042"`, `"asRecipient":"`+strings.Repeat("x", 64)+`"`), 400, "request"},
		"a query is not asked in another name": {src, query, 400, "request"},
	} {
		path := "/v1/query:explain"
		if strings.HasPrefix(name, "a query") {
			path = "/v1/query"
		}
		code, _, text := refused.agency.post(refused.agency.client("alice"), path, refused.body)
		if code != refused.code || !strings.Contains(text, `"reason":"`+refused.reason+`"`) || strings.Contains(text, "`") {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
	names := func(e explained) (out []string) {
		for _, k := range e.Clauses[0].Checks {
			out = append(out, k.Name)
		}
		return out
	}
	_, there := rec.explain("alice", q(`person_number == "P000042"`))
	if _, here := src.explain("alice", query); !slices.Equal(names(here), names(there)) {
		t.Error("the two sides explain by different lists of checks")
	}
}
