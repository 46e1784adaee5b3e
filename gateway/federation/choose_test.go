package federation

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/metrics"
	"github.com/entente-dev/entente/gateway/route"
)

// many is a core that knows n agencies, each with three clauses for schema person and nine for others.
func many(t testing.TB, n int) *Core {
	t.Helper()
	table := route.NewTable(me)
	fields := []route.Field{{Name: "nr", Type: "string"}, {Name: "family_name", Type: "string"}, {Name: "birth_date", Type: "date"}, {Name: "employer", Type: "string"}}
	for i := range n {
		agency := fmt.Sprintf("agency-%04d", i)
		v := route.Version{Version: 1, Digest: "sha256:x", NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		for j := range 12 {
			schema := "person"
			if j >= 3 {
				schema = fmt.Sprintf("other-%d", j)
			}
			v.Clauses = append(v.Clauses, route.Clause{
				Name: fmt.Sprintf("c%d", j), Source: route.Peer{Party: route.Party{Agency: agency, TrustDomain: agency + ".example"}, Gateway: "x:1"},
				Recipients: []route.Recipient{{Party: me}}, Schema: route.Schema{Name: schema, Version: 1, Digest: "sha256:s", Fields: fields},
				Purposes: []string{fmt.Sprintf("entente:purpose-%d", j)}, Granularity: "Records", Fields: []string{"nr", "family_name", "birth_date"},
				FilterFields: []string{"nr", "family_name"}, RequireSelectors: [][]string{{"nr"}},
			})
		}
		if err := table.Put(&route.Route{Format: 1, Agreement: "agr-" + agency, Sequence: 1, Self: me, Versions: []route.Version{v}}); err != nil {
			t.Fatal(err)
		}
	}
	return New(Config{Table: table, Compile: filter.NewCache(64).Compile, Metrics: metrics.New(), Logger: slog.New(slog.DiscardHandler)})
}

func TestChooseAmongMany(t *testing.T) {
	c := many(t, 1000)
	req := &gatewayv1.QueryRequest{Schema: "person", Filter: `nr == "1"`, Purpose: "entente:purpose-2"}
	choices, refusal := c.choose(req, nil, User{}, time.Now())
	if refusal != nil || len(choices) != 1000 {
		t.Fatalf("%d %v", len(choices), refusal)
	}
	for _, ch := range choices {
		if ch.plan == nil || ch.clause != "c2" {
			t.Fatalf("%+v", ch)
		}
	}
	q := &query{core: c, req: req}
	if e := q.plan(context.Background(), choices); e == nil || e.Kind != Invalid || !strings.Contains(e.Message, "1000 agencies") || !strings.Contains(e.Message, "at most 256") {
		t.Errorf("a thousand at once: %v", e)
	}
	req.Agencies = []string{"agency-0007", "agency-0999"}
	if choices, refusal = c.choose(req, nil, User{}, time.Now()); refusal != nil || len(choices) != 2 {
		t.Errorf("two that are named: %d %v", len(choices), refusal)
	}

	list := func(req *gatewayv1.ListDatasetsRequest) (out []string, token string) {
		resp, err := c.ListDatasets(context.Background(), User{}, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range resp.GetDatasets() {
			out = append(out, d.GetSchema()+"/"+d.GetAgency()+"/"+d.GetClause())
		}
		return out, resp.GetNextPageToken()
	}
	whole, token := list(&gatewayv1.ListDatasetsRequest{})
	if len(whole) != 12_000 || token != "" {
		t.Errorf("%d listed, %q", len(whole), token)
	}
	var paged []string
	for token := ""; ; {
		var page []string
		if page, token = list(&gatewayv1.ListDatasetsRequest{PageSize: 997, PageToken: token}); len(page) > 997 {
			t.Fatalf("a page of %d", len(page))
		}
		if paged = append(paged, page...); token == "" {
			break
		}
	}
	if strings.Join(paged, " ") != strings.Join(whole, " ") {
		t.Errorf("in pages: %d, whole: %d", len(paged), len(whole))
	}
	if got, _ := list(&gatewayv1.ListDatasetsRequest{Schema: "person.v1", Agencies: []string{"agency-0003", "nobody"}}); len(got) != 3 || got[0] != "person.v1/agency-0003/c0" {
		t.Errorf("%v", got)
	}
	if got, _ := list(&gatewayv1.ListDatasetsRequest{Schema: "person.v2"}); len(got) != 0 {
		t.Errorf("%v", got)
	}
	for _, bad := range []*gatewayv1.ListDatasetsRequest{{PageSize: -1}, {PageSize: maxListed + 1}, {PageToken: "?"}, {PageToken: "QUFB"}} {
		if _, err := c.ListDatasets(context.Background(), User{}, bad); err == nil {
			t.Errorf("%v", bad)
		}
	}
}

// BenchmarkChoose decides for all of 1,000 agencies with 12 clauses each, and for two that are named.
func BenchmarkChoose(b *testing.B) {
	c := many(b, 1000)
	req := &gatewayv1.QueryRequest{Schema: "person", Filter: `nr == "1"`, Purpose: "entente:purpose-2"}
	for name, agencies := range map[string][]string{"all": nil, "two": {"agency-0007", "agency-0999"}} {
		b.Run(name, func(b *testing.B) {
			req.Agencies = agencies
			b.ReportAllocs()
			for b.Loop() {
				if _, refusal := c.choose(req, nil, User{}, time.Now()); refusal != nil {
					b.Fatal(refusal)
				}
			}
		})
	}
}
