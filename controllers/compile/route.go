package compile

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/route"
)

// maxRouteVersions is the current version and the next one.
const maxRouteVersions = 2

// route decides what the gateways enforce. There is none before the agreement was ever fully signed, and a tombstone once
// nothing is in force nor will be.
func (c *compiler) route(id string, versions []*version, prior *route.Route) *route.Route {
	r := &route.Route{Format: route.Format, Agreement: id, Self: c.party(prior)}
	for _, v := range due(versions) {
		r.Versions = append(r.Versions, route.Version{
			Version:   v.terms.Version,
			Digest:    v.digest,
			NotBefore: v.notBefore,
			NotAfter:  v.end,
			Clauses:   c.routeClauses(v),
		})
	}
	if len(r.Versions) == 0 {
		if prior == nil {
			return nil
		}
		r.Tombstone = &route.Tombstone{Reason: endedBy(versions), At: c.now.Truncate(time.Second)}
	}
	return sequenced(r, prior, c.now)
}

// party is the local agency as routes name it; when its Agency is gone, as the route named it before.
func (c *compiler) party(prior *route.Route) route.Party {
	switch {
	case c.self != nil:
		return partyOf(c.self)
	case prior != nil:
		return prior.Self
	}
	return route.Party{Agency: c.index.Self}
}

// due lists the versions that are in force or will be, by time: the current one and the next.
func due(versions []*version) []*version {
	var out []*version
	for _, v := range versions {
		waits := v.inForce.ok || v.inForce.reason == v1alpha1.ReasonNotYet
		if waits && v.notBefore.Before(v.end) {
			out = append(out, v)
		}
	}
	slices.SortStableFunc(out, func(a, b *version) int { return a.notBefore.Compare(b.notBefore) })
	return out[:min(len(out), maxRouteVersions)]
}

// endedBy is why the agreement has no version left: that of its latest signed version, or else of its latest.
func endedBy(versions []*version) string {
	var last *version
	left := false
	for _, v := range versions {
		left = left || v.object.DeletionTimestamp.IsZero()
		if last == nil || v.signedByAll() || !last.signedByAll() {
			last = v
		}
	}
	if !left {
		return v1alpha1.ReasonDeleted
	}
	return last.inForce.reason
}

// sequenced gives the prior route when it says the same, and a later sequence otherwise. The first sequence is the time in
// seconds: gateways remember the highest that they saw, and a route that somebody deleted must come back above it.
func sequenced(r, prior *route.Route, now time.Time) *route.Route {
	r.Sequence = max(1, now.Unix())
	if prior == nil {
		return r
	}
	if sameRoute(r, prior) {
		return prior
	}
	r.Sequence = max(r.Sequence, prior.Sequence+1)
	return r
}

