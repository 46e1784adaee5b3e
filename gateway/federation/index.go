package federation

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/entente-dev/entente/gateway/route"
)

// offer is one clause under which this agency may ask another: where to look when a query comes. Whether it is in force, and
// what it permits, is decided on the route itself.
type offer struct {
	agency    string
	agreement string
	clause    string
	// ended: the agreement has a tombstone. The offer is kept so that a query can be told why it is refused.
	ended bool
	// suspended: the tombstone may be lifted.
	suspended bool
}

// index finds offers by schema. It follows the table, so that a query among ten thousand agreements looks at few.
type index struct {
	mu          sync.RWMutex
	bySchema    map[string][]offer            // sorted; replaced, never changed
	byAgreement map[string]map[string][]offer // what each agreement contributes to each schema
	self        route.Party
}

func newIndex(self route.Party) *index {
	return &index{self: self, bySchema: map[string][]offer{}, byAgreement: map[string]map[string][]offer{}}
}

// lookup gives the offers for a schema, asked for as a name or as name.vN.
func (x *index) lookup(schema string) []offer {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if found := x.bySchema[schema]; found != nil {
		return found
	}
	if i := strings.LastIndex(schema, ".v"); i > 0 {
		if _, err := strconv.ParseInt(schema[i+2:], 10, 64); err == nil {
			return x.bySchema[schema[:i]]
		}
	}
	return nil
}

// all gives every offer.
func (x *index) all() []offer {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var out []offer
	for _, name := range slices.Sorted(maps.Keys(x.bySchema)) {
		out = append(out, x.bySchema[name]...)
	}
	return out
}

// follow is told of every change of the table.
func (x *index) follow(old, new *route.Route) {
	var agreement string
	var next map[string][]offer
	switch {
	case new == nil:
		agreement = old.Agreement
	case new.Tombstone != nil:
		agreement = new.Agreement
		x.mu.RLock()
		next = ended(x.byAgreement[agreement], new.Tombstone.Reason)
		x.mu.RUnlock()
	default:
		agreement = new.Agreement
		next = x.offersOf(new)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	touched := map[string]bool{}
	for name := range x.byAgreement[agreement] {
		touched[name] = true
	}
	for name := range next {
		touched[name] = true
	}
	for name := range touched {
		list := slices.Clone(x.bySchema[name])
		list = slices.DeleteFunc(list, func(o offer) bool { return o.agreement == agreement })
		list = append(list, next[name]...)
		slices.SortFunc(list, func(a, b offer) int {
			return cmp.Or(cmp.Compare(a.agency, b.agency), cmp.Compare(a.agreement, b.agreement), cmp.Compare(a.clause, b.clause))
		})
		if len(list) == 0 {
			delete(x.bySchema, name)
		} else {
			x.bySchema[name] = list
		}
	}
	if len(next) == 0 {
		delete(x.byAgreement, agreement)
	} else {
		x.byAgreement[agreement] = next
	}
}

// offersOf gives the clauses of every version of the route under which this agency is a recipient.
func (x *index) offersOf(r *route.Route) map[string][]offer {
	out := map[string][]offer{}
	for i := range r.Versions {
		for j := range r.Versions[i].Clauses {
			c := &r.Versions[i].Clauses[j]
			if c.Source.Party == x.self || !c.HasRecipient(x.self) {
				continue
			}
			o := offer{agency: c.Source.Agency, agreement: r.Agreement, clause: c.Name}
			if !slices.Contains(out[c.Schema.Name], o) {
				out[c.Schema.Name] = append(out[c.Schema.Name], o)
			}
		}
	}
	return out
}

// ended marks the offers of an agreement that has a tombstone.
func ended(offers map[string][]offer, reason string) map[string][]offer {
	out := make(map[string][]offer, len(offers))
	for name, list := range offers {
		list = slices.Clone(list)
		for i := range list {
			list[i].ended = true
			list[i].suspended = reason == "Suspended"
		}
		out[name] = list
	}
	return out
}
