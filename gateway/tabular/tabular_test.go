package tabular_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/tabular"
)

var all = []*route.Field{
	{Name: "nr", Type: "string"}, {Name: "age", Type: "int"}, {Name: "wage", Type: "decimal"}, {Name: "wanted", Type: "bool"},
	{Name: "born", Type: "date"}, {Name: "seen", Type: "timestamp"},
}

func text(s string) *gatewayv1.Value {
	return &gatewayv1.Value{Kind: &gatewayv1.Value_Text{Text: s}}
}

func number(n int64) *gatewayv1.Value {
	return &gatewayv1.Value{Kind: &gatewayv1.Value_Integer{Integer: n}}
}

// frame of a source, or of none, with rows.
func frame(t testing.TB, agency string, fields []*route.Field, rows ...[]*gatewayv1.Value) *gatewayv1.QueryResponse {
	t.Helper()
	b := columns.New(fields)
	for _, values := range rows {
		if err := b.PutRecord(&gatewayv1.Record{Values: values}); err != nil {
			t.Fatal(err)
		}
		b.EndRow()
	}
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	f := &gatewayv1.QueryResponse{Records: &gatewayv1.RecordBatch{}, Arrow: data}
	if agency != "" {
		f.Records.Provenance = &gatewayv1.Provenance{Agency: agency, Dataset: "people", Agreement: "agr.v1", Clause: "c", DisclosureId: "id-" + agency, Obligations: &gatewayv1.Obligations{DestroyBy: "2027-01-02"}}
	}
	return f
}

// answer of two agencies, one of which discloses fewer fields and has numbers of another type.
func answer(t testing.TB) []*gatewayv1.QueryResponse {
	return []*gatewayv1.QueryResponse{
		frame(t, "", all),
		frame(t, "border", all,
			[]*gatewayv1.Value{text(`=HYPERLINK("x")`), number(-5), text("-12.50"), {Kind: &gatewayv1.Value_Boolean{Boolean: true}}, text("2001-02-03"), text("2026-11-25T20:00:00.5Z")},
			[]*gatewayv1.Value{{}, {}, {}, {}, {}, {}}),
		frame(t, "inspectorate", []*route.Field{{Name: "age", Type: "int"}, {Name: "nr", Type: "int"}}, []*gatewayv1.Value{number(7), number(42)}),
		frame(t, "border", all, []*gatewayv1.Value{text("a, b\r\n\"c\""), number(1), {}, {}, {}, {}}, []*gatewayv1.Value{text(""), {}, {}, {}, {}, {}}),
		{Source: &gatewayv1.SourceStatus{Agency: "border"}}, {Summary: &gatewayv1.QuerySummary{}},
	}
}

func write(t testing.TB, w tabular.Writer, frames []*gatewayv1.QueryResponse) {
	t.Helper()
	for _, f := range frames {
		if err := w.Frame(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
}

func TestCSV(t *testing.T) {
	var out bytes.Buffer
	write(t, &tabular.CSV{W: &out}, answer(t))
	const border, inspectorate = "border,people,agr.v1,c,id-border,Prohibited,2027-01-02,,", "inspectorate,people,agr.v1,c,id-inspectorate,Prohibited,2027-01-02,,"
	want := strings.Join([]string{
		"source.agency,source.dataset,source.agreement,source.clause,source.disclosureId,source.redisclosure,source.destroyBy,source.noActionBefore,nr,age,wage,wanted,born,seen",
		border + `"'=HYPERLINK(""x"")",-5,-12.50,true,2001-02-03,2026-11-25T20:00:00.5Z`, border + ",,,,,",
		inspectorate + "42,7,,,,",
		border + "\"a, b\r\n\"\"c\"\"\",1,,,,", border + `"",,,,,`, "",
	}, "\r\n")
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if rows, err := csv.NewReader(&out).ReadAll(); err != nil || len(rows) != 6 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	// Nothing was found: the header stands alone.
	out.Reset()
	write(t, &tabular.CSV{W: &out}, answer(t)[:1])
	if strings.Count(out.String(), "\r\n") != 1 || !strings.HasSuffix(out.String(), ",seen\r\n") {
		t.Errorf("%q", out.String())
	}
}

func TestFormulas(t *testing.T) {
	var out bytes.Buffer
	var rows [][]*gatewayv1.Value
	for _, s := range []string{"=1", "+1", "-1", "@x", "\tx", "\rx", "x=1", " =1"} {
		rows = append(rows, []*gatewayv1.Value{text(s)})
	}
	write(t, &tabular.CSV{W: &out}, []*gatewayv1.QueryResponse{frame(t, "", all[:1]), frame(t, "a", all[:1], rows...)})
	got, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var cells []string
	for _, row := range got[1:] {
		cells = append(cells, row[8])
	}
	// encoding/csv reads \r\n as \n, and a lone \r as it is.
	if want := []string{"'=1", "'+1", "'-1", "'@x", "'\tx", "'\rx", "x=1", " =1"}; !reflect.DeepEqual(cells, want) {
		t.Errorf("%q, want %q", cells, want)
	}
}

func TestArrow(t *testing.T) {
	var out bytes.Buffer
	write(t, &tabular.Arrow{W: &out}, answer(t))
	r, err := ipc.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	if f := r.Schema().Field(8 + 2); f.Type.ID() != arrow.STRING || f.Metadata.String() != `["entente.type": "decimal"]` {
		t.Errorf("%v %s", f, f.Metadata)
	}
	var agencies, numbers, marks []string
	for r.Next() {
		b := r.RecordBatch()
		agency := b.Column(0).(*array.Dictionary)
		for i := range int(b.NumRows()) {
			agencies = append(agencies, agency.Dictionary().(*array.String).Value(agency.GetValueIndex(i)))
			numbers = append(numbers, b.Column(8).ValueStr(i))
			marks = append(marks, fmt.Sprint(b.Column(5).ValueStr(i), b.Column(7).IsNull(i)))
		}
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	if want := []string{"border", "border", "inspectorate", "border", "border"}; !reflect.DeepEqual(agencies, want) {
		t.Errorf("agencies %q", agencies)
	}
	if want := []string{`=HYPERLINK("x")`, "(null)", "42", "a, b\r\n\"c\"", ""}; !reflect.DeepEqual(numbers, want) {
		t.Errorf("numbers %q", numbers)
	}
	if want := "Prohibitedtrue"; marks[0] != want || marks[4] != want {
		t.Errorf("marks %q", marks)
	}
}

func TestNotByColumns(t *testing.T) {
	for name, frames := range map[string][]*gatewayv1.QueryResponse{
		"records":           {frame(t, "", all), {Records: &gatewayv1.RecordBatch{Records: []*gatewayv1.Record{{}}}}},
		"no columns first":  {frame(t, "a", all)},
		"a column too many": {frame(t, "", all[:1]), frame(t, "a", all)},
		"what is no Arrow":  {{Arrow: []byte("x")}},
	} {
		for _, w := range []tabular.Writer{&tabular.CSV{W: &bytes.Buffer{}}, &tabular.Arrow{W: &bytes.Buffer{}}} {
			var err error
			for _, f := range frames {
				if err == nil {
					err = w.Frame(f)
				}
			}
			if err == nil || w.Started() {
				t.Errorf("%s: %T: %v", name, w, err)
			}
		}
	}
}
