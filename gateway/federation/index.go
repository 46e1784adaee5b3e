package federation

import (
	"cmp"
	"iter"
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
	found := x.bySchema[x.named(schema)]
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

// nameOf gives the name of a schema that is asked for as a name or as name.vN.
func (x *index) nameOf(schema string) string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.named(schema)
}

func (x *index) named(schema string) string {
	if i := strings.LastIndex(schema, ".v"); x.bySchema[schema] == nil && i > 0 {
		if _, err := strconv.ParseInt(schema[i+2:], 10, 64); err == nil {
			return schema[:i]
		}
	}
	return schema
}

// list gives the offers after a place, in their order: of one schema, asked for as a name or as name.vN, or of all; of the agencies named,
// or of all.
func (x *index) list(schema string, agencies []string, after listed) iter.Seq2[listed, offer] {
	return func(yield func(listed, offer) bool) {
		var schemas []string
		if schema == "" {
			x.mu.RLock()
			schemas = slices.Sorted(maps.Keys(x.bySchema))
			x.mu.RUnlock()
		} else {
			schemas = []string{x.nameOf(schema)}
		}
		for _, name := range schemas {
			if name < after.schema {
				continue
			}
			found := x.lookup(name, agencies)
			for _, agency := range slices.Sorted(maps.Keys(found)) {
				if name == after.schema && agency < after.agency {
					continue
				}
				for _, o := range found[agency] {
					at := listed{name, agency, o.agreement, o.clause}
					if at.compare(after) > 0 && !yield(at, o) {
						return
					}
				}
			}
		}
	}
}

func (l listed) compare(m listed) int {
	return cmp.Or(cmp.Compare(l.schema, m.schema), cmp.Compare(l.agency, m.agency), cmp.Compare(l.agreement, m.agreement), cmp.Compare(l.clause, m.clause))
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
