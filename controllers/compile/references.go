package compile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/route"
)

// resolution is what a version refers to, in the order in which it is checked. One reference that does not resolve keeps
// the whole agreement from being programmed.
var resolution = []check{
	agenciesKnown,
	trustDomainsMatch,
	agenciesComplete,
	purposesKnown,
	profilesKnown,
	taskForcesKnown,
	taskForceDigestsMatch,
	taskForceMembersSign,
	schemasKnown,
	schemaDigestsMatch,
	schemaFieldsKnown,
	datasetsKnown,
	fieldsMapped,
	columnsKnown,
	apisTakeRowFilters,
	consentsKnown,
	routeFits,
}

// purposeNamespaces are the registries of purpose codes that this release knows.
var purposeNamespaces = []string{"entente", "dpv", "ncic", "tefca", "hl7", "duo", "ie-dsga"}

// clause is a clause with what it refers to. It is complete once ResolvedRefs is true.
type clause struct {
	terms  *v1alpha1.Clause
	schema *schema
	// recipients, with the members of task forces one by one.
	recipients []recipient
	// inbound: we are the source; outbound: we are a recipient.
	inbound, outbound bool
	// filterFields with the default filled in, and needs, all the fields that the clause's queries read, members of records one by
	// one; both in the schema's order.
	filterFields, needs []string
	// datasets of ours that answer; inbound only.
	datasets []*v1alpha1.Dataset
}

// resolve decides whether everything that the version refers to exists and fits.
func (c *compiler) resolve(v *version) {
	for i := range v.terms.Clauses {
		v.clauses = append(v.clauses, c.clause(&v.terms.Clauses[i]))
	}
	v.resolved = c.first(v, resolution, v1alpha1.ReasonResolved, "every agency, schema, dataset, column and purpose is known and fits")
}

func (c *compiler) clause(terms *v1alpha1.Clause) clause {
	cl := clause{
		terms:      terms,
		schema:     c.pinned(terms.Schema),
		recipients: c.recipients(terms),
		inbound:    terms.Source == c.index.Self,
	}
	cl.outbound = cl.hasRecipient(c.index.Self)
	if cl.inbound {
		cl.datasets = c.offering(terms)
	}
	cl.read()
	return cl
}

// read fills in what the clause's queries read, as far as its schema is known.
func (cl *clause) read() {
	terms := cl.terms
	if cl.schema == nil {
		return
	}
	var selectors []string
	if terms.Conditions != nil {
		selectors = slices.Concat(terms.Conditions.RequireSelectors...)
	}
	cl.filterFields = cl.schema.sorted(terms.FilterFields)
	if len(cl.filterFields) == 0 {
		cl.filterFields = cl.schema.sorted(terms.Fields, selectors)
	}
	rowFields, _ := cl.schema.rowFilterFields(terms.RowFilter) // an error is Accepted's to tell
	cl.needs = cl.schema.read(cl.disclosed(), cl.filterFields, selectors, rowFields)
}

// hasRecipient says whether the agency may ask, by itself or as a member of a task force.
func (cl *clause) hasRecipient(agency string) bool {
	return slices.ContainsFunc(cl.recipients, func(r recipient) bool { return r.agency == agency })
}

// disclosed are the fields that an answer may hold: none below the rung of Records, so that no column is granted for them.
func (cl *clause) disclosed() []string {
	if cl.terms.Granularity != v1alpha1.GranularityRecords {
		return nil
	}
	return cl.terms.Fields
}

// readsSubject says whether the source reads the subject key: for the log's token of each record that is disclosed, to count
// persons, or to find their consent.
func (cl *clause) readsSubject() bool {
	return cl.terms.Granularity == v1alpha1.GranularityRecords || cl.countsPersons() || cl.needsConsent()
}

// countsPersons says whether small counts are suppressed: then persons are counted, of whom one may have many records.
func (cl *clause) countsPersons() bool {
	return cl.terms.Limits != nil && cl.terms.Limits.MinimumCount > 0
}

