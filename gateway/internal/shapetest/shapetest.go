// Package shapetest holds sources to one meaning of lists and of records inside records.
package shapetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/internal/shape"
	"github.com/entente-dev/entente/gateway/jsonform"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// Schema has lists of every type that can stand in one, a record, and a list of records.
var Schema = &route.Schema{Name: "shaped", Version: 1, Fields: []route.Field{
	{Name: "id", Type: "int"},
	{Name: "aliases", Type: "string", Repeated: true},
	{Name: "years", Type: "int", Repeated: true},
	{Name: "sums", Type: "decimal", Repeated: true},
	{Name: "flags", Type: "bool", Repeated: true},
	{Name: "days", Type: "date", Repeated: true},
	{Name: "times", Type: "timestamp", Repeated: true},
	{Name: "sexes", Type: "code", Codes: []string{"F", "M"}, Repeated: true},
	{Name: "address", Type: "record", Fields: []route.Field{{Name: "city", Type: "string"}, {Name: "since", Type: "date"}, {Name: "rooms", Type: "int"}}},
	{Name: "jobs", Type: "record", Repeated: true, Fields: []route.Field{{Name: "employer", Type: "string"}, {Name: "wage", Type: "decimal"}, {Name: "kind", Type: "code", Codes: []string{"full", "part"}}}},
}}

// Columns of a relation with the rows.
func Columns() map[string]string {
	out := map[string]string{"address.city": "city", "address.since": "since", "address.rooms": "rooms", "jobs.employer": "jobs", "jobs.wage": "jobs", "jobs.kind": "jobs"}
	for _, f := range Schema.Fields[:8] {
		out[f.Name] = f.Name
	}
	return out
}

// PostgreSQL makes the relation with its rows.
const PostgreSQL = `
CREATE TABLE shaped (id int4, aliases varchar(20)[], years int2[], sums numeric(12,2)[], flags boolean[], days date[], times timestamptz[], sexes text[],
  city text, since date, rooms int4, jobs jsonb, hidden text);
INSERT INTO shaped VALUES
 (1, '{Jo,"a;b",Müller}', '{1,-2}', '{1.50,20}', '{true,false}', '{2001-02-03}', '{2001-02-03T04:05:06.5Z}', '{F,M}', 'Bonn', '2001-02-03', 3,
  '[{"employer": "Acme", "wage": 1200.50, "kind": "full", "secret": "x"}, {"employer": null, "wage": "7"}]', 'h'),
 (2, '{}', '{}', '{}', '{}', '{}', '{}', '{}', NULL, '2010-01-01', NULL, '[]', 'h'),
 (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'h'),
 (4, '{NULL,jo}', '{NULL,3}', '{3.00}', '{NULL}', '{NULL}', '{NULL}', '{F,F}', '', NULL, 0, '[null, {}]', 'h'),
 (5, '{{a,b},{c,d}}', '{7}', NULL, NULL, NULL, NULL, NULL, 'Berlin', NULL, NULL, 'null', 'h');
`

// SQLite does the same.
const SQLite = `
CREATE TABLE shaped (id INTEGER, aliases TEXT, years TEXT, sums TEXT, flags TEXT, days TEXT, times TEXT, sexes TEXT, city TEXT, since TEXT, rooms INTEGER, jobs TEXT, hidden TEXT);
INSERT INTO shaped VALUES
 (1, '["Jo","a;b","M\u00fcller"]', '[1,-2]', '[1.50,"20.00"]', '[true,false]', '["2001-02-03"]', '["2001-02-03T04:05:06.5Z"]', '["F","M"]', 'Bonn', '2001-02-03', 3,
  '[{"employer": "Acme", "wage": 1200.50, "kind": "full", "secret": "x"}, {"employer": null, "wage": "7"}]', 'h'),
 (2, '[]', '[]', '[]', '[]', '[]', '[]', '[]', NULL, '2010-01-01', NULL, '[]', 'h'),
 (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'h'),
 (4, '[null,"jo"]', '[null,3]', '["3.00"]', '[null]', '[null]', '[null]', '["F","F"]', '', NULL, 0, '[null, {}]', 'h'),
 (5, '["a","b","c","d"]', '[7]', NULL, NULL, NULL, NULL, 'null', 'Berlin', NULL, NULL, 'null', 'h');
`

