package compile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/route"
)

// consentRuleFits says what is wrong with the rule by which rows of a dataset are consents; "" for nothing.
func consentRuleFits(d *v1alpha1.Dataset, s *schema) string {
	k := d.Spec.Consent
	if k == nil {
		return ""
	}
	if d.Spec.SubjectKey == "" {
		return "consent: set subjectKey: it says whose consent a row is"
	}
	if !s.has(d.Spec.SubjectKey) {
		return fmt.Sprintf("subjectKey: schema %q has no field %q", s.object.Name, d.Spec.SubjectKey)
	}
	typed := func(member, field string, types ...v1alpha1.FieldType) string {
		if field == "" {
			return ""
		}
		for _, f := range s.object.Spec.Fields {
			if f.Name == field && slices.Contains(types, f.Type) && !f.Repeated {
				return ""
			}
		}
		return fmt.Sprintf("consent.%s: schema %q has no field %q of type %s", member, s.object.Name, field, joinTypes(types))
	}
	for _, problem := range []string{
		typed("purpose", k.Purpose, v1alpha1.TypeString),
		typed("recipient", k.Recipient, v1alpha1.TypeString),
		typed("notBefore", k.NotBefore, v1alpha1.TypeDate, v1alpha1.TypeTimestamp),
		typed("notAfter", k.NotAfter, v1alpha1.TypeDate, v1alpha1.TypeTimestamp),
	} {
		if problem != "" {
			return problem
		}
	}
	// By itself first: it is put in parentheses, out of which "a) || (b" would break.
	if _, err := s.rowFilterFields(k.Rule); err != nil {
		return fmt.Sprintf("consent.rule: %v", err)
	}
	if _, err := enforce.ConsentCondition(routeConsent(d, s), "entente:any", "any", time.Unix(0, 0)); err != nil {
		return fmt.Sprintf("consent: %v", err)
	}
	if field := unmapped(d, s, consentFields(d, s)); field != "" && d.Spec.Source.ConsentService == nil {
		return fmt.Sprintf("consent: field %q is not mapped to a column: add it to fields", field)
	}
	return ""
}

func joinTypes(types []v1alpha1.FieldType) string {
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = string(t)
	}
	return strings.Join(out, " or ")
}

// consentFields are the fields of a consent dataset that queries read, in the schema's order.
func consentFields(d *v1alpha1.Dataset, s *schema) []string {
	k := d.Spec.Consent
	rule, _ := s.rowFilterFields(k.Rule)
	named := slices.DeleteFunc([]string{d.Spec.SubjectKey, k.Purpose, k.Recipient, k.NotBefore, k.NotAfter}, func(f string) bool { return f == "" })
	return s.read(named, rule)
}

// routeConsent is how the gateway asks for consents: the columns that it reads, and no others.
func routeConsent(d *v1alpha1.Dataset, s *schema) *route.Consent {
	k := d.Spec.Consent
	if svc := d.Spec.Source.ConsentService; svc != nil {
		return &route.Consent{Service: &route.ConsentService{
			Name: d.Name, URL: svc.URL, HTTPAccess: access(svc.Authentication, svc.CABundle, cmp.Or(svc.TimeoutSeconds, defaultConsentTimeout)), MaxAgeSeconds: svc.MaxAgeSeconds,
		}}
	}
	out := &route.Consent{
		Relation: d.Spec.Relation, Subject: d.Spec.SubjectKey, Columns: map[string]string{},
		Rule: k.Rule, Purpose: k.Purpose, Recipient: k.Recipient, NotBefore: k.NotBefore, NotAfter: k.NotAfter,
		Schema: route.Schema{Name: s.route.Name, Version: s.route.Version, Digest: s.route.Digest},
	}
	fields := consentFields(d, s)
	for _, f := range s.route.Fields {
		if slices.ContainsFunc(fields, func(path string) bool { name, _, _ := strings.Cut(path, "."); return name == f.Name }) {
			out.Schema.Fields = append(out.Schema.Fields, f)
		}
	}
	out.Columns, out.Mappings = routeReadings(d, s, fields)
	return out
}

// needsConsent says whether rows are disclosed only with consent.
func (cl *clause) needsConsent() bool {
	return cl.terms.Conditions != nil && cl.terms.Conditions.Consent != nil
}