// offering lists our datasets that the clause is about.
func (c *compiler) offering(cl *v1alpha1.Clause) []*v1alpha1.Dataset {
	var out []*v1alpha1.Dataset
	for _, d := range c.datasets {
		if d.Spec.Schema.Name == cl.Schema.Name && d.Spec.Schema.Version == cl.Schema.Version && (cl.Dataset == "" || cl.Dataset == d.Name) &&
			d.Spec.Source.ConsentService == nil {
			out = append(out, d)
		}
	}
	return out
}

func agenciesKnown(c *compiler, v *version) (reason, message string, failed bool) {
	for i, p := range v.terms.Parties {
		if c.index.Agencies[p.Agency] != nil {
			continue
		}
		mend := fmt.Sprintf("apply the Agency that it prints with `entente agency export`, under the name %q", p.Agency)
		if p.Agency == c.index.Self {
			mend = "apply the Agency of this installation"
		}
		return v1alpha1.ReasonUnknownAgency, fmt.Sprintf("parties[%d].agency: there is no Agency %q: %s", i, p.Agency, mend), true
	}
	return "", "", false
}

func trustDomainsMatch(c *compiler, v *version) (reason, message string, failed bool) {
	for i, p := range v.terms.Parties {
		if have := c.index.Agencies[p.Agency].Spec.TrustDomain; have != p.TrustDomain {
			return v1alpha1.ReasonTrustDomainMismatch, fmt.Sprintf("parties[%d].trustDomain: the terms say %q, Agency %q has %q: correct whichever is wrong (terms by a new version)",
				i, p.TrustDomain, p.Agency, have), true
		}
	}
	return "", "", false
}

func agenciesComplete(c *compiler, v *version) (reason, message string, failed bool) {
	for i, p := range v.terms.Parties {
		agency := c.index.Agencies[p.Agency]
		if missing := c.incomplete(agency); missing != "" {
			return v1alpha1.ReasonAgencyIncomplete, fmt.Sprintf("parties[%d].agency: Agency %q %s", i, p.Agency, missing), true
		}
	}
	for i := range v.clauses {
		cl := &v.clauses[i]
		if source := c.index.Agencies[cl.terms.Source]; cl.outbound && source != nil {
			if missing := unreachable(source); missing != "" {
				return v1alpha1.ReasonAgencyIncomplete, fmt.Sprintf("clauses[%s].source: Agency %q %s", cl.terms.Name, cl.terms.Source, missing), true
			}
		}
	}
	return "", "", false
}

func purposesKnown(_ *compiler, v *version) (reason, message string, failed bool) {
	for i := range v.terms.Clauses {
		cl := &v.terms.Clauses[i]
		for _, purpose := range cl.Purposes {
			if namespace, _, _ := strings.Cut(purpose, ":"); !slices.Contains(purposeNamespaces, namespace) {
				return v1alpha1.ReasonUnknownPurpose, fmt.Sprintf("clauses[%s].purposes: %q is of no known namespace (%s): correct it in a new version",
					cl.Name, purpose, strings.Join(purposeNamespaces, ", ")), true
			}
		}
	}
	return "", "", false
}

func schemasKnown(c *compiler, v *version) (reason, message string, failed bool) {
	for i := range v.terms.Clauses {
		cl := &v.terms.Clauses[i]
		name := schemaName(cl.Schema.Name, cl.Schema.Version)
		switch s := c.schema(name); {
		case s == nil:
			return v1alpha1.ReasonUnknownSchema, fmt.Sprintf("clauses[%s].schema: there is no ExchangeSchema %q: apply the one that the parties agreed on", cl.Name, name), true
		case s.problem != "":
			return v1alpha1.ReasonUnknownSchema, fmt.Sprintf("clauses[%s].schema: ExchangeSchema %q is not accepted: %s", cl.Name, name, s.problem), true
		}
	}
	return "", "", false
}

