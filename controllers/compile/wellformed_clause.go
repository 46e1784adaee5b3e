package compile

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/claims"
	"github.com/entente-dev/entente/gateway/route"
)

var (
	purposeForm      = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z0-9][A-Za-z0-9._/-]*$`)
	jurisdictionForm = regexp.MustCompile(`^[A-Z]{2}(-[A-Z0-9]{1,3})?$`)
)

// checkClause lists what is wrong with a clause by itself.
func checkClause(f *faults, path string, t *v1alpha1.AgreementTerms, cl *v1alpha1.Clause) {
	checkSides(f, path, t, cl)
	checkSchemaRef(f, path+".schema", cl.Schema)
	checkPurposes(f, path+".purposes", cl.Purposes)
	switch cl.Granularity {
	case v1alpha1.GranularityExistence, v1alpha1.GranularityCount:
	case v1alpha1.GranularityRecords:
		if len(cl.Fields) == 0 {
			f.add(path+".fields", "missing: a clause of granularity Records lists its fields")
		}
	default:
		f.add(path+".granularity", "%q is not Existence, Count or Records", cl.Granularity)
	}
	checkFieldSet(f, path+".fields", cl.Fields)
	checkFieldSet(f, path+".filterFields", cl.FilterFields)
	if len(cl.RowFilter) > 2000 {
		f.add(path+".rowFilter", "longer than 2000 characters")
	}
	checkConditions(f, path, cl)
	checkLimits(f, path+".limits", cl.Limits)
	checkMinimumCount(f, path, cl)
	checkObligations(f, path+".obligations", cl.Obligations)
}

func checkSides(f *faults, path string, t *v1alpha1.AgreementTerms, cl *v1alpha1.Clause) {
	if party(t, cl.Source) == nil {
		f.add(path+".source", "%q is not a party", cl.Source)
	}
	if n := len(cl.Recipients); n < 1 || n > maxParties {
		f.add(path+".recipients", "%d recipients; 1 to %d are possible", n, maxParties)
	}
	seen := map[string]bool{}
	for i, r := range cl.Recipients {
		at := fmt.Sprintf("%s.recipients[%d]", path, i)
		switch {
		case (r.Agency == "") == (r.TaskForce == nil):
			f.add(at, "exactly one of agency and taskForce is given")
			continue
		case r.TaskForce != nil:
			checkTaskForceRef(f, at+".taskForce", r.TaskForce)
		case r.Agency == cl.Source:
			f.add(at, "%q is the source itself", r.Agency)
		case party(t, r.Agency) == nil:
			f.add(at, "%q is not a party", r.Agency)
		}
		name := r.Agency
		if r.TaskForce != nil {
			name = "task force " + r.TaskForce.Name
		}
		if seen[name] {
			f.add(at, "%q stands twice", name)
		}
		seen[name] = true
	}
}

func checkTaskForceRef(f *faults, path string, r *v1alpha1.TaskForceRef) {
	if !isName(r.Name, 40) {
		f.add(path+".name", "%q is not the name of a task force", r.Name)
	}
	if r.Version < 1 || r.Version > maxVersion {
		f.add(path+".version", "%d is not between 1 and %d", r.Version, maxVersion)
	}
	if !digestForm.MatchString(r.Digest) {
		f.add(path+".digest", "%q is not sha256:<base64url>", r.Digest)
	}
}

func checkSchemaRef(f *faults, path string, s v1alpha1.SchemaRef) {
	if !isName(s.Name, 40) {
		f.add(path+".name", "%q is not the name of an exchange schema", s.Name)
	}
	if s.Version < 1 || s.Version > maxVersion {
		f.add(path+".version", "%d is not between 1 and %d", s.Version, maxVersion)
	}
	if !digestForm.MatchString(s.Digest) {
		f.add(path+".digest", "%q is not sha256:<base64url>", s.Digest)
	}
}

func checkPurposes(f *faults, path string, purposes []string) {
	if n := len(purposes); n < 1 || n > 32 {
		f.add(path, "%d purposes; 1 to 32 are possible", n)
	}
	for _, p := range purposes {
		if len(p) > 128 || !purposeForm.MatchString(p) {
			f.add(path, "%q is not a purpose code, namespace:code", p)
		}
	}
	checkUnique(f, path, purposes)
}

func checkFieldSet(f *faults, path string, fields []string) {
	// An empty list reads as "none" and would mean "the default".
	if fields != nil && len(fields) == 0 {
		f.add(path, "empty: leave it out, or list fields")
	}
	if len(fields) > maxFields {
		f.add(path, "%d fields; at most %d are possible", len(fields), maxFields)
	}
	for _, name := range fields {
		if !pathForm.MatchString(name) {
			f.add(path, "%q is not the name of a field", name)
		}
	}
	checkUnique(f, path, fields)
	if twice := route.Overlap(fields); twice != "" {
		f.add(path, "%q is part of a record that is listed, too", twice)
	}
}

func checkUnique(f *faults, path string, items []string) {
	seen := map[string]bool{}
	for _, s := range items {
		if seen[s] {
			f.add(path, "%q stands twice", s)
		}
		seen[s] = true
	}
}

func checkConditions(f *faults, clausePath string, cl *v1alpha1.Clause) {
	if cl.Conditions == nil {
		return
	}
	path := clausePath + ".conditions"
	if r := cl.Conditions.CaseReference; r != nil {
		checkPattern(f, path+".caseReference.pattern", r.Pattern)
	}
	checkSelectors(f, path+".requireSelectors", cl)
	if roles := cl.Conditions.SubjectRoles; roles != nil {
		if n := len(roles); n < 1 || n > 16 {
			f.add(path+".subjectRoles", "%d roles; 1 to 16 are possible: leave it out to allow any", n)
		}
		if slices.Contains(roles, "") {
			f.add(path+".subjectRoles", "an empty role")
		}
		checkUnique(f, path+".subjectRoles", roles)
	}
	if k := cl.Conditions.Consent; k != nil && !isName(k.Dataset, 40) {
		f.add(path+".consent.dataset", "%q is not the name of a dataset", k.Dataset)
	}
	if text := cl.Conditions.UserAttributes; text != "" {
		if _, err := claims.Compile(text); err != nil {
			f.add(path+".userAttributes", "%v", err)
		}
	}
	checkJurisdictions(f, path+".jurisdictions", cl.Conditions.Jurisdictions)
}

func checkJurisdictions(f *faults, path string, codes []string) {
	if codes != nil && (len(codes) < 1 || len(codes) > 64) {
		f.add(path, "%d jurisdictions; 1 to 64 are possible: leave it out to allow any", len(codes))
	}
	for _, code := range codes {
		if !jurisdictionForm.MatchString(code) {
			f.add(path, "%q is not an ISO 3166 code: US, US-CA", code)
		}
	}
	checkUnique(f, path, codes)
}

func checkPattern(f *faults, path, pattern string) {
	if pattern == "" || len(pattern) > maxPattern {
		f.add(path, "%d characters; 1 to %d are possible", len(pattern), maxPattern)
		return
	}
	// By itself first: the gateway anchors it as ^(?:pattern)$, out of which "a)|(b" would break.
	_, err := regexp.Compile(pattern)
	if err == nil {
		_, err = regexp.Compile(`^(?:` + pattern + `)$`)
	}
	if err != nil {
		f.add(path, "%q is not an RE2 expression (%v)", pattern, err)
	}
}

// checkSelectors also refuses a set that no filter may fix: such a clause could never be used.
func checkSelectors(f *faults, path string, cl *v1alpha1.Clause) {
	sets := cl.Conditions.RequireSelectors
	if sets == nil {
		return
	}
	if n := len(sets); n < 1 || n > 16 {
		f.add(path, "%d sets; 1 to 16 are possible: leave it out to require none", n)
	}
	for i, set := range sets {
		at := fmt.Sprintf("%s[%d]", path, i)
		if n := len(set); n < 1 || n > 16 {
			f.add(at, "%d fields; 1 to 16 are possible", n)
			continue
		}
		checkFieldSet(f, at, set)
		for _, name := range set {
			if of, _, _ := strings.Cut(name, "."); len(cl.FilterFields) > 0 && !slices.Contains(cl.FilterFields, name) && !slices.Contains(cl.FilterFields, of) {
				f.add(at, "no query can fix %q, which filterFields does not list", name)
			}
		}
	}
}

func checkLimits(f *faults, path string, l *v1alpha1.Limits) {
	if l == nil {
		return
	}
	for _, limit := range []struct {
		name       string
		value, max int64
	}{
		{"queriesPerDay", l.QueriesPerDay, maxLimit},
		{"recordsPerQuery", l.RecordsPerQuery, maxLimit},
		{"recordsPerDay", l.RecordsPerDay, maxLimit},
		{"minimumCount", l.MinimumCount, 1_000_000},
	} {
		if limit.value < 0 || limit.value > limit.max {
			f.add(path+"."+limit.name, "%d is not between 1 and %d", limit.value, limit.max)
		}
	}
}

func checkObligations(f *faults, path string, o *v1alpha1.Obligations) {
	if o == nil {
		return
	}
	if d := o.RetentionDays; d != nil && (*d < 0 || *d > 36_525) {
		f.add(path+".retentionDays", "%d is not between 0 and 36525", *d)
	}
	if o.Redisclosure != "" && o.Redisclosure != "Prohibited" && o.Redisclosure != "WithConsentOfSource" {
		f.add(path+".redisclosure", "%q is not Prohibited or WithConsentOfSource", o.Redisclosure)
	}
	if v := o.VerifyBeforeAction; v != nil && (v.NoticeDays < 0 || v.NoticeDays > 365) {
		f.add(path+".verifyBeforeAction.noticeDays", "%d is not between 0 and 365", v.NoticeDays)
	}
	if o.ResponseTimeSeconds < 0 {
		f.add(path+".responseTimeSeconds", "%d is less than 1", o.ResponseTimeSeconds)
	}
}

// checkMinimumCount: counts may only be of the groups into which one selector set divides the records.
func checkMinimumCount(f *faults, path string, cl *v1alpha1.Clause) {
	if !suppresses(cl) {
		return
	}
	path += ".limits.minimumCount"
	if cl.Limits.MinimumCount == 1 {
		f.add(path, "1 suppresses nothing; 2 to 1000000 are possible")
	}
	if cl.Granularity == v1alpha1.GranularityRecords {
		f.add(path, "a clause of granularity Records shows small groups: lower granularity to Count, or leave it out")
	}
	if cl.Conditions == nil || len(cl.Conditions.RequireSelectors) != 1 {
		f.add(path, "list one set of fields in conditions.requireSelectors: the groups that may be counted are those that have these fields in common")
	}
}

func suppresses(cl *v1alpha1.Clause) bool { return cl.Limits != nil && cl.Limits.MinimumCount > 0 }

// checkPartitions: the counts of two clauses must not overlap either, where one recipient may ask under both.
func checkPartitions(f *faults, t *v1alpha1.AgreementTerms) {
	for i := range t.Clauses {
		for j := range i {
			a, b := &t.Clauses[j], &t.Clauses[i]
			shared := slices.ContainsFunc(a.Recipients, func(r v1alpha1.Recipient) bool {
				// Whoever is in a task force may be a recipient by name, too.
				return slices.ContainsFunc(b.Recipients, func(o v1alpha1.Recipient) bool {
					return r.TaskForce != nil || o.TaskForce != nil || r.Agency == o.Agency
				})
			})
			if !suppresses(a) || !suppresses(b) || a.Source != b.Source || a.Schema.Name != b.Schema.Name || !shared || samePartition(a, b) {
				continue
			}
			f.add("clauses["+b.Name+"].limits.minimumCount", "clause %q divides the same records for the same recipient in another way, and two ways can be subtracted: give both the same selector set, row filter, dataset, consent and minimumCount", a.Name)
		}
	}
}

func samePartition(a, b *v1alpha1.Clause) bool {
	return partitionOf(a) == partitionOf(b)
}

// partitionOf writes down what divides the records of a clause.
func partitionOf(cl *v1alpha1.Clause) string {
	var sets [][]string
	var consent *v1alpha1.Consent
	if cl.Conditions != nil {
		consent = cl.Conditions.Consent
		for _, set := range cl.Conditions.RequireSelectors {
			sets = append(sets, sorted(set))
		}
	}
	written, err := json.Marshal([]any{sets, cl.RowFilter, cl.Dataset, consent, cl.Limits.MinimumCount, cl.Schema.Version})
	if err != nil {
		return "" // lists and texts can be written
	}
	return string(written)
}
