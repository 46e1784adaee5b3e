package route

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Table is the routes that a gateway serves. Lookups take no lock; Put and Remove replace the whole in one step, so that a
// query sees one consistent table.
type Table struct {
	self Party
	mu   sync.Mutex // held by writers
	now  atomic.Pointer[snapshot]
	// subscribers, in the order in which they came; guarded by mu.
	subscribers []func(old, new *Route)
}

type snapshot struct {
	byAgreement map[string]*Route
}

// NewTable makes an empty table for the gateways of self.
func NewTable(self Party) *Table {
	t := &Table{self: self}
	t.now.Store(&snapshot{byAgreement: map[string]*Route{}})
	return t
}

// Self is the agency whose gateway the table serves.
func (t *Table) Self() Party { return t.self }

// Get returns the route of an agreement, or nil.
func (t *Table) Get(agreement string) *Route {
	return t.now.Load().byAgreement[agreement]
}

// All returns the routes by agreement id.
func (t *Table) All() []*Route {
	m := t.now.Load().byAgreement
	out := make([]*Route, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}

// Put serves the route from now on. It refuses a route of another agency, and one that is older than what is served.
func (t *Table) Put(r *Route) error {
	if r.Self != t.self {
		return fmt.Errorf("route %s: made for %s (%s), this gateway is %s (%s)", r.Agreement, r.Self.Agency, r.Self.TrustDomain, t.self.Agency, t.self.TrustDomain)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.now.Load()
	if cur, ok := old.byAgreement[r.Agreement]; ok && r.Sequence < cur.Sequence {
		return fmt.Errorf("route %s: sequence %d is older than %d, which is served", r.Agreement, r.Sequence, cur.Sequence)
	}
	next := maps.Clone(old.byAgreement)
	next[r.Agreement] = r
	t.now.Store(&snapshot{byAgreement: next})
	t.tell(old.byAgreement[r.Agreement], r)
	return nil
}

// Remove ends the serving of an agreement.
func (t *Table) Remove(agreement string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := maps.Clone(t.now.Load().byAgreement)
	gone := next[agreement]
	if gone == nil {
		return
	}
	delete(next, agreement)
	t.now.Store(&snapshot{byAgreement: next})
	t.tell(gone, nil)
}

// Subscribe calls fn for every route that is served, with old nil, and then for each change, after lookups already see it:
// old is nil for a new route, new is nil for a removed one. Calls come one at a time, in order; Put and Remove wait for
// them, so that an acknowledged revocation has reached every subscriber. fn must not call Put, Remove or Subscribe.
func (t *Table) Subscribe(fn func(old, new *Route)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subscribers = append(t.subscribers, fn)
	for _, r := range t.now.Load().byAgreement {
		fn(nil, r)
	}
}

func (t *Table) tell(old, new *Route) {
	for _, fn := range t.subscribers {
		fn(old, new)
	}
}
