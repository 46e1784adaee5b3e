package federation

import (
	"fmt"
	"slices"
	"strings"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/order"
)

// duplicates makes one of the records that are the same by the query's key. The first stands for all, and names who else holds it and in
// which fields they differ from it, so that neither a provenance nor a contradiction is lost.
//
// When the order of the answer begins with the fields of the key, equal records come one after another, and one group is kept at a time.
// Otherwise the merge keeps every answer whole, and a query whose answers are larger than maxHeld fails.
type duplicates struct {
	key     []string
	ordered bool
	found   int64
	groups  []*group // in the order of their first records
	byKey   map[string]*group
}

// group is a record with those that are the same.
type group struct {
	key      string
	lane     *lane // of the record
	batch    *gatewayv1.RecordBatch
	record   *gatewayv1.Record
	holdings []*holding
}

type holding struct {
	ch *choice
	*gatewayv1.Holding
}

func newDuplicates(req *gatewayv1.QueryRequest) *duplicates {
	d := &duplicates{key: req.GetDeduplicate(), byKey: map[string]*group{}}
	if n := len(d.key); n <= len(req.GetOrder()) {
		d.ordered = !slices.ContainsFunc(req.GetOrder()[:n], func(o *gatewayv1.OrderBy) bool { return !slices.Contains(d.key, o.GetField()) })
	}
	return d
}

// add takes a record, and gives the groups that are complete.
func (d *duplicates) add(l *lane, b *gatewayv1.RecordBatch, r *gatewayv1.Record) (done []*group) {
	key, ok := d.keyOf(l, r)
	if g := d.byKey[key]; ok && g != nil {
		d.found++
		g.fold(l.ch, b, r)
		return nil
	}
	if d.ordered {
		done, d.groups = d.groups, nil
		clear(d.byKey)
	}
	g := &group{key: key, lane: l, batch: b, record: r}
	d.groups = append(d.groups, g)
	if ok {
		d.byKey[key] = g
	}
	return done
}

// keyOf writes the key of a record; not ok: a null is in it, and it is the same as no other.
func (d *duplicates) keyOf(l *lane, r *gatewayv1.Record) (string, bool) {
	var b strings.Builder
	for _, f := range d.key {
		i := slices.Index(l.fields, f)
		if i < 0 || i >= len(r.GetValues()) {
			return "", false
		}
		k, ok := order.Key(fieldType(l.ch, f), r.GetValues()[i])
		if !ok {
			return "", false
		}
		fmt.Fprintf(&b, "%d:%s", len(k), k)
	}
	return b.String(), true
}

// fold adds a record that is the same.
func (g *group) fold(ch *choice, b *gatewayv1.RecordBatch, r *gatewayv1.Record) {
	p := b.GetProvenance()
	i := slices.IndexFunc(g.holdings, func(h *holding) bool {
		return h.GetProvenance().GetDisclosureId() == p.GetDisclosureId() && h.GetProvenance().GetDataset() == p.GetDataset()
	})
	if i < 0 {
		i = len(g.holdings)
		g.holdings = append(g.holdings, &holding{ch, &gatewayv1.Holding{Provenance: p}})
	}
	h := g.holdings[i]
	h.Records++
	for j, f := range b.GetFields() {
		if slices.Contains(h.Differs, f) {
			continue
		}
		var mine *gatewayv1.Value
		if at := slices.Index(g.batch.GetFields(), f); at >= 0 {
			mine = g.record.GetValues()[at]
		}
		a, okA := order.Key(fieldType(g.lane.ch, f), mine)
		b, okB := order.Key(fieldType(ch, f), r.GetValues()[j])
		if okB && (!okA || a != b) {
			h.Differs = append(h.Differs, f)
		}
	}
}

// also gives who else holds the record, as far as their agreements are still in force.
func (g *group) also(c *Core) []*gatewayv1.Holding {
	var out []*gatewayv1.Holding
	for _, h := range g.holdings {
		if c.standing(h.ch) {
			out = append(out, h.Holding)
		}
	}
	return out
}

// open says whether a group waits for more.
func (d *duplicates) open() bool { return len(d.groups) > 0 }

// rest gives what is left.
func (d *duplicates) rest() []*group {
	out := d.groups
	d.groups = nil
	return out
}
