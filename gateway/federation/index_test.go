package federation

import (
	"fmt"
	"maps"
	"slices"
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