// consentOf is the dataset that holds the consents for a clause of ours, with its schema; nil: none, or none that fits.
func (c *compiler) consentOf(cl *clause) (*v1alpha1.Dataset, *schema) {
	if !cl.inbound || !cl.needsConsent() {
		return nil, nil
	}
	d := c.index.Datasets[cl.terms.Conditions.Consent.Dataset]
	if d == nil || d.Spec.Consent == nil {
		return nil, nil
	}
	s := c.schema(schemaName(d.Spec.Schema.Name, d.Spec.Schema.Version))
	if s == nil || s.problem != "" || consentRuleFits(d, s) != "" {
		return nil, nil
	}
	return d, s
}

// consentsKnown: what a clause of ours needs to hold its records against consents. The other parties take our word for it.
func consentsKnown(c *compiler, v *version) (reason, message string, failed bool) {
	for i := range v.clauses {
		cl := &v.clauses[i]
		if !cl.inbound || !cl.needsConsent() {
			continue
		}
		fail := func(reason, format string, args ...any) (string, string, bool) {
			return reason, fmt.Sprintf("clauses[%s].conditions.consent: ", cl.terms.Name) + fmt.Sprintf(format, args...), true
		}
		name := cl.terms.Conditions.Consent.Dataset
		d := c.index.Datasets[name]
		if d == nil {
			return fail(v1alpha1.ReasonUnknownDataset, "there is no Dataset %q: apply the one that records consents", name)
		}
		if _, problem, failed := datasetAccepted(d); failed {
			return fail(v1alpha1.ReasonUnknownDataset, "Dataset %q is not accepted: %s", name, problem)
		}
		if d.Spec.Consent == nil {
			return fail(v1alpha1.ReasonUnknownDataset, "Dataset %q does not say which of its rows are consents: set its spec.consent", name)
		}
		if reason, problem, failed := c.datasetResolved(d); failed {
			return fail(reason, "Dataset %q: %s", name, problem)
		}
		for _, records := range cl.datasets {
			if problem := c.joins(cl, records, d); problem != "" {
				return fail(v1alpha1.ReasonUnknownDataset, "%s", problem)
			}
		}
	}
	return "", "", false
}

// joins says why records cannot be held against consents in the database that has both; "" when they can.
func (c *compiler) joins(cl *clause, records, consents *v1alpha1.Dataset) string {
	s := c.schema(schemaName(consents.Spec.Schema.Name, consents.Spec.Schema.Version))
	typeOf := func(s *schema, field string) v1alpha1.FieldType {
		for _, f := range s.object.Spec.Fields {
			if f.Name == field {
				return f.Type
			}
		}
		return ""
	}
	a, b := records.Spec.SubjectKey, consents.Spec.SubjectKey
	switch {
	case a == "":
		return fmt.Sprintf("Dataset %q does not say whom a record is about: set its subjectKey", records.Name)
	case typeOf(cl.schema, a) != typeOf(s, b):
		return fmt.Sprintf("the subject keys of Dataset %q (%s) and of Dataset %q (%s) are of different types", records.Name, a, consents.Name, b)
	case consents.Spec.Source.ConsentService != nil:
		return ""
	case records.Spec.Source.HTTP != nil:
		return fmt.Sprintf("Dataset %q is an HTTP API, which is not joined with the consents in Dataset %q: bind that to a consent service (source.consentService)", records.Name, consents.Name)
	case !sameSystem(&records.Spec.Source, &consents.Spec.Source):
		return fmt.Sprintf("Dataset %q is in another system than the consents in Dataset %q: they are joined in one database (same host, database and vaultConnection; same host and catalog; or same file)", records.Name, consents.Name)
	case records.Spec.Relation == consents.Spec.Relation:
		return fmt.Sprintf("Dataset %q and the consents in Dataset %q are one relation: let the clause's rowFilter say what consent is", records.Name, consents.Name)
	}
	return ""
}

func sameSystem(a, b *v1alpha1.DatasetSource) bool {
	switch {
	case a.PostgreSQL != nil && b.PostgreSQL != nil:
		x, y := a.PostgreSQL, b.PostgreSQL
		return x.Host == y.Host && cmp.Or(x.Port, defaultPort) == cmp.Or(y.Port, defaultPort) && x.Database == y.Database && x.VaultConnection == y.VaultConnection
	case a.SQLite != nil && b.SQLite != nil:
		return a.SQLite.Path == b.SQLite.Path
	case a.Trino != nil && b.Trino != nil:
		x, y := a.Trino, b.Trino
		return x.Host == y.Host && cmp.Or(x.Port, defaultTrinoPort) == cmp.Or(y.Port, defaultTrinoPort) && x.Catalog == y.Catalog
	}
	return false
}
