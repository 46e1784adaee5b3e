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
	// suspended: the agreement has a tombstone that may be lifted. The offers of an agreement that ended are kept, so that
	// a query that names the agency can be told why it is refused; those of a suspended one for every query.
	suspended bool
}

// index finds offers by schema and agency. It follows the table, so that a query among ten thousand agreements looks at few,
// and a change costs what it touches.
type index struct {
	self route.Party

	mu sync.RWMutex
	// bySchema: schema → agency → offers, sorted; a list is replaced, never changed.
	bySchema map[string]map[string][]offer
	// byAgreement is what each agreement has in there.
	byAgreement map[string]map[slot][]offer
}

// slot is one list of the index.
type slot struct{ schema, agency string }

func newIndex(self route.Party) *index {
	return &index{self: self, bySchema: map[string]map[string][]offer{}, byAgreement: map[string]map[slot][]offer{}}
}

// lookup gives the offers for a schema, asked for as a name or as name.vN, by agency: of the agencies named, or of all.
func (x *index) lookup(schema string, agencies []string) map[string][]offer {
	x.mu.RLock()
	defer x.mu.RUnlock()
	found := x.bySchema[schema]
	if i := strings.LastIndex(schema, ".v"); found == nil && i > 0 {
		if _, err := strconv.ParseInt(schema[i+2:], 10, 64); err == nil {
			found = x.bySchema[schema[:i]]
		}
	}
	if len(agencies) == 0 {
		return maps.Clone(found)
	}
	out := make(map[string][]offer, len(agencies))
	for _, a := range agencies {
		if list, ok := found[a]; ok {
			out[a] = list
		}
	}
	return out
}

// all gives every offer.
func (x *index) all() []offer {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var out []offer
	for _, schema := range slices.Sorted(maps.Keys(x.bySchema)) {
		for _, agency := range slices.Sorted(maps.Keys(x.bySchema[schema])) {
			out = append(out, x.bySchema[schema][agency]...)
		}
	}
	return out
}

// follow is told of every change of the table.
func (x *index) follow(old, new *route.Route) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var agreement string
	var next map[slot][]offer
	switch {
	case new == nil:
		agreement = old.Agreement
	case new.Tombstone != nil:
		agreement = new.Agreement
		next = ended(x.byAgreement[agreement], new.Tombstone.Reason)
	default:
		agreement = new.Agreement
		next = x.offersOf(new)
	}
	for s := range x.byAgreement[agreement] {
		x.replace(s, agreement, next[s])
	}
	for s := range next {
		x.replace(s, agreement, next[s])
	}
	if len(next) == 0 {
		delete(x.byAgreement, agreement)
	} else {
		x.byAgreement[agreement] = next
	}
}

// replace puts an agreement's offers into a list in place of those it has there.
func (x *index) replace(s slot, agreement string, next []offer) {
	list := slices.DeleteFunc(slices.Clone(x.bySchema[s.schema][s.agency]), func(o offer) bool { return o.agreement == agreement })
	list = append(list, next...)
	slices.SortFunc(list, func(a, b offer) int {
		return cmp.Or(cmp.Compare(a.agreement, b.agreement), cmp.Compare(a.clause, b.clause))
	})
	switch {
	case len(list) > 0 && x.bySchema[s.schema] == nil:
		x.bySchema[s.schema] = map[string][]offer{s.agency: list}
	case len(list) > 0:
		x.bySchema[s.schema][s.agency] = list
	default:
		delete(x.bySchema[s.schema], s.agency)
		if len(x.bySchema[s.schema]) == 0 {
			delete(x.bySchema, s.schema)
		}
	}
}

// offersOf gives the clauses of every version of the route under which this agency is a recipient.
func (x *index) offersOf(r *route.Route) map[slot][]offer {
	out := map[slot][]offer{}
	for i := range r.Versions {
		for j := range r.Versions[i].Clauses {
			c := &r.Versions[i].Clauses[j]
			if c.Source.Party == x.self || !c.HasRecipient(x.self) {
				continue
			}
			o := offer{agency: c.Source.Agency, agreement: r.Agreement, clause: c.Name}
			at := slot{c.Schema.Name, o.agency}
			if !slices.Contains(out[at], o) {
				out[at] = append(out[at], o)
			}
		}
	}
	return out
}

// ended marks the offers of an agreement that has a tombstone.
func ended(offers map[slot][]offer, reason string) map[slot][]offer {
	out := make(map[slot][]offer, len(offers))
	for at, list := range offers {
		list = slices.Clone(list)
		for i := range list {
			list[i].suspended = reason == "Suspended"
		}
		out[at] = list
	}
	return out
}