// answers are the records as JSON, by the fields asked for.
var answers = []struct {
	fields []string
	want   string
}{
	{[]string{"id", "aliases", "years", "sums"}, `{"id":1,"aliases":["Jo","a;b","Müller"],"years":[1,-2],"sums":["1.50","20.00"]}
{"id":2,"aliases":[],"years":[],"sums":[]}
{"id":3,"aliases":null,"years":null,"sums":null}
{"id":4,"aliases":["jo"],"years":[3],"sums":["3.00"]}
{"id":5,"aliases":["a","b","c","d"],"years":[7],"sums":null}`},
	{[]string{"id", "flags", "days", "times", "sexes"}, `{"id":1,"flags":[true,false],"days":["2001-02-03"],"times":["2001-02-03T04:05:06.5Z"],"sexes":["F","M"]}
{"id":2,"flags":[],"days":[],"times":[],"sexes":[]}
{"id":3,"flags":null,"days":null,"times":null,"sexes":null}
{"id":4,"flags":[],"days":[],"times":[],"sexes":["F","F"]}
{"id":5,"flags":null,"days":null,"times":null,"sexes":null}`},
	{[]string{"id", "address", "jobs"}, `{"id":1,"address":{"city":"Bonn","since":"2001-02-03","rooms":3},"jobs":[{"employer":"Acme","wage":"1200.50","kind":"full"},{"employer":null,"wage":"7","kind":null}]}
{"id":2,"address":{"city":null,"since":"2010-01-01","rooms":null},"jobs":[]}
{"id":3,"address":null,"jobs":null}
{"id":4,"address":{"city":"","since":null,"rooms":0},"jobs":[{"employer":null,"wage":null,"kind":null}]}
{"id":5,"address":{"city":"Berlin","since":null,"rooms":null},"jobs":null}`},
	// Members by themselves: nothing else of their record leaves the source.
	{[]string{"address.rooms", "jobs.kind", "id", "address.city", "jobs.employer"}, `{"address":{"rooms":3,"city":"Bonn"},"jobs":[{"kind":"full","employer":"Acme"},{"kind":null,"employer":null}],"id":1}
{"address":null,"jobs":[],"id":2}
{"address":null,"jobs":null,"id":3}
{"address":{"rooms":0,"city":""},"jobs":[{"kind":null,"employer":null}],"id":4}
{"address":{"rooms":null,"city":"Berlin"},"jobs":null,"id":5}`},
}

var filters = []struct {
	text string
	ids  []int64
}{
	{`"Jo" in aliases`, []int64{1}},
	{`!("Jo" in aliases)`, []int64{2, 3, 4, 5}},
	{`"jo" in aliases || "d" in aliases`, []int64{4, 5}},
	{`3 in years && !(7 in years)`, []int64{4}},
	{`!(3 in years)`, []int64{1, 2, 3, 5}},
	{`1.5 in sums || decimal("3") in sums`, []int64{1, 4}},
	{`date("2001-02-03") in days`, []int64{1}},
	{`timestamp("2001-02-03T05:05:06.5+01:00") in times`, []int64{1}},
	{`"F" in sexes`, []int64{1, 4}},
	{`address.city == "Bonn"`, []int64{1}},
	{`address.city != "Bonn"`, []int64{2, 3, 4, 5}},
	{`address.city == null`, []int64{2, 3}},
	{`address.city in ["", "Berlin"] && address.since == null`, []int64{4, 5}},
	{`address.since >= date("2005-01-01") || address.rooms < 1`, []int64{2, 4}},
	{`address.city.startsWith("B")`, []int64{1, 5}},
	{`"'; DROP TABLE shaped; --" in aliases || address.city == "' OR '1'='1"`, nil},
}

// Check holds a source whose dataset has the rows to the meaning.
func Check(t *testing.T, s source.Source, d *route.Dataset) {
	t.Helper()
	q := source.Query{Agreement: "mou", Dataset: d, Schema: Schema, Limit: 100}
	for _, c := range answers {
		q.Fields = c.fields
		got, err := lines(t.Context(), s, q)
		slices.SortFunc(got, func(a, b string) int { return strings.Compare(idOf(a), idOf(b)) })
		if err != nil || strings.Join(got, "\n") != c.want {
			t.Errorf("%v: %v\n got %s\nwant %s", c.fields, err, strings.Join(got, "\n"), c.want)
		}
	}
	q.Fields = []string{"id"}
	for _, c := range filters {
		f, err := filter.Compile(Schema, c.text)
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		q.Filter = f
		var ids []int64
		_, err = s.Records(t.Context(), q, func(r *gatewayv1.Record) error {
			ids = append(ids, r.GetValues()[0].GetInteger())
			return nil
		})
		if err != nil || !slices.Equal(ids, c.ids) {
			t.Errorf("%s: %v, %v, want %v", c.text, ids, err, c.ids)
		}
		if n, err := s.Count(t.Context(), q); err != nil || int(n) != len(c.ids) {
			t.Errorf("%s: counted %d, %v", c.text, n, err)
		}
	}
	q.Filter, q.Fields = nil, []string{"id", "nobody"}
	if _, err := lines(t.Context(), s, q); err == nil {
		t.Error("a field that the schema does not have was read")
	}
}

func idOf(line string) string {
	_, after, _ := strings.Cut(line, `"id":`)
	return after[:1]
}

// lines are the records as JSON objects.
func lines(ctx context.Context, s source.Source, q source.Query) ([]string, error) {
	of := shape.Of(q.Schema, q.Fields)
	form := jsonform.NewBatch(&gatewayv1.RecordBatch{Fields: of.Fields, Members: of.Members})
	var out []string
	_, err := s.Records(ctx, q, func(r *gatewayv1.Record) error {
		if !of.Fits(r) {
			return errors.New("a record does not have the shape of its fields")
		}
		_, record, _ := strings.Cut(string(form.Append(nil, r)), `,"record":`)
		out = append(out, strings.TrimSuffix(record, "}"))
		return nil
	})
	return out, err
}
