package enforce

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

// Checks is the decision, in the order of enforcement.
var Checks = []Check{
	{"request", "The request is inside its bounds: sizes, number of fields, well-formed text.", needsNothing, checkRequest},
	{"credential", "The peer's agreement credential is for this agreement and this recipient.", needsNothing, checkCredential},
	{"agreement", "The agreement is in force here and now, in the version that the recipient means.", needsNothing, checkAgreement},
	{"clause", "The clause exists and lets this recipient ask.", needsVersion, checkClause},
	{"task-force", "The task force, as a member of which the recipient may ask, is inside its window.", needsClause, checkTaskForce},
	{"withdrawal", "No party that the clause needs has suspended or ended the agreement for itself.", needsClause, checkWithdrawal},
	{"schema", "The query is in the exchange schema that the clause pins.", needsClause, checkSchema},
	{"purpose", "The purpose is one that the clause permits.", needsClause, checkPurpose},
	{"case-reference", "The justification carries a case reference of the agreed form.", needsClause, checkCaseReference},
	{"subject-role", "The justification names a role that the clause permits.", needsClause, checkSubjectRole},
	{"jurisdiction", "The query is made under the law of a jurisdiction that the clause names, and that binds the recipient.", needsClause, checkJurisdiction},
	{"user-attributes", "The user's verified claims satisfy the clause's condition on them.", needsClause, checkUserAttributes},
	{"granularity", "No more is asked for than the clause's rung of the disclosure ladder.", needsClause, checkGranularity},
	{"fields", "Every field asked for is one that the clause permits.", needsClause, checkFields},
	{"filter", "The filter parses, has the right types, and can be carried out at the source.", needsClause, checkFilter},
	{"filter-fields", "The filter names only fields that the clause lets queries filter on.", needsFilter, checkFilterFields},
	{"order", "Records are ordered, and found to be the same, by fields that the clause lets queries filter on and that are among those asked for.", needsClause, checkOrder},
	{"selectors", "The filter fixes by equality every field of one of the clause's selector sets: no fishing.", needsFilter, checkSelectors},
	{"minimum-count", "Under a minimum count the filter is one whole group of the clause's partition: no two counts differ by one person.", needsFilter, checkMinimumCount},
	{"consent", "Each dataset that answers can be held against recorded consents; rows without one are not read.", needsClause, checkConsent},
	{"row-filter", "The clause's own row filter can be carried out.", needsClause, checkRowFilter},
	{"source", "Every source system that answers can be asked for both filters as they are: not every one has similarity, and an HTTP API takes some comparisons only.", needsFilter, checkSource},
	{"limit", "The number of records is inside the clause's limit.", needsClause, checkLimit},
	{"quota", "The day (UTC) has queries, and records, left; the source counts them exactly, before it is asked.", needsClause, checkQuota},
}

// Bounds of a request. Filters have their own, in package filter.
const (
	maxFields = 256
	maxText   = 256
)

func checkRequest(s *state) *Refusal {
	if len(s.Asked.Fields) > maxFields {
		return &Refusal{Invalid: true, Member: "fields", Message: fmt.Sprintf("%d fields are asked for; at most %d", len(s.Asked.Fields), maxFields), Change: "name fewer fields, or none for all that are permitted"}
	}
	if s.Asked.Limit < 0 {
		return &Refusal{Invalid: true, Member: "limit", Message: "limit is negative", Change: "leave limit out, or make it positive"}
	}
	texts := [...]struct{ name, value string }{
		{"schema", s.Asked.Schema}, {"purpose", s.Asked.Purpose}, {"justification.caseReference", s.Asked.CaseReference},
		{"justification.subjectRole", s.Asked.SubjectRole}, {"justification.aim", s.Asked.Aim},
		{"justification.jurisdiction", s.Asked.Jurisdiction},
	}
	for _, t := range texts {
		if r := checkText(t.name, t.value); r != nil {
			return r
		}
	}
	for i, f := range s.Asked.Fields {
		if !isText(f) { // the name is made when it is needed: every query comes through here
			return checkText(fmt.Sprintf("fields[%d]", i), f)
		}
	}
	if len(s.Asked.Order) > maxOrder || len(s.Asked.Deduplicate) > maxOrder {
		return &Refusal{Invalid: true, Message: fmt.Sprintf("order and deduplicate name at most %d fields each", maxOrder), Change: "name fewer fields there"}
	}
	for i, o := range s.Asked.Order {
		if r := checkText(fmt.Sprintf("order[%d].field", i), o.Field); r != nil {
			return r
		}
	}
	for i, f := range s.Asked.Deduplicate {
		if r := checkText(fmt.Sprintf("deduplicate[%d]", i), f); r != nil {
			return r
		}
	}
	if s.Asked.Purpose == "" {
		return &Refusal{Invalid: true, Member: "purpose", Message: "purpose is empty: name the purpose code that the data is needed for", Change: "name a purpose code"}
	}
	return nil
}