func schemaDigestsMatch(c *compiler, v *version) (reason, message string, failed bool) {
	for i := range v.terms.Clauses {
		cl := &v.terms.Clauses[i]
		name := schemaName(cl.Schema.Name, cl.Schema.Version)
		if s := c.schema(name); s.route.Digest != cl.Schema.Digest {
			return v1alpha1.ReasonSchemaDigest, fmt.Sprintf("clauses[%s].schema.digest: the terms pin %s, ExchangeSchema %q has %s: get the schema that the parties agreed on, or pin this one in a new version",
				cl.Name, cl.Schema.Digest, name, s.route.Digest), true
		}
	}
	return "", "", false
}

func schemaFieldsKnown(_ *compiler, v *version) (reason, message string, failed bool) {
	for i := range v.clauses {
		cl := &v.clauses[i]
		unknown := func(path string, fields []string) bool {
			at := slices.IndexFunc(fields, func(f string) bool { return !cl.schema.has(f) })
			if at >= 0 {
				message = fmt.Sprintf("clauses[%s].%s: schema %q has no field %q: correct it in a new version",
					cl.terms.Name, path, cl.schema.object.Name, fields[at])
			}
			return at >= 0
		}
		// What stands in a list, and a record as a whole, is not equal to anything.
		unfit := func(path string, fields []string, fits func(string) bool, why string) bool {
			at := slices.IndexFunc(fields, func(f string) bool { return !fits(f) })
			if at >= 0 {
				message = fmt.Sprintf("clauses[%s].%s: field %q of schema %q %s: correct it in a new version", cl.terms.Name, path, fields[at], cl.schema.object.Name, why)
			}
			return at >= 0
		}
		if unknown("fields", cl.terms.Fields) || unknown("filterFields", cl.terms.FilterFields) ||
			unfit("filterFields", cl.terms.FilterFields, cl.schema.filterable, "is a list that filters do not look into") {
			return v1alpha1.ReasonUnknownSchemaField, message, true
		}
		if cl.terms.Conditions == nil {
			continue
		}
		for j, set := range cl.terms.Conditions.RequireSelectors {
			at := fmt.Sprintf("conditions.requireSelectors[%d]", j)
			if unknown(at, set) || unfit(at, set, cl.schema.single, "is a list or a record, which no filter fixes by equality") {
				return v1alpha1.ReasonUnknownSchemaField, message, true
			}
		}
	}
	return "", "", false
}

func datasetsKnown(c *compiler, v *version) (reason, message string, failed bool) {
	for i := range v.clauses {
		cl := &v.clauses[i]
		if !cl.inbound {
			continue
		}
		if message := c.noDataset(cl); message != "" {
			return v1alpha1.ReasonUnknownDataset, fmt.Sprintf("clauses[%s].%s", cl.terms.Name, message), true
		}
		for _, d := range cl.datasets {
			if _, message, failed := datasetAccepted(d); failed {
				return v1alpha1.ReasonUnknownDataset, fmt.Sprintf("clauses[%s]: Dataset %q is not accepted: %s", cl.terms.Name, d.Name, message), true
			}
		}
	}
	return "", "", false
}

// noDataset says why none of our datasets answers the clause; empty: one does.
func (c *compiler) noDataset(cl *clause) string {
	want := schemaName(cl.terms.Schema.Name, cl.terms.Schema.Version)
	named := c.index.Datasets[cl.terms.Dataset]
	switch {
	case len(cl.datasets) > 0:
		return ""
	case cl.terms.Dataset == "":
		return fmt.Sprintf("schema: none of our Datasets offers schema %q: apply one that maps it", want)
	case named == nil:
		return fmt.Sprintf("dataset: there is no Dataset %q: apply it, with schema %q", cl.terms.Dataset, want)
	}
	return fmt.Sprintf("dataset: Dataset %q is in schema %q, the clause in %q: map the dataset to that schema", named.Name,
		schemaName(named.Spec.Schema.Name, named.Spec.Schema.Version), want)
}

