package words

import (
	"cmp"
	"slices"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/route"
)

// clause compares two clauses of one source and one record shape, term by term.
func (c *comparison) clause(term string, x, y *v1alpha1.Clause) {
	c.members(term+".recipients", c.forces.recipients(x), c.forces.recipients(y), Widens, "%s may ask, too", "%s may no longer ask")
	c.taskForces(term+".recipients", x, y)
	c.schema(term+".schema", x.Schema, y.Schema)
	c.dataset(term+".dataset", x, y)
	c.members(term+".purposes", x.Purposes, y.Purposes, Widens, "may be asked for %s, too", "may no longer be asked for %s")
	c.disclosure(term, x, y)
	c.filterFields(term+".filterFields", x, y)
	c.restriction(term+".rowFilter", "the row filter", x.RowFilter, y.RowFilter)
	c.conditions(term+".conditions", x.Conditions, y.Conditions)
	c.limits(term+".limits", x, y)
	c.obligations(term+".obligations", x.Obligations, y.Obligations)
}

func (c *comparison) schema(term string, x, y v1alpha1.SchemaRef) {
	switch {
	case x.Version != y.Version:
		c.add(Changes, term, schemaName(x), schemaName(y), "records are in the shape of %s instead of %s: compare the two schemas", schemaName(y), schemaName(x))
	case x.Digest != y.Digest:
		c.add(Changes, term+".digest", plain(x.Digest), plain(y.Digest), "another %s is pinned: one of the two is not what was agreed on", schemaName(y))
	}
}

func (c *comparison) dataset(term string, x, y *v1alpha1.Clause) {
	before, after := plain(x.Dataset), plain(y.Dataset)
	switch {
	case before == after:
	case before == "":
		c.add(Narrows, term, before, after, "only dataset %s answers; every dataset in %s did before", after, schemaName(x.Schema))
	case after == "":
		c.add(Widens, term, before, after, "every dataset in %s answers; only %s did before", schemaName(y.Schema), before)
	default:
		c.add(Changes, term, before, after, "dataset %s answers instead of %s", after, before)
	}
}

// ladder of disclosure, from least to most.
var ladder = map[v1alpha1.Granularity]int{v1alpha1.GranularityExistence: 1, v1alpha1.GranularityCount: 2, v1alpha1.GranularityRecords: 3}

// learnt is what a rung of the ladder lets a recipient learn.
var learnt = map[v1alpha1.Granularity]string{
	v1alpha1.GranularityExistence: "whether there is a record",
	v1alpha1.GranularityCount:     "how many records there are",
	v1alpha1.GranularityRecords:   "the records",
}

// disclosure compares granularity and fields together: fields are shown at the rung of Records only.
func (c *comparison) disclosure(term string, x, y *v1alpha1.Clause) {
	before, after := disclosed(x), disclosed(y)
	if x.Granularity != y.Granularity {
		kind, shown := Widens, ""
		if ladder[y.Granularity] < ladder[x.Granularity] {
			kind = Narrows
		}
		if len(after) > 0 {
			shown = ": " + and(plainAll(after))
		}
		c.add(kind, term+".granularity", plain(string(x.Granularity)), plain(string(y.Granularity)), "recipients learn %s%s; before: %s",
			cmp.Or(learnt[y.Granularity], plain(string(y.Granularity))), shown, cmp.Or(learnt[x.Granularity], plain(string(x.Granularity))))
	}
	if len(before) > 0 && len(after) > 0 {
		c.members(term+".fields", before, after, Widens, "%s may be seen", "%s may no longer be seen")
		return
	}
	// What is listed and not shown has no effect of its own; what it does to filters is said of filterFields.
	if a, b := sorted(x.Fields), sorted(y.Fields); x.Granularity == y.Granularity && !slices.Equal(a, b) {
		c.add(Changes, term+".fields", and(plainAll(a)), and(plainAll(b)), "the list of fields changes; at granularity %s none is shown", plain(string(y.Granularity)))
	}
}

