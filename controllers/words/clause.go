package words

import (
	"fmt"
	"slices"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/route"
)

// Clause is one permission in words.
type Clause struct {
	Name string `json:"name"`
	// Permits is the permission in one sentence.
	Permits string `json:"permits"`
	// Conditions that each query meets, Limits on what it is answered, and Obligations of who was answered.
	Conditions  []string `json:"conditions,omitempty"`
	Limits      []string `json:"limits,omitempty"`
	Obligations []string `json:"obligations,omitempty"`
}

// clause puts a clause in words.
func (f TaskForces) clause(c *v1alpha1.Clause) Clause {
	return Clause{
		Name:        plain(c.Name),
		Permits:     f.permits(c),
		Conditions:  conditions(c),
		Limits:      limits(c),
		Obligations: obligations(c),
	}
}

func (f TaskForces) permits(c *v1alpha1.Clause) string {
	records := fmt.Sprintf("its %s records", schemaName(c.Schema))
	if c.Dataset != "" {
		records = fmt.Sprintf("its %s records in dataset %s", schemaName(c.Schema), plain(c.Dataset))
	}
	return fmt.Sprintf("%s lets %s %s, for %s.", plain(c.Source), and(f.recipientTexts(c)), disclosure(c.Granularity, plainAll(c.Fields), records), or(plainAll(c.Purposes)))
}

// disclosure says what may be learnt of records at a rung of the ladder.
func disclosure(g v1alpha1.Granularity, fields []string, records string) string {
	switch g {
	case v1alpha1.GranularityExistence:
		return "learn whether any of " + records + " match a query, and nothing more"
	case v1alpha1.GranularityCount:
		return "learn how many of " + records + " match a query, and nothing more"
	case v1alpha1.GranularityRecords:
		return "see " + and(fields) + " of " + records
	}
	return fmt.Sprintf("see what granularity %q of %s may be", plain(string(g)), records)
}

func conditions(c *v1alpha1.Clause) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if c.RowFilter != "" {
		add("only records where %s", plain(c.RowFilter))
	}
	k := c.Conditions
	if k == nil {
		k = &v1alpha1.Conditions{}
	}
	if k.CaseReference != nil {
		add("a query carries a case reference of the form %s", plain(k.CaseReference.Pattern))
	}
	if len(k.SubjectRoles) > 0 {
		add("a query says that the person is a %s", or(plainAll(k.SubjectRoles)))
	}
	if len(k.RequireSelectors) > 0 {
		add("a query names a known person: it fixes %s", selectorSets(k.RequireSelectors))
	}
	if fields := filterFields(c); len(fields) > 0 {
		add("a query may filter on %s, and on no other field", and(plainAll(fields)))
	}
	if k.UserAttributes != "" {
		add("the user's verified claims satisfy %s", plain(k.UserAttributes))
	}
	if k.Consent != nil {
		add("the person consented, as dataset %s of %s records", plain(k.Consent.Dataset), plain(c.Source))
	}
	if len(k.Jurisdictions) > 0 {
		add("a query comes from %s", or(plainAll(k.Jurisdictions)))
	}
	return out
}

// selectorSets writes alternatives of fields that are fixed together.
func selectorSets(sets []v1alpha1.SelectorSet) string {
	alternatives := make([]string, len(sets))
	for i, set := range sets {
		alternatives[i] = and(plainAll(set))
	}
	return strings.Join(alternatives, "; or ")
}

// filterFields are what a query may filter on, with the default filled in as compile does: the clause's fields and those
// of its selectors, in that order.
func filterFields(c *v1alpha1.Clause) []string {
	if len(c.FilterFields) > 0 {
		return c.FilterFields
	}
	fields := slices.Clone(c.Fields)
	if c.Conditions != nil {
		for _, f := range slices.Concat(c.Conditions.RequireSelectors...) {
			if !slices.Contains(fields, f) {
				fields = append(fields, f)
			}
		}
	}
	return fields
}

// disclosed are the fields that an answer may hold: none below the rung of Records.
func disclosed(c *v1alpha1.Clause) []string {
	if c.Granularity != v1alpha1.GranularityRecords {
		return nil
	}
	return c.Fields
}

func limits(c *v1alpha1.Clause) []string {
	l := c.Limits
	if l == nil {
		l = &v1alpha1.Limits{}
	}
	var out []string
	if l.RecordsPerQuery > 0 {
		out = append(out, fmt.Sprintf("at most %s a query", count(l.RecordsPerQuery, "record")))
	} else if c.Granularity == v1alpha1.GranularityRecords {
		out = append(out, fmt.Sprintf("at most %s a query (the gateway's own limit; the terms set none)", count(route.DefaultRecordsPerQuery, "record")))
	}
	if l.QueriesPerDay > 0 {
		out = append(out, fmt.Sprintf("at most %s a day by each recipient", queries(l.QueriesPerDay)))
	}
	if l.RecordsPerDay > 0 {
		out = append(out, fmt.Sprintf("at most %s a day to each recipient", count(l.RecordsPerDay, "record")))
	}
	if l.MinimumCount > 0 {
		out = append(out, fmt.Sprintf("whole groups of persons are counted, in steps of %s: counts below %s are suppressed", number(l.MinimumCount), number(l.MinimumCount)))
	}
	return out
}

func queries(n int64) string {
	if n == 1 {
		return "1 query"
	}
	return number(n) + " queries"
}

func obligations(c *v1alpha1.Clause) []string {
	o := c.Obligations
	if o == nil {
		o = &v1alpha1.Obligations{}
	}
	var out []string
	if d := o.RetentionDays; d != nil {
		out = append(out, retention(*d))
	}
	out = append(out, redisclosure(o.Redisclosure))
	if o.Destruction != "" {
		out = append(out, "the records are destroyed in the end: "+plain(o.Destruction))
	}
	if v := o.VerifyBeforeAction; v != nil {
		out = append(out, verification(v.NoticeDays))
	}
	if o.ResponseTimeSeconds > 0 {
		out = append(out, fmt.Sprintf("%s answers within %s", plain(c.Source), duration(o.ResponseTimeSeconds)))
	}
	return out
}

func retention(days int64) string {
	if days == 0 {
		return "recipients do not keep what they are told"
	}
	return "recipients keep what they are told at most " + count(days, "day")
}

func redisclosure(rule string) string {
	switch rule {
	case "":
		return "recipients pass nothing on (the default: the terms say nothing of redisclosure)"
	case "Prohibited":
		return "recipients pass nothing on"
	case "WithConsentOfSource":
		return "recipients pass something on only with the source's consent"
	}
	return "redisclosure: " + plain(rule)
}

func verification(noticeDays int64) string {
	return fmt.Sprintf("nobody acts against a person before it was verified independently and %s passed since the person was told", count(noticeDays, "day"))
}
