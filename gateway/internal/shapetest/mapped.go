package shapetest

import (
	"slices"
	"strings"
	"testing"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/mapping"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// MappedSchema is what agencies agreed on; the relation of Mapped says the same in other words.
var MappedSchema = &route.Schema{Name: "mapped", Version: 1, Fields: []route.Field{
	{Name: "id", Type: "int"},
	{Name: "wage", Type: "decimal"},
	{Name: "months", Type: "int"},
	{Name: "name", Type: "string"},
	{Name: "family", Type: "string"},
	{Name: "given", Type: "string"},
	{Name: "sex", Type: "code", Codes: []string{"F", "M", "X"}},
	{Name: "mood", Type: "code", Codes: []string{"good", "bad"}},
	{Name: "permit", Type: "bool"},
	{Name: "born", Type: "date"},
	{Name: "entered", Type: "date"},
	{Name: "day", Type: "date"},
	{Name: "number", Type: "int"},
	{Name: "label", Type: "string"},
	{Name: "aliases", Type: "string", Repeated: true},
	{Name: "address", Type: "record", Fields: []route.Field{{Name: "city", Type: "string"}, {Name: "zip", Type: "string"}}},
	{Name: "extra", Type: "record", Fields: []route.Field{
		{Name: "city", Type: "string"}, {Name: "n", Type: "int"}, {Name: "sum", Type: "decimal"}, {Name: "yes", Type: "bool"}, {Name: "since", Type: "date"},
		{Name: "at", Type: "timestamp"}, {Name: "kind", Type: "code", Codes: []string{"a", "b"}},
	}},
}}

// Mapped is a dataset over the rows, without its source.
func Mapped() *route.Dataset {
	d := &route.Dataset{Name: "mapped", Relation: "mapped", SubjectKey: "id", Columns: map[string]string{"id": "id"}, Mappings: map[string]mapping.Mapping{
		"wage":         {Expression: "(wage_cents + bonus * 100) / 100", Types: map[string]string{"wage_cents": "int", "bonus": "decimal"}},
		"months":       {Expression: "years * 12", Types: map[string]string{"years": "int"}},
		"name":         {Expression: `given + " " + coalesce(middle + " ", "") + upper(family)`, Types: map[string]string{"given": "string", "middle": "string", "family": "string"}},
		"family":       {Expression: `trim(part(whole, ",", 1))`, Types: map[string]string{"whole": "string"}},
		"given":        {Expression: `trim(part(whole, ",", 2))`, Types: map[string]string{"whole": "string"}},
		"sex":          {Column: "g", Types: map[string]string{"g": "int"}, Codes: map[string]string{"1": "M", "2": "F", "3": "F"}},
		"mood":         {Expression: "lower(mood)", Types: map[string]string{"mood": "string"}, Codes: map[string]string{"g": "good", "b": "bad"}, AsNull: true},
		"permit":       {Column: "permit", Codes: map[string]string{"Y": "true", "N": "false"}},
		"born":         {Column: "born", Format: "DD.MM.YYYY"},
		"entered":      {Column: "entered", Format: "YYYYMMDD", AsNull: true},
		"day":          {Expression: "date(seen)", Types: map[string]string{"seen": "timestamp"}},
		"number":       {Expression: "int(digits)", Types: map[string]string{"digits": "string"}, AsNull: true},
		"label":        {Expression: `"No. " + string(years) + "/" + string(bonus) + "/" + string(date(born, "DD.MM.YYYY"))`, Types: map[string]string{"years": "int", "bonus": "decimal", "born": "string"}, AsNull: true},
		"aliases":      {Column: "aka", Delimiter: ";"},
		"address.city": {Column: "ort"},
		"address.zip":  {Expression: "string(plz)", Types: map[string]string{"plz": "int"}},
	}}
	for _, m := range MappedSchema.Fields[16].Fields {
		d.Mappings["extra."+m.Name] = mapping.Mapping{Column: "extra", Member: m.Name, AsNull: true}
	}
	return d
}

// MappedColumns are all that the dataset reads.
const MappedColumns = "id, wage_cents, bonus, years, given, middle, family, whole, g, mood, permit, born, entered, seen, digits, aka, ort, plz, extra"

const mappedRows = `
 (1, 123456, 10.5, 3, 'Ana', 'B', 'doe', 'Doe, Ana', 1, 'G', 'Y', '03.02.2001', '20010203', '2001-02-03T23:30:00-02:00', '42', 'Jo; J. ; ;Ann', 'Bonn', 53111,
  '{"city": "Bonn", "n": 12, "sum": 12.50, "yes": true, "since": "2001-02-03", "at": "2001-02-03T04:05:06.5+01:00", "kind": "a", "secret": "x"}', 'h'),
 (2, 1, 0, -1, 'Éva', NULL, 'Müller', 'Müller', 2, 'b', 'N', '29.02.2004', '20040229', '2001-02-03T00:00:00Z', '-7', '', NULL, NULL, '{"sum": "7", "n": null}', 'h'),
 (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'h'),
 (4, 100, 0.001, 0, 'A', '', 'b', ',x', 3, '?', 'Y', '01.12.0001', '20010229', '9999-12-31T23:59:59.999999Z', '4x', ';;', 'x', 1, '{"city": 5, "n": "12", "sum": true, "yes": "true", "since": "2001-02-30", "at": "x", "kind": 1}', 'h'),
 (5, 9000000000000000000, 0, 900000000000000000, 'C', ' ', 'D', ' Doe , C, D ', 9, 'B', 'Q', '30.02.2001', '2001-02-03', NULL, '12345678901234567890', 'a', 'y', 2, '[1]', 'h');
`

// MappedPostgreSQL makes the relation with its rows.
const MappedPostgreSQL = `
CREATE TABLE mapped (id int8, wage_cents int8, bonus numeric, years int8, given text, middle varchar(10), family text, whole text, g int2, mood text, permit char(1), born text,
  entered text, seen timestamptz, digits text, aka text, ort text, plz int4, extra jsonb, hidden text);
INSERT INTO mapped VALUES ` + mappedRows

// MappedSQLite does the same.
const MappedSQLite = `
CREATE TABLE mapped (id INTEGER, wage_cents INTEGER, bonus REAL, years INTEGER, given TEXT, middle TEXT, family TEXT, whole TEXT, g INTEGER, mood TEXT, permit TEXT, born TEXT,
  entered TEXT, seen TEXT, digits TEXT, aka TEXT, ort TEXT, plz INTEGER, extra TEXT, hidden TEXT);
INSERT INTO mapped VALUES ` + mappedRows

var mappedAnswers = []struct {
	fields []string
	filter string
	want   string
}{
	{[]string{"id", "wage", "months", "name", "family", "given"}, "", `{"id":1,"wage":"1245.06","months":36,"name":"Ana B DOE","family":"Doe","given":"Ana"}
{"id":2,"wage":"0.01","months":-12,"name":"Éva MüLLER","family":"Müller","given":null}
{"id":3,"wage":null,"months":null,"name":null,"family":null,"given":null}
{"id":4,"wage":"1.001","months":0,"name":"A  B","family":null,"given":"x"}`},
	{[]string{"id", "mood", "entered", "day", "number", "label", "aliases", "address"}, "", `{"id":1,"mood":"good","entered":"2001-02-03","day":"2001-02-04","number":42,"label":"No. 3/10.5/2001-02-03","aliases":["Jo","J.","Ann"],"address":{"city":"Bonn","zip":"53111"}}
{"id":2,"mood":"bad","entered":"2004-02-29","day":"2001-02-03","number":-7,"label":"No. -1/0/2004-02-29","aliases":[],"address":null}
{"id":3,"mood":null,"entered":null,"day":null,"number":null,"label":null,"aliases":null,"address":null}
{"id":4,"mood":null,"entered":null,"day":"9999-12-31","number":null,"label":"No. 0/0.001/0001-12-01","aliases":[],"address":{"city":"x","zip":"1"}}
{"id":5,"mood":"bad","entered":null,"day":null,"number":null,"label":null,"aliases":["a"],"address":{"city":"y","zip":"2"}}`},
	{[]string{"id", "sex", "permit", "born"}, `id != 5`, `{"id":1,"sex":"M","permit":true,"born":"2001-02-03"}
{"id":2,"sex":"F","permit":false,"born":"2004-02-29"}
{"id":3,"sex":null,"permit":null,"born":null}
{"id":4,"sex":"F","permit":true,"born":"0001-12-01"}`},
	{[]string{"id", "extra"}, "", `{"id":1,"extra":{"city":"Bonn","n":12,"sum":"12.5","yes":true,"since":"2001-02-03","at":"2001-02-03T03:05:06.5Z","kind":"a"}}
{"id":2,"extra":{"city":null,"n":null,"sum":"7","yes":null,"since":null,"at":null,"kind":null}}
{"id":3,"extra":null}
{"id":4,"extra":null}
{"id":5,"extra":null}`},
}

var mappedFilters = []struct {
	text string
	ids  []int64
}{
	{`wage == 1245.06`, []int64{1}},
	{`wage < 2 && wage != 0.01`, []int64{4}},
	{`months >= 0`, []int64{1, 4}},
	{`name == "Ana B DOE"`, []int64{1}},
	{`family == "Doe"`, []int64{1, 5}},
	{`family.startsWith("M") || given == null`, []int64{2, 3}},
	{`sex == "F"`, []int64{2, 4}},
	{`sex == "X"`, nil},
	// A value that cannot be translated lets no row through: row 5 has sex 9.
	{`sex != "F"`, []int64{1, 3}},
	{`!(sex == "F") || id == 5`, []int64{1, 3}},
	{`sex in ["M", "F"]`, []int64{1, 2, 4}},
	{`mood != "good"`, []int64{2, 3, 4, 5}},
	{`mood == null`, []int64{3, 4}},
	{`permit`, []int64{1, 4}},
	{`!permit`, []int64{2, 3}},
	{`born == date("2001-02-03")`, []int64{1}},
	{`born != date("2001-02-03")`, []int64{2, 3, 4}},
	{`born < date("2004-02-29") && born >= date("2001-02-03")`, []int64{1}},
	{`entered == date("2004-02-29") || entered == null`, []int64{2, 3, 4, 5}},
	{`day == date("2001-02-04")`, []int64{1}},
	{`number > 0`, []int64{1}},
	{`"Ann" in aliases`, []int64{1}},
	{`!("a" in aliases)`, []int64{1, 2, 3, 4}},
	{`address.zip == "53111" && address.city == "Bonn"`, []int64{1}},
	{`extra.city == "Bonn" || extra.sum == 7`, []int64{1, 2}},
	{`extra.at == timestamp("2001-02-03T03:05:06.5Z") && extra.yes && extra.n == 12`, []int64{1}},
	{`name == "'; DROP TABLE mapped; --"`, nil},
}

// CheckMapped holds a source whose dataset has the rows, as Mapped has them, to the meaning.
func CheckMapped(t *testing.T, s source.Source, d *route.Dataset) {
	t.Helper()
	q := source.Query{Agreement: "mou", Dataset: d, Schema: MappedSchema, Limit: 100}
	for _, c := range mappedAnswers {
		q.Fields, q.Filter = c.fields, compile(t, c.filter)
		if slices.Contains(c.fields, "wage") {
			q.Filter = compile(t, "id != 5") // more months than an int of 18 digits
		}
		got, err := lines(t.Context(), s, q)
		slices.SortFunc(got, func(a, b string) int { return strings.Compare(idOf(a), idOf(b)) })
		if err != nil || strings.Join(got, "\n") != c.want {
			t.Errorf("%v: %v\n got %s\nwant %s", c.fields, err, strings.Join(got, "\n"), c.want)
		}
	}
	q.Fields = []string{"id"}
	for _, c := range mappedFilters {
		q.Filter = compile(t, c.text)
		var ids []int64
		_, err := s.Records(t.Context(), q, func(r *gatewayv1.Record) error {
			ids = append(ids, r.GetValues()[0].GetInteger())
			return nil
		})
		if err != nil || !slices.Equal(ids, c.ids) {
			t.Errorf("%s: %v, %v, want %v", c.text, ids, err, c.ids)
		}
		q.Persons = true
		if n, err := s.Count(t.Context(), q); err != nil || int(n) != len(c.ids) {
			t.Errorf("%s: counted %d, %v", c.text, n, err)
		}
		q.Persons = false
		if found, err := s.Exists(t.Context(), q); err != nil || found != (len(c.ids) > 0) {
			t.Errorf("%s: exists %v, %v", c.text, found, err)
		}
	}
	// A row filter that reads what cannot be translated hides the row, too.
	q.Filter, q.RowFilter = nil, compile(t, `sex != "M"`)
	if n, err := s.Count(t.Context(), q); err != nil || n != 3 {
		t.Errorf("behind a row filter: %d, %v", n, err)
	}
	q.RowFilter = nil
	// What cannot be translated is refused when it is asked for, and not told.
	for field, value := range map[string]string{"sex": "9", "born": "30.02", "permit": "Q", "months": "9000"} {
		q.Fields = []string{"id", field}
		_, err := lines(t.Context(), s, q)
		if err == nil || !strings.Contains(err.Error(), "field "+field+": a value of the source cannot be translated") || strings.Contains(err.Error(), value) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func compile(t *testing.T, text string) *filter.Filter {
	t.Helper()
	if text == "" {
		return nil
	}
	f, err := filter.Compile(MappedSchema, text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}