// isText says whether checkText has nothing against a value.
func isText(value string) bool {
	return len(value) <= maxText && utf8.ValidString(value) && !strings.ContainsFunc(value, isControl)
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func checkText(name, value string) *Refusal {
	switch {
	case len(value) > maxText:
		return &Refusal{Invalid: true, Member: name, Message: fmt.Sprintf("%s is longer than %d bytes", name, maxText), Change: "shorten " + name}
	case !utf8.ValidString(value):
		return &Refusal{Invalid: true, Member: name, Message: name + " is not valid UTF-8", Change: "write " + name + " in UTF-8"}
	case strings.ContainsFunc(value, isControl):
		return &Refusal{Invalid: true, Member: name, Message: name + " contains control characters", Change: "take the control characters out of " + name}
	}
	return nil
}

func checkCredential(s *state) *Refusal {
	c := s.Credential
	if c == nil {
		return nil
	}
	if c.Agreement != s.Asked.Agreement {
		return &Refusal{Message: fmt.Sprintf("the credential is for agreement %q, the request for %q: use the credential of that agreement", c.Agreement, s.Asked.Agreement), Change: "ask with the credential of the agreement that the request names"}
	}
	if c.Recipient != s.Asked.Recipient.Agency {
		return &Refusal{Message: fmt.Sprintf("the credential is of agency %q, the request is made for %q", c.Recipient, s.Asked.Recipient.Agency), Change: "ask with the credential of the agency that asks"}
	}
	return nil
}

// lift is what has to happen for an agreement to be in force again.
func lift(why string) string {
	if why == "Suspended" {
		return "the party that suspended it decides Resume"
	}
	return "every party accepts a new version"
}

func checkAgreement(s *state) *Refusal {
	r := s.Route
	if r == nil || r.Agreement != s.Asked.Agreement {
		return &Refusal{Message: fmt.Sprintf("no agreement %q is in force here", s.Asked.Agreement), Change: "every party accepts an agreement that permits it"}
	}
	if t := r.Tombstone; t != nil {
		return &Refusal{Term: "status.state", Message: fmt.Sprintf("agreement %q is not in force: %s", r.Agreement, t.Reason), Change: lift(t.Reason)}
	}
	v := r.Current(s.Now)
	if v == nil {
		return &Refusal{Term: "term", Message: fmt.Sprintf("agreement %q is outside its window", r.Agreement), Change: "wait for its first day, or ask for a renewal: a new version with another term"}
	}
	if s.Asked.Version != 0 && s.Asked.Version != v.Version {
		return &Refusal{Term: "version", Message: fmt.Sprintf("version %d of agreement %q is in force here, the request means version %d", v.Version, r.Agreement, s.Asked.Version), Change: "ask again when both parties serve the same version"}
	}
	s.plan.Version = v
	return nil
}

func checkClause(s *state) *Refusal {
	v := s.plan.Version
	i := slices.IndexFunc(v.Clauses, func(c route.Clause) bool { return c.Name == s.Asked.Clause })
	if i < 0 {
		return &Refusal{Term: "clauses", Message: fmt.Sprintf("agreement %q has no clause %q here", s.Route.Agreement, s.Asked.Clause), Change: "ask for an amendment that adds the clause"}
	}
	c := &v.Clauses[i]
	if !c.HasRecipient(s.Asked.Recipient) {
		return &Refusal{Term: "clauses[" + c.Name + "].recipients", Message: fmt.Sprintf("agency %q (%s) is no recipient of the clause", s.Asked.Recipient.Agency, s.Asked.Recipient.TrustDomain), Change: "ask for an amendment of clauses[" + c.Name + "].recipients"}
	}
	s.plan.Clause = c
	s.plan.Until = v.NotAfter
	return nil
}

func checkTaskForce(s *state) *Refusal {
	c := s.plan.Clause
	until, ok := c.Admits(s.Asked.Recipient, s.Now)
	if !ok {
		var windows []string
		for _, r := range c.Recipients {
			if r.Party == s.Asked.Recipient {
				windows = append(windows, fmt.Sprintf("%s from %s until %s", r.TaskForce, r.NotBefore.Format(time.RFC3339), r.NotAfter.Format(time.RFC3339)))
			}
		}
		return &Refusal{Term: "clauses[" + c.Name + "].recipients", Message: fmt.Sprintf("agency %q may ask as a member of a task force inside its window only: task force %s", s.Asked.Recipient.Agency, strings.Join(windows, "; task force ")), Change: "ask inside the window, or for an amendment with the task force's next version"}
	}
	if !until.IsZero() && until.Before(s.plan.Until) {
		s.plan.Until = until
	}
	return nil
}

func checkWithdrawal(s *state) *Refusal {
	if why := s.plan.Clause.Withheld; why != "" {
		return &Refusal{Term: "status.state", Message: fmt.Sprintf("clause %q of agreement %q is not in force: %s", s.plan.Clause.Name, s.Route.Agreement, why), Change: "the party that withdrew decides Resume, or accepts a new version"}
	}
	return nil
}

func checkSchema(s *state) *Refusal {
	c := s.plan.Clause
	if MatchesSchema(s.Asked.Schema, &c.Schema) {
		return nil
	}
	return &Refusal{Term: s.term("schema"), Member: "schema", Message: fmt.Sprintf("the clause is for schema %s.v%d", c.Schema.Name, c.Schema.Version), Change: fmt.Sprintf("ask in schema %s.v%d, or %s", c.Schema.Name, c.Schema.Version, s.amend("schema"))}
}

// MatchesSchema says whether asked, a name or name.vN, means the schema.
func MatchesSchema(asked string, schema *route.Schema) bool {
	rest, ok := strings.CutPrefix(asked, schema.Name)
	if !ok {
		return false
	}
	if rest == "" {
		return true
	}
	version, ok := strings.CutPrefix(rest, ".v")
	return ok && version == strconv.FormatInt(schema.Version, 10)
}

func checkPurpose(s *state) *Refusal {
	c := s.plan.Clause
	if slices.Contains(c.Purposes, s.Asked.Purpose) {
		return nil
	}
	return &Refusal{
		Term: s.term("purposes"), Member: "purpose", Message: fmt.Sprintf("purpose %q is not permitted; the clause permits %s", s.Asked.Purpose, strings.Join(c.Purposes, ", ")),
		Change: "ask for one of those purposes, if it is yours, or " + s.amend("purposes"),
	}
}

func checkCaseReference(s *state) *Refusal {
	c := s.plan.Clause
	if c.CaseReference == "" || c.MatchesCaseReference(s.Asked.CaseReference) {
		return nil
	}
	// The reference itself is not repeated: it may be personal data, and refusals are written to places that keep none.
	return &Refusal{
		Term: s.term("conditions.caseReference"), Member: "justification.caseReference", Message: fmt.Sprintf("justification.caseReference does not match the agreed form %s", c.CaseReference),
		Change: "give the reference of a case, in that form",
	}
}

func checkSubjectRole(s *state) *Refusal {
	c := s.plan.Clause
	if len(c.SubjectRoles) == 0 || slices.Contains(c.SubjectRoles, s.Asked.SubjectRole) {
		return nil
	}
	return &Refusal{
		Term: s.term("conditions.subjectRoles"), Member: "justification.subjectRole", Message: fmt.Sprintf("justification.subjectRole must be one of %s", strings.Join(c.SubjectRoles, ", ")),
		Change: "name the role of the person asked about, if it is one of those, or " + s.amend("conditions.subjectRoles"),
	}
}

// rung gives the place on the disclosure ladder, 0 for a granularity that is none.
func rung(granularity string) int {
	switch granularity {
	case "Existence":
		return 1
	case "Count":
		return 2
	case "Records":
		return 3
	}
	return 0
}

func checkGranularity(s *state) *Refusal {
	c := s.plan.Clause
	most := rung(c.Granularity)
	if most == 0 {
		return &Refusal{Term: s.term("granularity"), Message: fmt.Sprintf("the clause's granularity %q is unknown to this gateway", c.Granularity), Change: "upgrade the gateway, or " + s.amend("granularity")}
	}
	if s.Asked.Granularity == "" {
		s.plan.Granularity = c.Granularity
		return nil
	}
	asked := rung(s.Asked.Granularity)
	if asked == 0 {
		return &Refusal{Invalid: true, Member: "granularity", Message: "granularity must be Existence, Count or Records", Change: "name one of those, or none"}
	}
	if asked > most {
		return &Refusal{
			Term: s.term("granularity"), Member: "granularity", Message: fmt.Sprintf("granularity %s is asked for; the clause permits at most %s", s.Asked.Granularity, c.Granularity),
			Change: "ask for " + c.Granularity + ", or " + s.amend("granularity"),
		}
	}
	s.plan.Granularity = s.Asked.Granularity
	return nil
}

func checkFields(s *state) *Refusal {
	c := s.plan.Clause
	member := func(i int) string { return "fields[" + strconv.Itoa(i) + "]" }
	for i, f := range s.Asked.Fields {
		if !c.Schema.Has(f) {
			return &Refusal{Invalid: true, Member: member(i), Message: fmt.Sprintf("field %q is not in schema %s.v%d", f, c.Schema.Name, c.Schema.Version), Change: "remove it from fields, or spell it as the schema does"}
		}
		if slices.Contains(s.Asked.Fields[:i], f) {
			return &Refusal{Invalid: true, Member: member(i), Message: fmt.Sprintf("field %q is asked for twice", f), Change: "remove one of them from fields"}
		}
		if !c.Schema.Covers(c.Fields, f) {
			return &Refusal{
				Term: s.term("fields"), Member: member(i), Message: fmt.Sprintf("field %q is not permitted; the clause permits %s", f, listOrNone(c.Fields)),
				Change: "remove " + strings.Join(s.without(c.Fields), ", ") + " from fields, or " + s.amend("fields"),
			}
		}
	}
	if twice := route.Overlap(s.Asked.Fields); twice != "" {
		return &Refusal{Invalid: true, Member: "fields", Message: fmt.Sprintf("field %q is asked for twice: it is part of a record that is asked for, too", twice), Change: "remove " + twice + " from fields"}
	}
	if s.plan.Granularity != "Records" {
		return nil // fewer rungs disclose no fields
	}
	s.plan.Fields = s.Asked.Fields
	if len(s.plan.Fields) == 0 {
		s.plan.Fields = c.Fields
	}
	if len(s.plan.Fields) == 0 {
		return &Refusal{Term: s.term("fields"), Message: "the clause permits no fields", Change: "ask for Existence or Count, or " + s.amend("fields")}
	}
	return nil
}

// without are the fields asked for that are not among those, each once.
func (s *state) without(permitted []string) []string {
	var out []string
	for _, f := range s.Asked.Fields {
		if !s.plan.Clause.Schema.Covers(permitted, f) && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

func listOrNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func checkFilter(s *state) *Refusal {
	if s.Asked.Filter == "" {
		return nil
	}
	f, err := s.Compile(&s.plan.Clause.Schema, s.Asked.Filter)
	if err != nil {
		return &Refusal{Invalid: true, Member: "filter", Message: filterMessage(err), Change: "mend the filter there"}
	}
	if f, err = f.At(s.Now); err != nil {
		return &Refusal{Invalid: true, Member: "filter", Message: filterMessage(err), Change: "mend the filter there"}
	}
	s.plan.Filter = f
	return nil
}

func filterMessage(err error) string {
	var e *filter.Error
	if errors.As(err, &e) {
		return fmt.Sprintf("filter, line %d column %d: %s", e.Line, e.Column, e.Message)
	}
	return "filter: " + err.Error()
}

func checkFilterFields(s *state) *Refusal {
	if s.plan.Filter == nil {
		return nil
	}
	c := s.plan.Clause
	for _, f := range s.plan.Filter.Fields() {
		if !c.Schema.Covers(c.FilterFields, f) {
			return &Refusal{
				Term: s.term("filterFields"), Member: "filter", Message: fmt.Sprintf("the filter names field %q, which queries may not filter on; the clause permits %s", f, listOrNone(c.FilterFields)),
				Change: "take " + f + " out of the filter, or " + s.amend("filterFields"),
			}
		}
	}
	return nil
}

// maxOrder is how many fields a query may order by, or find records to be the same by.
const maxOrder = 8

func checkOrder(s *state) *Refusal {
	order := make([]string, len(s.Asked.Order))
	for i, o := range s.Asked.Order {
		order[i] = o.Field
	}
	for _, list := range []struct {
		what   string
		fields []string
	}{{"order", order}, {"deduplicate", s.Asked.Deduplicate}} {
		if r := s.sortable(list.what, list.fields); r != nil {
			return r
		}
	}
	if s.plan.Granularity != "Records" {
		return nil
	}
	s.plan.Order = s.Asked.Order
	return nil
}

// sortable says whether the query may order by the fields. Their values have to be disclosed in any case, for the recipient's gateway to
// merge its sources; the order of what is not disclosed would tell of it.
func (s *state) sortable(what string, fields []string) *Refusal {
	c := s.plan.Clause
	for i, f := range fields {
		member, without := fmt.Sprintf("%s[%d]", what, i), "remove "+f+" from "+what
		switch {
		case !slices.ContainsFunc(c.Schema.Fields, func(sf route.Field) bool { return sf.Name == f }):
			return &Refusal{Invalid: true, Member: member, Message: fmt.Sprintf("%s: field %q is not in schema %s.v%d", what, f, c.Schema.Name, c.Schema.Version), Change: without + ", or spell it as the schema does"}
		case c.Schema.Single(f) == nil:
			return &Refusal{Invalid: true, Member: member, Message: fmt.Sprintf("%s: field %q is a list or a record", what, f), Change: without}
		case slices.Contains(fields[:i], f):
			return &Refusal{Invalid: true, Member: member, Message: fmt.Sprintf("%s: field %q is named twice", what, f), Change: "name it once"}
		case !slices.Contains(c.FilterFields, f):
			return &Refusal{Term: s.term("filterFields"), Message: fmt.Sprintf("%s names field %q, which queries may not filter, order or de-duplicate by; the clause permits %s", what, f, listOrNone(c.FilterFields)), Member: member, Change: without + ", or " + s.amend("filterFields")}
		case !slices.Contains(c.Fields, f):
			return &Refusal{Term: s.term("fields"), Message: fmt.Sprintf("%s names field %q, which the clause does not disclose, and so its order neither", what, f), Member: member, Change: without + ", or " + s.amend("fields")}
		case s.plan.Granularity == "Records" && !slices.Contains(s.plan.Fields, f):
			return &Refusal{Message: fmt.Sprintf("%s names field %q: ask for it among the fields, too", what, f), Member: member, Change: "add " + f + " to fields, or " + without}
		}
	}
	return nil
}

func checkSelectors(s *state) *Refusal {
	c := s.plan.Clause
	if len(c.RequireSelectors) == 0 {
		return nil
	}
	if s.plan.Filter != nil {
		fixed := s.plan.Filter.EqualityFields()
		for _, set := range c.RequireSelectors {
			if containsAll(fixed, set) {
				return nil
			}
		}
	}
	sets := make([]string, len(c.RequireSelectors))
	for i, set := range c.RequireSelectors {
		sets[i] = strings.Join(set, " and ")
	}
	return &Refusal{
		Term: s.term("conditions.requireSelectors"), Member: "filter", Message: "the filter must fix by equality (==, joined by &&): " + strings.Join(sets, "; or "),
		Change: "add to the filter an equality for each field of one of those sets",
	}
}

func containsAll(have, want []string) bool {
	for _, w := range want {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return true
}

func checkRowFilter(s *state) *Refusal {
	c := s.plan.Clause
	if c.RowFilter == "" {
		return nil
	}
	f, err := s.Compile(&c.Schema, c.RowFilter)
	if err != nil {
		return &Refusal{Term: s.term("rowFilter"), Message: "the clause's own " + filterMessage(err), Change: s.amend("rowFilter")}
	}
	if f, err = f.At(s.Now); err != nil {
		return &Refusal{Term: s.term("rowFilter"), Message: "the clause's own " + filterMessage(err), Change: s.amend("rowFilter")}
	}
	s.plan.RowFilter = f
	return nil
}

func checkLimit(s *state) *Refusal {
	s.plan.Limit = s.plan.Clause.MaxRecords()
	if s.Asked.Limit > 0 && s.Asked.Limit < s.plan.Limit {
		s.plan.Limit = s.Asked.Limit
	}
	return nil
}