// sameRoute compares payloads, but for the sequence and for when a tombstone was set.
func sameRoute(a, b *route.Route) bool {
	x, errX := route.Encode(undated(a))
	y, errY := route.Encode(undated(b))
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func undated(r *route.Route) *route.Route {
	u := *r
	u.Sequence = 0
	if r.Tombstone != nil {
		u.Tombstone = &route.Tombstone{Reason: r.Tombstone.Reason}
	}
	return &u
}

// routeClauses are the clauses in which we are the source or a recipient.
func (c *compiler) routeClauses(v *version) []route.Clause {
	out := make([]route.Clause, 0, len(v.clauses))
	gone := v.withdrawn(false)
	for i := range v.clauses {
		cl := &v.clauses[i]
		if !cl.inbound && !cl.outbound {
			continue
		}
		r := c.routeClause(v, cl)
		r.Withheld = cl.withheld(gone)
		if r.Withheld == "" {
			r.Recipients = c.routeRecipients(remaining(cl.recipients, gone))
		}
		out = append(out, r)
	}
	return out
}

func (c *compiler) routeClause(v *version, cl *clause) route.Clause {
	t := cl.terms
	out := route.Clause{
		Name:         t.Name,
		Source:       c.source(cl),
		Maintenance:  c.maintenance(t.Source),
		Recipients:   c.routeRecipients(cl.recipients),
		Addresses:    c.addresses(cl),
		Schema:       cl.schema.route,
		Purposes:     sorted(t.Purposes),
		Granularity:  string(t.Granularity),
		Fields:       cl.schema.sorted(t.Fields),
		FilterFields: cl.filterFields,
		RowFilter:    t.RowFilter,
	}
	for _, d := range cl.datasets {
		out.Datasets = append(out.Datasets, c.routeDataset(v.terms.ID, cl, d))
	}
	if k := t.Conditions; k != nil {
		if k.CaseReference != nil {
			out.CaseReference = k.CaseReference.Pattern
		}
		if k.Consent != nil {
			out.Consent = k.Consent.Dataset
		}
		for _, set := range k.RequireSelectors {
			out.RequireSelectors = append(out.RequireSelectors, set)
		}
		out.SubjectRoles = sorted(k.SubjectRoles)
		out.UserAttributes = k.UserAttributes
		out.Jurisdictions = sorted(k.Jurisdictions)
		if len(out.Jurisdictions) > 0 {
			out.RecipientJurisdictions = c.jurisdictions(out.Recipients)
		}
	}
	if t.Limits != nil {
		out.RecordsPerQuery = t.Limits.RecordsPerQuery
		out.MinimumCount = t.Limits.MinimumCount
		out.QueriesPerDay, out.RecordsPerDay = t.Limits.QueriesPerDay, t.Limits.RecordsPerDay
	}
	if o := t.Obligations; o != nil {
		out.Obligations = route.Obligations{RetentionDays: o.RetentionDays, Redisclosure: o.Redisclosure}
		if o.VerifyBeforeAction != nil {
			out.Obligations.VerifyBeforeActionDays = &o.VerifyBeforeAction.NoticeDays
		}
	}
	return out
}

// source says how to reach the agency that holds the records, unless that is us.
func (c *compiler) source(cl *clause) route.Peer {
	a := c.index.Agencies[cl.terms.Source]
	if cl.inbound {
		return route.Peer{Party: partyOf(a)}
	}
	return route.Peer{
		Party:       partyOf(a),
		Gateway:     a.Spec.Endpoints.Gateway,
		Exchange:    a.Spec.Endpoints.Exchange,
		TrustBundle: a.Spec.TrustBundle,
	}
}

// maintenance is when an agency answers no queries: by its own word, which for us stands in spec and for a peer in status.
func (c *compiler) maintenance(agency string) *route.Maintenance {
	a := c.index.Agencies[agency]
	m := a.Status.Maintenance
	if a.Name == c.index.Self {
		m = a.Spec.Maintenance
	}
	if m == nil || !c.now.Before(m.Until.Time) {
		return nil
	}
	out := &route.Maintenance{Until: m.Until.UTC(), Reason: m.Reason}
	if m.From != nil {
		out.From = m.From.UTC()
	}
	return out
}

// jurisdictions of the recipients: our own view of them, since what an agency says of itself in a query proves nothing.
func (c *compiler) jurisdictions(of []route.Recipient) map[string][]string {
	out := make(map[string][]string, len(of))
	for _, p := range of {
		if a := c.index.Agencies[p.Agency]; a != nil && len(a.Spec.Jurisdictions) > 0 {
			out[p.Agency] = sorted(a.Spec.Jurisdictions)
		}
	}
	return out
}

// addresses are where the recipients of our records can be written to.
func (c *compiler) addresses(cl *clause) map[string]string {
	if !cl.inbound {
		return nil
	}
	var out map[string]string
	for _, r := range cl.recipients {
		if a := c.index.Agencies[r.agency]; a != nil && a.Spec.PostalAddress != "" {
			if out == nil {
				out = map[string]string{}
			}
			out[r.agency] = a.Spec.PostalAddress
		}
	}
	return out
}

// routeDataset binds the clause to a dataset: the columns that its queries read, and no others.
func (c *compiler) routeDataset(agreement string, cl *clause, d *v1alpha1.Dataset) route.Dataset {
	fields := cl.needsOf(d)
	out := route.Dataset{Name: d.Name, Relation: d.Spec.Relation}
	out.Columns, out.Mappings = routeReadings(d, cl.schema, fields)
	if slices.Contains(fields, d.Spec.SubjectKey) {
		out.SubjectKey = d.Spec.SubjectKey
	}
	if consents, schema := c.consentOf(cl); consents != nil {
		out.Consent = routeConsent(consents, schema)
	}
	if pg := d.Spec.Source.PostgreSQL; pg != nil {
		out.PostgreSQL = &route.PostgreSQL{
			Host:     pg.Host,
			Port:     cmp.Or(pg.Port, defaultPort),
			Database: pg.Database,
			SSLMode:  cmp.Or(pg.SSLMode, defaultSSLMode),
			CABundle: pg.CABundle,
			Role:     SourceRole(agreement, d.Name),

			TrigramSchema: pg.TrigramSchema,
		}
	}
	if d.Spec.Source.HTTP != nil {
		out.HTTP, _ = c.api(d, cl.schema) // a problem is ResolvedRefs' to tell
	}
	if t := d.Spec.Source.Trino; t != nil {
		out.Trino = routeTrino(agreement, t)
	}
	if lite := d.Spec.Source.SQLite; lite != nil {
		out.SQLite = &route.SQLite{Path: lite.Path}
	}
	return out
}

func sorted(items []string) []string {
	return slices.Sorted(slices.Values(items))
}
