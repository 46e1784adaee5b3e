package compile

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/entente-dev/entente/gateway/route"
)

// lead is how long before its window opens the credentials of a version exist, so that an agreement is usable, and an
// amendment has no gap, to the second.
const lead = 60 * time.Second

// credentials lists the roles that must exist for the versions in force, and for one that is about to be. While both a
// version and its successor count, a role covers both; the gateway still enforces the one in force.
func (c *compiler) credentials(id string, r *route.Route, versions []*version) []Credential {
	plan := map[string]*Credential{}
	for _, v := range versions {
		if !carries(r, v) || c.now.Before(v.notBefore.Add(-lead)) || !c.now.Before(v.end) {
			continue
		}
		gone := v.withdrawn(false)
		for i := range v.clauses {
			if cl := &v.clauses[i]; cl.inbound && cl.withheld(gone) == "" {
				c.planClause(plan, id, v, cl, gone)
			}
		}
	}
	out := make([]Credential, 0, len(plan))
	for _, key := range slices.Sorted(maps.Keys(plan)) {
		out = append(out, *plan[key])
	}
	return slices.Clip(out)
}

// planClause adds the certificate role of each recipient that may ask, and the database role of each PostgreSQL dataset while
// anybody may.
func (c *compiler) planClause(plan map[string]*Credential, id string, v *version, cl *clause, gone map[string]*said) {
	var end time.Time
	for _, r := range remaining(cl.recipients, gone) {
		from, until := r.window(v)
		if c.now.Before(from.Add(-lead)) || !c.now.Before(until) {
			continue
		}
		if until.After(end) {
			end = until
		}
		add(plan, "agreement/"+r.agency, until, Credential{
			Agreement: id,
			Role:      AgreementRole(id, r.agency),
			Recipient: r.agency,
			SPIFFEID:  AgreementSPIFFEID(c.self.Spec.TrustDomain, id, r.agency),
		})
	}
	if end.IsZero() {
		return
	}
	for _, d := range cl.datasets {
		pg := d.Spec.Source.PostgreSQL
		if pg == nil {
			continue
		}
		credential := add(plan, "source/"+d.Name, end, Credential{
			Agreement: id,
			Role:      SourceRole(id, d.Name),
			Source:    &SourceCredential{Dataset: d.Name, Connection: pg.VaultConnection, Relation: d.Spec.Relation},
		})
		for _, f := range cl.needsOf(d) {
			credential.Source.Columns = append(credential.Source.Columns, columnsOf(d, cl.schema, f)...)
		}
		slices.SortFunc(credential.Source.Columns, strings.Compare)
		credential.Source.Columns = slices.Compact(credential.Source.Columns)
		c.planConsents(credential.Source, cl)
	}
}

// planConsents lets a role read the consents that a clause holds its rows against: the columns that decide, and no others.
func (c *compiler) planConsents(role *SourceCredential, cl *clause) {
	d, s := c.consentOf(cl)
	if d == nil || d.Spec.Source.ConsentService != nil {
		return
	}
	var columns []string
	for _, f := range consentFields(d, s) {
		columns = append(columns, columnsOf(d, s, f)...)
	}
	at, found := slices.BinarySearchFunc(role.Consents, d.Spec.Relation, func(g Grant, relation string) int { return strings.Compare(g.Relation, relation) })
	if !found {
		role.Consents = slices.Insert(role.Consents, at, Grant{Relation: d.Spec.Relation})
	}
	g := &role.Consents[at]
	g.Columns = slices.Compact(slices.Sorted(slices.Values(append(g.Columns, columns...))))
}

// add plans a credential once, until the latest end.
func add(plan map[string]*Credential, key string, end time.Time, credential Credential) *Credential {
	planned := plan[key]
	if planned == nil {
		planned = &credential
		plan[key] = planned
	}
	if end.After(planned.NotAfter) {
		planned.NotAfter = end
	}
	return planned
}