// filterFields compares what queries may filter on in effect: an empty list stands for the fields and the selectors.
func (c *comparison) filterFields(term string, x, y *v1alpha1.Clause) {
	before, after := sorted(filterFields(x)), sorted(filterFields(y))
	c.members(term, before, after, Widens, "queries may filter on %s, too: a filter confirms a value without showing it", "queries may no longer filter on %s")
	if slices.Equal(before, after) && !slices.Equal(sorted(x.FilterFields), sorted(y.FilterFields)) {
		c.add(Changes, term, "", "", "what queries may filter on is %s, with the same effect", map[bool]string{true: "left to the default", false: "written out"}[len(y.FilterFields) == 0])
	}
}

func (c *comparison) conditions(term string, x, y *v1alpha1.Conditions) {
	if x == nil {
		x = &v1alpha1.Conditions{}
	}
	if y == nil {
		y = &v1alpha1.Conditions{}
	}
	c.restriction(term+".caseReference", "the form of the case reference that a query carries", pattern(x.CaseReference), pattern(y.CaseReference))
	c.restriction(term+".userAttributes", "the condition on the user's claims", x.UserAttributes, y.UserAttributes)
	c.restriction(term+".consent", "the need of consent, as the dataset records it,", consent(x.Consent), consent(y.Consent))
	c.selectors(term+".requireSelectors", x.RequireSelectors, y.RequireSelectors)
	c.allowList(term+".subjectRoles", "the person's role", x.SubjectRoles, y.SubjectRoles)
	c.allowList(term+".jurisdictions", "the place that a query comes from", x.Jurisdictions, y.Jurisdictions)
}

// pattern: no case reference at all is not the same as one of an empty form.
func pattern(r *v1alpha1.CaseReference) string {
	if r == nil {
		return ""
	}
	return cmp.Or(r.Pattern, "(empty)")
}

func consent(k *v1alpha1.Consent) string {
	if k == nil {
		return ""
	}
	return cmp.Or(k.Dataset, "(unnamed)")
}

// selectors compares alternatives of fields that a query must fix together. A set is as wide as the narrowest set that it
// holds: whoever fixes {name, birth date} fixes {name}.
func (c *comparison) selectors(term string, before, after []v1alpha1.SelectorSet) {
	if len(before) == 0 && len(after) == 0 {
		return
	}
	was, is := selectorSets(before), selectorSets(after)
	switch {
	case len(before) == 0:
		c.add(Narrows, term, "", is, "a query must name a known person: it must fix %s", is)
		return
	case len(after) == 0:
		c.add(Widens, term, was, "", "a query need not name a known person any more: fishing becomes possible (it had to fix %s)", was)
		return
	}
	x, y := canonicalSets(before), canonicalSets(after)
	if slices.EqualFunc(x, y, slices.Equal) {
		return
	}
	differs := false
	for _, set := range y {
		if !impliedBy(set, x) {
			differs = true
			c.add(Widens, term, "", "", "it suffices that a query fixes %s", and(plainAll(set)))
		}
	}
	for _, set := range x {
		if !impliedBy(set, y) {
			differs = true
			c.add(Narrows, term, "", "", "it no longer suffices that a query fixes %s", and(plainAll(set)))
		}
	}
	if !differs {
		c.add(Changes, term, was, is, "the selector sets are written otherwise, with the same effect")
	}
}

// impliedBy: a query that fixes the set fixes one of the others as well.
func impliedBy(set v1alpha1.SelectorSet, others []v1alpha1.SelectorSet) bool {
	return slices.ContainsFunc(others, func(o v1alpha1.SelectorSet) bool { return len(without(o, set)) == 0 })
}

func canonicalSets(sets []v1alpha1.SelectorSet) []v1alpha1.SelectorSet {
	out := make([]v1alpha1.SelectorSet, len(sets))
	for i, set := range sets {
		out[i] = sorted(set)
	}
	slices.SortFunc(out, slices.Compare)
	return slices.CompactFunc(out, slices.Equal)
}

