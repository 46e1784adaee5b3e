package compile

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// SeverityNotChecked is of a finding that says what could not be checked, since what the terms refer to is not there.
const SeverityNotChecked v1alpha1.Severity = "NotChecked"

// Finding is one thing to know of a resource before it is applied.
type Finding struct {
	// Path of the member, below spec.terms for an agreement.
	Path     string            `json:"path"`
	Severity v1alpha1.Severity `json:"severity"`
	// Rule is <profile>/<rule>, or the reason that a condition would have.
	Rule string `json:"rule"`
	// Citation of the statute that asks for it, of a profile's rule.
	Citation string `json:"citation,omitempty"`
	Message  string `json:"message"`
}

// LintAgreement lists everything that would keep the agreement from being accepted or resolved, and what its profiles warn
// of: all of it, where conditions tell the first. The index need not be complete: what is missing is said to be not
// checked. It looks at the terms alone, from no party's side.
func LintAgreement(index *Index, a *v1alpha1.SharingAgreement) []Finding {
	l := linter{c: newCompiler(index, time.Time{}), v: &version{object: a, name: a.Name, terms: &a.Spec.Terms}}
	for _, field := range a.Spec.UnknownFields {
		l.add("spec."+field, v1alpha1.ReasonUnknownField, "this release does not know it: correct the spelling, or remove it")
	}
	for _, fault := range checkTerms(a.Name, l.v.terms) {
		l.fault(v1alpha1.ReasonInvalid, fault)
	}
	for _, term := range unenforceable(l.v.terms) {
		l.fault(v1alpha1.ReasonUnenforceableTerm, term)
	}
	l.profiles()
	l.parties()
	for i := range l.v.terms.Clauses {
		l.clause(&l.v.terms.Clauses[i])
	}
	return l.out
}

type linter struct {
	c   *compiler
	v   *version
	out []Finding
}

func (l *linter) add(path, rule, message string) {
	l.out = append(l.out, Finding{Path: path, Severity: v1alpha1.SeverityError, Rule: rule, Message: message})
}

func (l *linter) notChecked(path, rule, message string) {
	l.out = append(l.out, Finding{Path: path, Severity: SeverityNotChecked, Rule: rule, Message: message})
}

// fault adds a message of the form "path: what is wrong".
func (l *linter) fault(rule, message string) {
	path, message, _ := strings.Cut(message, ": ")
	l.add(path, rule, message)
}

func (l *linter) profiles() {
	for _, name := range l.v.terms.Profiles {
		f := l.c.framework(name)
		switch {
		case f == nil:
			l.add("profiles", v1alpha1.ReasonUnknownProfile, fmt.Sprintf("there is no AgreementProfile %q: correct the name, or give its file", name))
		case f.problem != "":
			l.add("profiles", v1alpha1.ReasonProfileViolation, fmt.Sprintf("AgreementProfile %q is not accepted, so its rules cannot be checked: %s", name, f.problem))
		default:
			for _, v := range f.rules.Check(l.v.terms, l.c.superseded(l.v.terms)) {
				if v.NoPrior {
					l.notChecked(v.Field, v.Profile+"/"+v.Rule, v.Message)
					continue
				}
				l.out = append(l.out, Finding{Path: v.Field, Severity: v.Severity, Rule: v.Profile + "/" + v.Rule, Citation: v.Citation, Message: v.Message})
			}
		}
	}
}

func (l *linter) parties() {
	for i, p := range l.v.terms.Parties {
		agency := l.c.index.Agencies[p.Agency]
		switch {
		case agency == nil:
			l.notChecked(fmt.Sprintf("parties[%d]", i), v1alpha1.ReasonUnknownAgency, fmt.Sprintf("there is no Agency %q to compare the trust domain with", p.Agency))
		case agency.Spec.TrustDomain != p.TrustDomain:
			l.add(fmt.Sprintf("parties[%d].trustDomain", i), v1alpha1.ReasonTrustDomainMismatch,
				fmt.Sprintf("the terms say %q, Agency %q has %q: correct whichever is wrong", p.TrustDomain, p.Agency, agency.Spec.TrustDomain))
		}
	}
}

