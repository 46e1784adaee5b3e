package route

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Table is the routes that a gateway serves. Lookups take no lock, and a change costs the same however many routes there are.
type Table struct {
	self   Party
	served sync.Map // agreement id → *Route; empty while withheld
	mu     sync.Mutex
	// all routes, served or withheld; guarded by mu.
	all map[string]*Route
	// withheld: nothing is served; guarded by mu.
	withheld bool
	// subscribers, in the order in which they came; guarded by mu.
	subscribers []func(old, new *Route)
}

// NewTable makes an empty table for the gateways of self.
func NewTable(self Party) *Table {
	return &Table{self: self, all: map[string]*Route{}}
}

// Self is the agency whose gateway the table serves.
func (t *Table) Self() Party { return t.self }

// Get returns the route of an agreement, or nil.
func (t *Table) Get(agreement string) *Route {
	r, ok := t.served.Load(agreement)
	if !ok {
		return nil
	}
	return r.(*Route)
}

// All returns the routes that are served, by agreement id.
func (t *Table) All() []*Route {
	var out []*Route
	t.served.Range(func(_, r any) bool {
		out = append(out, r.(*Route))
		return true
	})
	slices.SortFunc(out, func(a, b *Route) int { return cmp.Compare(a.Agreement, b.Agreement) })
	return out
}

// Put serves the route from now on. It refuses a route of another agency, and one that is older than what is served.
func (t *Table) Put(r *Route) error {
	if r.Self != t.self {
		return fmt.Errorf("route %s: made for %s (%s), this gateway is %s (%s)", r.Agreement, r.Self.Agency, r.Self.TrustDomain, t.self.Agency, t.self.TrustDomain)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.all[r.Agreement]
	if old != nil && r.Sequence < old.Sequence {
		return fmt.Errorf("route %s: sequence %d is older than %d, which is served", r.Agreement, r.Sequence, old.Sequence)
	}
	t.all[r.Agreement] = r
	if !t.withheld {
		t.served.Store(r.Agreement, r)
		t.tell(old, r)
	}
	return nil
}

// Remove ends the serving of an agreement.
func (t *Table) Remove(agreement string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	gone := t.all[agreement]
	if gone == nil {
		return
	}
	delete(t.all, agreement)
	if !t.withheld {
		t.served.Delete(agreement)
		t.tell(gone, nil)
	}
}

// Withhold serves nothing, as if every route were removed, until Restore: for a gateway that has heard nothing of its operator
// for too long to know that its routes still stand.
func (t *Table) Withhold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.withheld {
		return
	}
	t.withheld = true
	t.served.Clear()
	for _, id := range slices.Sorted(maps.Keys(t.all)) {
		t.tell(t.all[id], nil)
	}
}

// Restore serves again what there is.
func (t *Table) Restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.withheld {
		return
	}
	t.withheld = false
	for _, id := range slices.Sorted(maps.Keys(t.all)) {
		t.served.Store(id, t.all[id])
		t.tell(nil, t.all[id])
	}
}

// Subscribe calls fn for every route that is served, with old nil, and then for each change, after lookups already see it:
// old is nil for a new route, new is nil for a removed one. Calls come one at a time, in order; Put and Remove wait for
// them, so that an acknowledged revocation has reached every subscriber. fn must not call Put, Remove or Subscribe.
func (t *Table) Subscribe(fn func(old, new *Route)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subscribers = append(t.subscribers, fn)
	if t.withheld {
		return
	}
	for _, r := range t.all {
		fn(nil, r)
	}
}

func (t *Table) tell(old, new *Route) {
	for _, fn := range t.subscribers {
		fn(old, new)
	}
}