// limits: where the terms set no bound on an answer's records, the gateway has one.
func (c *comparison) limits(term string, x, y *v1alpha1.Clause) {
	a, b := deref(x.Limits), deref(y.Limits)
	before, after := cmp.Or(a.RecordsPerQuery, route.DefaultRecordsPerQuery), cmp.Or(b.RecordsPerQuery, route.DefaultRecordsPerQuery)
	c.most(term+".recordsPerQuery", "records a query", before, after)
	if before == after && a.RecordsPerQuery != b.RecordsPerQuery {
		c.add(Changes, term+".recordsPerQuery", "", "", "the bound on the records a query is written otherwise, with the same effect: %s is the default", number(route.DefaultRecordsPerQuery))
	}
	c.most(term+".queriesPerDay", "queries a day by each recipient", a.QueriesPerDay, b.QueriesPerDay)
	c.most(term+".recordsPerDay", "records a day to each recipient", a.RecordsPerDay, b.RecordsPerDay)
	c.least(term+".minimumCount", "the least count that is not suppressed", a.MinimumCount, b.MinimumCount)
}

func (c *comparison) obligations(term string, p, q *v1alpha1.Obligations) {
	x, y := deref(p), deref(q)
	c.days(term+".retentionDays", "recipients keep what they are told", "at most ", x.RetentionDays, y.RetentionDays, func(before, after int64) bool { return after < before })
	c.redisclosure(term+".redisclosure", x.Redisclosure, y.Redisclosure)
	c.promise(term+".destruction", "a way of destroying the records", x.Destruction, y.Destruction)
	c.days(term+".verifyBeforeAction", "verification, and notice to the person, before anybody acts", "", notice(x), notice(y), func(before, after int64) bool { return after > before })
	if a, b := x.ResponseTimeSeconds, y.ResponseTimeSeconds; a != b {
		// A duty of the source: it neither shows more nor less.
		c.add(Changes, term+".responseTimeSeconds", seconds(a), seconds(b), "the source answers within: %s instead of %s", orNone(seconds(b)), orNone(seconds(a)))
	}
}

// days compares two numbers of days of which nil is no duty at all.
func (c *comparison) days(term, what, bound string, before, after *int64, narrower func(before, after int64) bool) {
	said := func(d *int64) string { return bound + count(*d, "day") }
	switch {
	case before == nil && after == nil:
	case before == nil:
		c.add(Narrows, term, "", said(after), "%s: %s; nothing was promised before", what, said(after))
	case after == nil:
		c.add(Widens, term, said(before), "", "%s: nothing is promised any more; %s before", what, said(before))
	case *before != *after:
		kind := Widens
		if narrower(*before, *after) {
			kind = Narrows
		}
		c.add(kind, term, said(before), said(after), "%s: %s instead of %s", what, said(after), said(before))
	}
}

// redisclosure is prohibited where the terms do not speak of it (5 U.S.C. 552a(o)(1)(H)).
func (c *comparison) redisclosure(term, before, after string) {
	const prohibited = "Prohibited"
	if before == after {
		return
	}
	kind := Changes
	switch b, a := cmp.Or(before, prohibited), cmp.Or(after, prohibited); {
	case b == a:
		c.add(Changes, term, before, after, "redisclosure is prohibited, as it was; it is %s", map[bool]string{true: "no longer written out", false: "written out now"}[after == ""])
		return
	case b == prohibited:
		kind = Widens
	case a == prohibited:
		kind = Narrows
	}
	c.add(kind, term, before, after, "%s; before: %s", redisclosure(after), redisclosure(before))
}

func notice(o v1alpha1.Obligations) *int64 {
	if o.VerifyBeforeAction == nil {
		return nil
	}
	return &o.VerifyBeforeAction.NoticeDays
}

func seconds(n int64) string {
	if n == 0 {
		return ""
	}
	return duration(n)
}

func deref[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

func lower(s string) string { return strings.ToLower(plain(s)) }