func fieldsMapped(_ *compiler, v *version) (reason, message string, failed bool) {
	for i := range v.clauses {
		cl := &v.clauses[i]
		for _, d := range cl.datasets {
			if cl.countsPersons() && d.Spec.SubjectKey == "" {
				return v1alpha1.ReasonFieldNotMapped, fmt.Sprintf("clauses[%s].limits.minimumCount: persons are counted, and Dataset %q does not say what identifies one: set its subjectKey",
					cl.terms.Name, d.Name), true
			}
			if key := d.Spec.SubjectKey; key != "" && !cl.schema.identifies(key) {
				return v1alpha1.ReasonUnknownSchemaField, fmt.Sprintf("clauses[%s]: the subjectKey %q of Dataset %q is no field with one value of schema %q: correct the dataset",
					cl.terms.Name, key, d.Name, cl.schema.object.Name), true
			}
			if field := unmapped(d, cl.schema, cl.needsOf(d)); field != "" {
				return v1alpha1.ReasonFieldNotMapped, fmt.Sprintf("clauses[%s].%s: Dataset %q does not map field %q to a column: add it to the dataset's fields",
					cl.terms.Name, cl.useOf(field), d.Name, field), true
			}
		}
	}
	return "", "", false
}

func columnsKnown(_ *compiler, v *version) (reason, message string, failed bool) {
	for i := range v.clauses {
		cl := &v.clauses[i]
		for _, d := range cl.datasets {
			if field, column := unknownColumn(d, cl.schema, cl.needsOf(d)); field != "" {
				return v1alpha1.ReasonUnknownColumn, fmt.Sprintf("clauses[%s].%s: Dataset %q maps field %q to column %q, which relation %q does not have: correct the dataset's mapping, or add the column",
					cl.terms.Name, cl.useOf(field), d.Name, field, column, d.Spec.Relation), true
			}
		}
	}
	return "", "", false
}

// needsOf are the fields that the clause reads of a dataset.
func (cl *clause) needsOf(d *v1alpha1.Dataset) []string {
	if key := d.Spec.SubjectKey; key != "" && cl.readsSubject() {
		return cl.schema.sorted(cl.needs, []string{key})
	}
	return cl.needs
}

// useOf names the member of the clause that asks for a field.
func (cl *clause) useOf(field string) string {
	switch {
	case cl.schema.route.Covers(cl.disclosed(), field):
		return "fields"
	case cl.schema.route.Covers(cl.terms.FilterFields, field):
		return "filterFields"
	case cl.terms.Conditions != nil && slices.ContainsFunc(cl.terms.Conditions.RequireSelectors, func(set v1alpha1.SelectorSet) bool { return slices.Contains(set, field) }):
		return "conditions.requireSelectors"
	case cl.schema.route.Covers(cl.terms.Fields, field):
		return "fields"
	case slices.Contains(cl.needs, field):
		return "rowFilter"
	}
	return "dataset" // the dataset's subject key
}

// maxVersionBytes bounds one version in a route's payload, so that two of them fit a GatewayRoute.
const maxVersionBytes = 250_000

func routeFits(c *compiler, v *version) (reason, message string, failed bool) {
	encoded, err := json.Marshal(c.routeClauses(v))
	if err != nil {
		return v1alpha1.ReasonInvalid, fmt.Sprintf("the route cannot be encoded: %v", err), true
	}
	if len(encoded) > maxVersionBytes {
		return v1alpha1.ReasonInvalid, fmt.Sprintf("clauses: their route takes %d bytes, more than %d: split the agreement, or shorten schemas' codes or peers' trust bundles", len(encoded), maxVersionBytes), true
	}
	return "", "", false
}

// partyOf is an agency as the route names it.
func partyOf(a *v1alpha1.Agency) route.Party {
	return route.Party{Agency: a.Name, TrustDomain: a.Spec.TrustDomain}
}