// clause checks what a clause refers to, by the checks that compile has for all clauses.
func (l *linter) clause(terms *v1alpha1.Clause) {
	if !isName(terms.Name, 63) {
		return // told already; references need a name for their path
	}
	alone := *l.v
	whole := *l.v.terms
	whole.Clauses = []v1alpha1.Clause{*terms}
	alone.terms, alone.clauses = &whole, []clause{l.c.clause(terms)}
	l.first(&alone, purposesKnown)
	l.taskForces(&alone)

	name := schemaName(terms.Schema.Name, terms.Schema.Version)
	if l.c.index.Schemas[name] == nil {
		l.notChecked("clauses["+terms.Name+"].schema", v1alpha1.ReasonUnknownSchema,
			fmt.Sprintf("there is no ExchangeSchema %q to compare digest, fields and row filter with", name))
		return
	}
	l.first(&alone, schemasKnown, schemaDigestsMatch, schemaFieldsKnown)
	l.first(&alone, rowFiltersCompile)
	if d := l.c.index.Datasets[terms.Dataset]; d != nil && schemaName(d.Spec.Schema.Name, d.Spec.Schema.Version) != name {
		l.add("clauses["+terms.Name+"].dataset", v1alpha1.ReasonUnknownDataset, fmt.Sprintf("Dataset %q is in schema %q, the clause in %q: map the dataset to that schema",
			d.Name, schemaName(d.Spec.Schema.Name, d.Spec.Schema.Version), name))
	}
}

// taskForces checks those that a clause names, if they are all there.
func (l *linter) taskForces(v *version) {
	missing := eachTaskForce(v.terms, func(path string, ref *v1alpha1.TaskForceRef) bool {
		name := schemaName(ref.Name, ref.Version)
		if l.c.index.TaskForces[name] != nil {
			return false
		}
		l.notChecked(path, v1alpha1.ReasonUnknownTaskForce, fmt.Sprintf("there is no TaskForce %q to compare digest and members with", name))
		return true
	})
	if !missing {
		l.first(v, taskForcesKnown, taskForceDigestsMatch, taskForceMembersSign)
	}
}

// first adds what the first check that fails says.
func (l *linter) first(v *version, checks ...check) {
	for _, check := range checks {
		if reason, message, failed := check(l.c, v); failed {
			l.fault(reason, message)
			return
		}
	}
}

// LintSchema lists what would keep the schema from being accepted.
func LintSchema(s *v1alpha1.ExchangeSchema) []Finding {
	_, conditions := SchemaConditions(s, nil, time.Time{})
	return lintConditions(conditions)
}

// LintTaskForce lists what would keep the task force from being accepted.
func LintTaskForce(f *v1alpha1.TaskForce) []Finding {
	status, _ := TaskForceStatus(f, time.Time{})
	return lintConditions(status.Conditions)
}

// LintProfile lists what would keep the profile from being accepted.
func LintProfile(p *v1alpha1.AgreementProfile) []Finding {
	return lintConditions(ProfileConditions(p, nil, nil, time.Time{}))
}

// LintDataset lists what would keep the dataset from being accepted or, when its schema is there, resolved.
func LintDataset(index *Index, d *v1alpha1.Dataset) []Finding {
	out := lintConditions(DatasetConditions(index, d, nil, time.Time{}))
	if index.Schemas[schemaName(d.Spec.Schema.Name, d.Spec.Schema.Version)] == nil {
		for i := range out {
			if out[i].Rule == v1alpha1.ReasonUnknownSchema {
				out[i].Severity = SeverityNotChecked
			}
		}
	}
	return out
}

func lintConditions(conditions []metav1.Condition) []Finding {
	var out []Finding
	for _, c := range conditions {
		if c.Status != metav1.ConditionTrue {
			out = append(out, Finding{Path: "spec", Severity: v1alpha1.SeverityError, Rule: c.Reason, Message: c.Message})
		}
	}
	return out
}
