package compile

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/httpclient"
	"github.com/entente-dev/entente/gateway/source/httpjson"
)

// TestHTTPIsRead: what compiling makes of a dataset and its document is what a gateway asks a real server with.
func TestHTTPIsRead(t *testing.T) {
	var asked []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.String()+" "+r.Header.Get("Authorization")+" "+string(body))
		w.Header().Set("Content-Type", "application/json")
		var search struct{ Page struct{ After string } }
		if err := json.Unmarshal(body, &search); err != nil {
			t.Error(err)
		}
		next := `"two"`
		if search.Page.After != "" {
			next = "null"
		}
		fmt.Fprintf(w, `{"wages":[{"person":{"id":"P-1"},"employer":{"name":"Acme%s","ein":"x"},"wage":"412.50","state":"open"}],"total":2,"next":%s}`, search.Page.After, next)
	}))
	defer server.Close()

	f := readFixture(t, "testdata/http.in.yaml")
	d := f.datasets["payroll"]
	d.Spec.Source.HTTP.URL, d.Spec.Source.HTTP.Authentication = server.URL+"/api/", d.Spec.Source.HTTP.Authentication[1:] // Bearer
	d.Spec.Source.HTTP.CABundle = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	r := Compile(f.index(f.Now[1].Time), nil, f.Now[1].Time)["payroll"]
	f.writeBack(t, r, f.Now[0].Time)
	r = Compile(f.index(f.Now[1].Time), nil, f.Now[1].Time)["payroll"]
	if r.Route == nil || len(r.Route.Versions) != 1 {
		t.Fatalf("%+v", r.Versions[0].Status.Conditions)
	}
	plan, refusal := enforce.Decide(enforce.Input{
		Asked: enforce.Asked{
			Recipient: r.Route.Versions[0].Clauses[0].Recipients[0].Party, Agreement: "payroll", Clause: "wages", Schema: "employment",
			Filter: `person_id == "P-1"`, Purpose: "entente:trafficking-investigation",
		},
		Route: r.Route, Now: f.Now[1].Time, Compile: filter.Compile,
	})
	if refusal != nil {
		t.Fatal(refusal.Message)
	}
	dataset := plan.Clause.Datasets[0]
	dataset.Consent = nil // which is another package's
	s := httpjson.New(httpclient.NewPool(httpclient.Options{Secrets: func(context.Context, string) (httpclient.Secret, error) {
		return httpclient.NewSecret(map[string]string{"token": "t"})
	}}))
	defer s.Close()
	var got []string
	more, err := s.Records(t.Context(), source.Query{
		Agreement: "payroll", Dataset: &dataset, Schema: &plan.Clause.Schema, Filter: plan.Filter, RowFilter: plan.RowFilter, Fields: plan.Fields, Limit: plan.Limit,
	}, func(r *gatewayv1.Record) error {
		for _, v := range r.GetValues() {
			got = append(got, v.GetText())
		}
		return nil
	})
	if want := []string{"Acme", "412.50", "open", "Acmetwo", "412.50", "open"}; err != nil || more || !slices.Equal(got, want) {
		t.Errorf("%q, %v, %v", got, more, err)
	}
	const to = "POST /api/v2/wages/search?tenant=labor Bearer t "
	if want := []string{
		to + `{"order":"person","page":{"size":500},"query":{"person":"P-1","state":"open"}}`,
		to + `{"order":"person","page":{"after":"two","size":500},"query":{"person":"P-1","state":"open"}}`,
	}; !slices.Equal(asked, want) {
		t.Errorf("asked %q", asked)
	}
}
