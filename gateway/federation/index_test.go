package federation

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/route"
)

var me = route.Party{Agency: "me", TrustDomain: "me.example"}

func outbound(agreement string, sequence int64, schema string, sources ...string) *route.Route {
	v := route.Version{Version: 1, NotAfter: time.Now().Add(time.Hour)}
	for _, s := range sources {
		v.Clauses = append(v.Clauses, route.Clause{Name: "c", Source: route.Peer{Party: route.Party{Agency: s, TrustDomain: s}}, Recipients: []route.Recipient{{Party: me}}, Schema: route.Schema{Name: schema, Version: 1}})
	}
	return &route.Route{Format: 1, Agreement: agreement, Sequence: sequence, Self: me, Versions: []route.Version{v}}
}

func TestIndexFollowsTheTable(t *testing.T) {
	table := route.NewTable(me)
	put := func(r *route.Route) {
		t.Helper()
		if err := table.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	put(outbound("early", 1, "person", "z")) // before anyone follows
	x := newIndex(me)
	table.Subscribe(x.follow)
	expect := func(schema, want string) {
		t.Helper()
		got := ""
		found := x.lookup(schema, nil)
		for _, agency := range slices.Sorted(maps.Keys(found)) {
			for _, o := range found[agency] {
				got += fmt.Sprintf("%s/%s ", o.agency, o.agreement)
				if o.suspended {
					got += "suspended "
				}
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", schema, got, want)
		}
	}
	put(outbound("b", 1, "person", "y", "x"))
	put(outbound("a", 1, "person", "y"))
	put(outbound("v", 1, "vessel", "x"))
	own := outbound("own", 1, "person", "me")
	own.Versions[0].Clauses[0].Source.Party = me
	put(own) // a source is no recipient of itself
	x.follow(nil, &route.Route{Agreement: "nothing", Self: me})
	expect("person", "x/b y/a y/b z/early ")
	expect("person.v1", "x/b y/a y/b z/early ")
	expect("person.v1x", "")
	expect("perso", "")
	put(outbound("b", 2, "vessel", "y")) // moves to another schema
	expect("person", "y/a z/early ")
	expect("vessel", "x/v y/b ")
	put(&route.Route{Format: 1, Agreement: "a", Sequence: 2, Self: me, Tombstone: &route.Tombstone{Reason: "Suspended"}})
	expect("person", "y/a suspended z/early ")
	put(outbound("a", 3, "person", "y"))
	expect("person", "y/a z/early ")
	table.Remove("a")
	table.Remove("early")
	table.Remove("never")
	expect("person", "")
	if len(x.byAgreement) != 2 || len(x.bySchema) != 1 {
		t.Errorf("left: %v %v", x.byAgreement, x.bySchema)
	}
}

// BenchmarkLoad puts ten thousand agreements with a hundred agencies into a followed table.
func BenchmarkLoad(b *testing.B) {
	routes := make([]*route.Route, 10000)
	for i := range routes {
		routes[i] = outbound(fmt.Sprintf("agr-%d", i), 1, "person", fmt.Sprintf("agency-%d", i%100))
	}
	for b.Loop() {
		table := route.NewTable(me)
		table.Subscribe(newIndex(me).follow)
		for _, r := range routes {
			if err := table.Put(r); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkMemory says what an agreement costs a gateway: ten thousand routes of the size of the sample's, decoded as they come, served
// and indexed.
func BenchmarkMemory(b *testing.B) {
	const n = 10000
	clause := func(name, source string) route.Clause {
		c := route.Clause{
			Name: name, Source: route.Peer{Party: route.Party{Agency: source, TrustDomain: source + ".example"}, Gateway: "gateway." + source + ".example:9443", Exchange: "exchange." + source + ".example:9444", TrustBundle: strings.Repeat("x", 700)},
			Recipients: []route.Recipient{{Party: me}}, Purposes: []string{"entente:trafficking-investigation"}, Granularity: "Records",
			RequireSelectors: [][]string{{"f0"}, {"f1", "f2"}}, CaseReference: "TF-[0-9]{4}-[0-9]{3}", RecordsPerQuery: 50,
			Schema: route.Schema{Name: "person", Version: 1, Digest: "sha256:" + strings.Repeat("d", 43)},
		}
		for i := range 12 {
			f := fmt.Sprintf("f%d", i)
			c.Schema.Fields = append(c.Schema.Fields, route.Field{Name: f, Type: "string"})
			c.Fields, c.FilterFields = append(c.Fields, f), append(c.FilterFields, f)
		}
		return c
	}
	payloads := make([][]byte, n)
	size := 0
	for i := range payloads {
		r := outbound(fmt.Sprintf("agr-%d", i), 1, "person")
		r.Versions[0].Clauses = []route.Clause{clause("one", fmt.Sprintf("agency-%d", i%100)), clause("two", fmt.Sprintf("agency-%d", (i+1)%100))}
		r.Versions[0].Digest = "sha256:" + strings.Repeat("e", 43)
		payload, err := route.Encode(r)
		if err != nil {
			b.Fatal(err)
		}
		payloads[i], size = payload, size+len(payload)
	}
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		table := route.NewTable(me)
		x := newIndex(me)
		table.Subscribe(x.follow)
		for _, p := range payloads {
			r, err := route.Decode(p)
			if err != nil {
				b.Fatal(err)
			}
			if err := table.Put(r); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(table)
		runtime.KeepAlive(x)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/agreement")
	b.ReportMetric(float64(size)/n, "B/payload")
}
