package profiles_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/config/profiles"
	"github.com/entente-dev/entente/controllers/compile/profile"
)

// kept names for each profile an agreement that keeps every rule of it.
var kept = map[string]string{
	"eu-led":      "../samples/agreements/eu-joint-investigation-team.yaml",
	"nist-800-47": "../samples/agreements/task-force-mou.yaml",
	"uk-dea":      "../samples/agreements/uk-debt.yaml",
	"us-cmppa":    "../samples/agreements/us-computer-matching.yaml",
}

type terms = v1alpha1.AgreementTerms

// change makes an agreement break a rule, or keep it in another way.
type change func(*terms)

func set(field func(*terms) *string, value string) change {
	return func(t *terms) { *field(t) = value }
}

func eachClause(f func(*v1alpha1.Clause)) change {
	return func(t *terms) {
		for i := range t.Clauses {
			f(&t.Clauses[i])
		}
	}
}

// lastClause changes one clause only: a rule about all must see it.
func lastClause(f func(*v1alpha1.Clause)) change {
	return func(t *terms) { f(&t.Clauses[len(t.Clauses)-1]) }
}

func roles(party int, roles ...string) change {
	return func(t *terms) { t.Parties[party].Roles = roles }
}

func without(covers string) change {
	return func(t *terms) {
		t.LegalAuthority = slices.DeleteFunc(t.LegalAuthority, func(a v1alpha1.LegalAuthority) bool { return a.Covers == covers })
	}
}

func cite(citation string) change {
	return func(t *terms) {
		for i := range t.LegalAuthority {
			if t.LegalAuthority[i].Covers == "Disclosure" {
				t.LegalAuthority[i].Citation = citation
			}
		}
	}
}

func dropDecisions(agency, role string) change {
	return func(t *terms) {
		t.RequiredDecisions = slices.DeleteFunc(t.RequiredDecisions, func(d v1alpha1.RequiredDecision) bool {
			return (agency == "" || d.Agency == agency) && (role == "" || d.Role == role)
		})
	}
}

func require(role string) change {
	return func(t *terms) {
		for _, p := range t.Parties {
			t.RequiredDecisions = append(t.RequiredDecisions, v1alpha1.RequiredDecision{Agency: p.Agency, Role: role})
		}
	}
}

// lasts sets the end to a time after the beginning.
func lasts(months int, more time.Duration) change {
	return func(t *terms) {
		t.Term.NotAfter = metav1.NewTime(t.Term.NotBefore.AddDate(0, months, 0).Add(more))
	}
}

func reviewed(months int, more time.Duration) change {
	return func(t *terms) {
		at := metav1.NewTime(t.Term.NotBefore.AddDate(0, months, 0).Add(more))
		t.Term.ReviewBy = &at
	}
}

func all(changes ...change) change {
	return func(t *terms) {
		for _, c := range changes {
			c(t)
		}
	}
}

var (
	never      = change(func(t *terms) { t.Term.ReviewBy = nil })
	supersedes = change(func(t *terms) { t.Version, t.Supersedes = 2, 1 })
	noContacts = change(func(t *terms) {
		t.Contacts = nil
		t.Parties[0].Contact = ""
	})
	noFields = lastClause(func(c *v1alpha1.Clause) {
		c.Granularity, c.Fields, c.FilterFields = v1alpha1.GranularityExistence, nil, nil
	})
	noLimits        = lastClause(func(c *v1alpha1.Clause) { c.Limits = nil })
	noObligations   = lastClause(func(c *v1alpha1.Clause) { c.Obligations = nil })
	noRetention     = lastClause(func(c *v1alpha1.Clause) { c.Obligations.RetentionDays = nil })
	noDestruction   = lastClause(func(c *v1alpha1.Clause) { c.Obligations.Destruction = " " })
	noRedisclosure  = lastClause(func(c *v1alpha1.Clause) { c.Obligations.Redisclosure = "" })
	withConsent     = lastClause(func(c *v1alpha1.Clause) { c.Obligations.Redisclosure = "WithConsentOfSource" })
	noVerification  = lastClause(func(c *v1alpha1.Clause) { c.Obligations.VerifyBeforeAction = nil })
	noConditions    = lastClause(func(c *v1alpha1.Clause) { c.Conditions = nil })
	noSelectors     = lastClause(func(c *v1alpha1.Clause) { c.Conditions.RequireSelectors = nil })
	onlyExistence   = eachClause(func(c *v1alpha1.Clause) { c.Granularity = v1alpha1.GranularityExistence })
	justification   = func(t *terms) *string { return &t.Justification }
	results         = func(t *terms) *string { return &t.AnticipatedResults }
	notice          = func(t *terms) *string { return &t.NoticeProcedure }
	verification    = func(t *terms) *string { return &t.VerificationProcedure }
	accuracy        = func(t *terms) *string { return &t.AccuracyAssessment }
	security        = func(t *terms) *string { return &t.Security }
	oversight       = func(t *terms) *string { return &t.OversightAccess }
	publication     = func(t *terms) *string { return &t.PublicationRef }
	notice10        = lastClause(func(c *v1alpha1.Clause) { c.Obligations.VerifyBeforeAction.NoticeDays = 10 })
	noImpactLevel   = set(security, "Mutual TLS; incidents are told within a day.")
	noIncidents     = set(security, "Impact level: high. Mutual TLS.")
	opinions        = set(accuracy, "The source corrects what is wrong.")
	noCorrections   = all(set(accuracy, "Facts and assessments are marked."), set(verification, "Identity is confirmed."))
	noAssessment    = set(justification, "Public function: billing.")
	retainedNothing = lastClause(func(c *v1alpha1.Clause) { zero := int64(0); c.Obligations.RetentionDays = &zero })
	// renewal is one that every rule lets pass, and ofARenewal one of a version that is one itself.
	renewal    = all(supersedes, require("compliance-certification"), renews(0, 12, 0))
	ofARenewal = change(func(t *terms) { t.Supersedes, t.Version = 2, 3 })
)

// sampleEnd is when the sample ends that a renewal supersedes.
var sampleEnd = time.Date(2028, 7, 1, 0, 0, 0, 0, time.UTC)

// renews sets the window by the end of the version that is superseded, in months.
func renews(begins, lasts int, more time.Duration) change {
	return func(t *terms) {
		t.Term.NotBefore = metav1.NewTime(sampleEnd.AddDate(0, begins, 0))
		t.Term.NotAfter = metav1.NewTime(t.Term.NotBefore.AddDate(0, lasts, 0).Add(more))
		from := metav1.NewTime(t.Term.NotAfter.AddDate(0, -2, 0))
		t.Term.RenewFrom = &from
	}
}

// cases hold for each rule what breaks it and, where the sample keeps it in one way only, others that keep it.
var cases = map[string]struct{ breaks, keeps []change }{
	"us-cmppa/type":                   {breaks: []change{func(t *terms) { t.Type = "MemorandumOfUnderstanding" }}},
	"us-cmppa/source-agency":          {breaks: []change{roles(0), roles(0, "recipient")}},
	"us-cmppa/recipient-agency":       {breaks: []change{roles(1), roles(1, "source")}, keeps: []change{roles(1, "non-federal")}},
	"us-cmppa/authority-to-disclose":  {breaks: []change{without("Disclosure"), all(without("Disclosure"), without("Use"))}},
	"us-cmppa/authority-to-use":       {breaks: []change{without("Use")}},
	"us-cmppa/justification":          {breaks: []change{set(justification, ""), set(justification, " \n")}},
	"us-cmppa/anticipated-results":    {breaks: []change{set(results, "")}},
	"us-cmppa/savings-estimated":      {breaks: []change{set(results, "Considerable savings."), set(results, "")}},
	"us-cmppa/data-elements":          {breaks: []change{noFields}, keeps: []change{onlyExistence}},
	"us-cmppa/number-of-records":      {breaks: []change{noLimits}, keeps: []change{all(onlyExistence, noLimits)}},
	"us-cmppa/notice-procedure":       {breaks: []change{set(notice, "")}},
	"us-cmppa/verification-procedure": {breaks: []change{set(verification, "")}},
	"us-cmppa/retention":              {breaks: []change{noRetention, noObligations}, keeps: []change{retainedNothing}},
	"us-cmppa/destruction":            {breaks: []change{noDestruction, noObligations}},
	"us-cmppa/security":               {breaks: []change{set(security, "")}},
	"us-cmppa/redisclosure":           {breaks: []change{noRedisclosure, noObligations}, keeps: []change{withConsent}},
	"us-cmppa/redisclosure-prohibited": {breaks: []change{withConsent},
		keeps: []change{noRedisclosure}}, // that it is missing is another rule's to say
	"us-cmppa/accuracy-assessment": {breaks: []change{set(accuracy, "")}},
	"us-cmppa/comptroller-general": {breaks: []change{set(oversight, ""), set(oversight, "The State Auditor.")},
		keeps: []change{set(oversight, "The Government Accountability Office may read all records.")}},
	"us-cmppa/term-18-months": {breaks: []change{lasts(18, time.Second), lasts(24, 0)}, keeps: []change{lasts(18, 0), lasts(6, 0)}},
	"us-cmppa/renewal-certified": {breaks: []change{all(renewal, dropDecisions("veterans-department", "compliance-certification"))},
		keeps: []change{renewal, supersedes}},
	"us-cmppa/renewal-unchanged": {
		breaks: []change{
			all(renewal, lastClause(func(c *v1alpha1.Clause) { c.Limits.RecordsPerQuery = 11 })), all(renewal, set(security, "Locked.")),
			all(renewal, set(notice, "")), all(renewal, roles(0, "source", "lead")), all(renewal, func(t *terms) { t.Parties[0].TrustDomain = "other.example" }),
			all(renewal, without("Use")), all(renewal, func(t *terms) { t.PurposeStatement = "Another." }),
		},
		keeps: []change{
			renewal, all(supersedes, set(security, "Locked.")), // which is a new agreement
			all(renewal, set(results, "Saved 20 million."), set(publication, "Notice of the renewal.")),
			all(renewal, lastClause(func(c *v1alpha1.Clause) { slices.Reverse(c.Fields) })), // another spelling
			all(renewal, func(t *terms) { slices.Reverse(t.Parties) }),
		},
	},
	"us-cmppa/renewal-one-year": {breaks: []change{all(renewal, renews(0, 12, time.Second)), all(renewal, renews(-3, 15, time.Second))},
		keeps: []change{renewal, all(renewal, renews(-3, 15, 0)), all(supersedes, renews(0, 18, 0))}},
	"us-cmppa/renewal-window": {breaks: []change{all(renewal, renews(-4, 12, 0)), all(renewal, renews(1, 6, 0))},
		keeps: []change{renewal, all(renewal, renews(-3, 12, 0)), all(supersedes, renews(-9, 12, 0))}},
	"us-cmppa/renewal-once":   {breaks: []change{all(renewal, ofARenewal)}, keeps: []change{renewal, supersedes, all(supersedes, ofARenewal)}},
	"us-cmppa/renewal-stated": {breaks: []change{supersedes}, keeps: []change{renewal, all(supersedes, noLimits)}},
	"us-cmppa/renewal-window-told": {breaks: []change{func(t *terms) { t.Term.RenewFrom = nil }, func(t *terms) { t.Term.RenewFrom.Time = t.Term.RenewFrom.Add(-time.Second) }},
		keeps: []change{func(t *terms) { t.Term.RenewFrom.Time = t.Term.RenewFrom.Add(time.Second) }}},
	"us-cmppa/data-integrity-board": {breaks: []change{dropDecisions("", ""), dropDecisions("veterans-department", "data-integrity-board")},
		keeps: []change{all(roles(1, "non-federal"), dropDecisions("benefits-administration", "data-integrity-board"))}},
	"us-cmppa/inspector-general": {breaks: []change{require("inspector-general"), require("deputy-inspector-general")}, keeps: []change{dropDecisions("", "")}},
	"us-cmppa/yearly-review":     {breaks: []change{never, reviewed(12, time.Second)}, keeps: []change{reviewed(12, 0)}},
	"us-cmppa/publication":       {breaks: []change{set(publication, "")}},
	"us-cmppa/verify-before-action": {breaks: []change{noVerification, noObligations},
		keeps: []change{notice10}},
	"us-cmppa/notice-30-days": {breaks: []change{notice10}, keeps: []change{noVerification}},

	"eu-led/lawfulness":     {breaks: []change{without("Disclosure")}},
	"eu-led/lawful-use":     {breaks: []change{without("Use")}},
	"eu-led/case-reference": {breaks: []change{noConditions, lastClause(func(c *v1alpha1.Clause) { c.Conditions.CaseReference = nil })}},
	"eu-led/subject-roles":  {breaks: []change{noConditions, lastClause(func(c *v1alpha1.Clause) { c.Conditions.SubjectRoles = nil })}},
	"eu-led/accuracy":       {breaks: []change{set(accuracy, "")}},
	"eu-led/facts-and-assessments": {breaks: []change{opinions, set(accuracy, "Satisfactory.")},
		keeps: []change{set(accuracy, "Fact or assessment: marked.")}},
	"eu-led/corrections": {breaks: []change{noCorrections},
		keeps: []change{opinions, all(noCorrections, set(verification, "Wrong hits are erased."))}},
	"eu-led/storage-limit":         {breaks: []change{noRetention, noObligations}, keeps: []change{all(onlyExistence, noRetention)}},
	"eu-led/periodic-review":       {breaks: []change{never}},
	"eu-led/not-excessive":         {breaks: []change{noSelectors, noConditions}},
	"eu-led/handling-conditions":   {breaks: []change{noRedisclosure, noObligations}},
	"eu-led/controllers":           {breaks: []change{roles(1), roles(1, "source")}, keeps: []change{roles(1, "processor"), roles(1, "joint-controller")}},
	"eu-led/information":           {breaks: []change{set(notice, "")}},
	"eu-led/contact-point":         {breaks: []change{noContacts}, keeps: []change{func(t *terms) { t.Contacts = nil }}},
	"eu-led/security":              {breaks: []change{set(security, "")}},
	"eu-led/supervisory-authority": {breaks: []change{set(oversight, "")}},

	"nist-800-47/security-requirements": {breaks: []change{set(security, "")}},
	"nist-800-47/impact-level":          {breaks: []change{noImpactLevel, set(security, "Moderately well.")}, keeps: []change{set(security, "impact: Moderate")}},
	"nist-800-47/responsibilities":      {breaks: []change{roles(2)}},
	"nist-800-47/privacy-requirements": {breaks: []change{noRetention, noRedisclosure, noObligations},
		keeps: []change{all(onlyExistence, noObligations)}},
	"nist-800-47/approval": {breaks: []change{dropDecisions("", ""), dropDecisions("district-attorney", "")},
		keeps: []change{dropDecisions("", "system-owner")}},
	"nist-800-47/authorizing-official": {breaks: []change{dropDecisions("labor-inspectorate", "system-owner")},
		keeps: []change{all(dropDecisions("", ""), require("authorizing-official"))}},
	"nist-800-47/review":               {breaks: []change{never}},
	"nist-800-47/review-within-a-year": {breaks: []change{reviewed(12, time.Second)}, keeps: []change{reviewed(12, 0), never}},
	"nist-800-47/contacts":             {breaks: []change{noContacts}, keeps: []change{func(t *terms) { t.Contacts = nil }}},
	"nist-800-47/incidents":            {breaks: []change{noIncidents}, keeps: []change{set(security, "High. A breach is told at once.")}},

	"uk-dea/legal-power": {breaks: []change{without("Disclosure"), cite("Localism Act 2011"), cite("")},
		keeps: []change{cite("digital economy act 2017")}},
	"uk-dea/section-of-power": {breaks: []change{cite("Digital Economy Act 2017"), cite("Digital Economy Act 2017, section 148")},
		keeps: []change{cite("Digital Economy Act 2017 s. 56"), cite("Digital Economy Act 2017, section 35(2)")}},
	"uk-dea/lawful-use":          {breaks: []change{without("Use")}},
	"uk-dea/public-function":     {breaks: []change{set(justification, "")}},
	"uk-dea/benefits":            {breaks: []change{set(results, "")}},
	"uk-dea/controllers":         {breaks: []change{roles(0), roles(0, "source")}, keeps: []change{roles(0, "processor")}},
	"uk-dea/contact":             {breaks: []change{func(t *terms) { t.Contacts = nil }}},
	"uk-dea/review-date":         {breaks: []change{never}},
	"uk-dea/review-before-end":   {breaks: []change{reviewed(36, 0)}, keeps: []change{never}},
	"uk-dea/minimisation":        {breaks: []change{noSelectors, noConditions}, keeps: []change{all(noSelectors, lastClause(func(c *v1alpha1.Clause) { c.RowFilter = "pay_band == 'Low'" })), all(noConditions, onlyExistence)}},
	"uk-dea/accuracy":            {breaks: []change{set(accuracy, "")}},
	"uk-dea/retention":           {breaks: []change{noRetention, noObligations}, keeps: []change{all(onlyExistence, noObligations)}},
	"uk-dea/destruction":         {breaks: []change{noDestruction, noObligations}, keeps: []change{all(onlyExistence, noObligations)}},
	"uk-dea/security":            {breaks: []change{set(security, "")}},
	"uk-dea/onward-disclosure":   {breaks: []change{noRedisclosure, noObligations}, keeps: []change{withConsent}},
	"uk-dea/privacy-information": {breaks: []change{set(notice, "")}},
	"uk-dea/impact-assessment": {breaks: []change{noAssessment},
		keeps: []change{all(noAssessment, set(security, "See the DPIA of 2026."))}},
	"uk-dea/approvals":      {breaks: []change{dropDecisions("", ""), dropDecisions("revenue-department", "")}},
	"uk-dea/register-entry": {breaks: []change{set(publication, "")}},
}

// TestEveryRule: each rule is kept by a sample and by other agreements, and broken by agreements made for it, so that none is
// always true or always false.
func TestEveryRule(t *testing.T) {
	tried := map[string]bool{}
	for name, p := range compiled(t) {
		base := agreement(t, kept[name])
		if broken := p.Check(&base.Spec.Terms, nil); len(broken) > 0 {
			t.Errorf("%s breaks %v", kept[name], broken)
		}
		for _, rule := range p.Rules() {
			id := name + "/" + rule
			tried[id] = true
			c, ok := cases[id]
			if !ok || len(c.breaks) == 0 {
				t.Errorf("nothing breaks rule %s: add a case", id)
			}
			for i, change := range c.breaks {
				if !breaks(p, rule, base, change) {
					t.Errorf("%s: case %d does not break it", id, i)
				}
			}
			for i, change := range c.keeps {
				if breaks(p, rule, base, change) {
					t.Errorf("%s: case %d does not keep it", id, i)
				}
			}
		}
	}
	for id := range cases {
		if !tried[id] {
			t.Errorf("there is a case for %s, which is no rule", id)
		}
	}
}

func breaks(p *profile.Profile, rule string, base *v1alpha1.SharingAgreement, c change) bool {
	changed := base.Spec.Terms.DeepCopy()
	c(changed)
	superseded := base.Spec.Terms.DeepCopy()
	switch changed.Supersedes {
	case 0:
		superseded = nil
	case 2:
		superseded.Version, superseded.Supersedes = 2, 1
		require("compliance-certification")(superseded)
	}
	return slices.ContainsFunc(p.Check(changed, superseded), func(v profile.Violation) bool {
		return v.Rule == rule && !strings.Contains(v.Message, "cannot be evaluated")
	})
}

// TestNeverFails: no rule fails to be evaluated, on terms that hold nothing and on the largest that the API takes.
func TestNeverFails(t *testing.T) {
	largest := agreement(t, kept["us-cmppa"]).Spec.Terms
	long := strings.Repeat("a ", 2000)
	for _, field := range []func(*terms) *string{justification, results, notice, verification, accuracy, security, oversight} {
		*field(&largest) = long
	}
	clause := largest.Clauses[0]
	clause.Obligations.Destruction = long
	for range 31 {
		largest.Clauses = append(largest.Clauses, clause)
		largest.Parties = append(largest.Parties, largest.Parties[0])
		largest.LegalAuthority = append(largest.LegalAuthority, v1alpha1.LegalAuthority{Citation: long[:500], Covers: "Disclosure"})
	}
	for len(largest.RequiredDecisions) < 64 {
		largest.RequiredDecisions = append(largest.RequiredDecisions, v1alpha1.RequiredDecision{Agency: "a", Role: "b"})
	}
	renewed := largest.DeepCopy()
	renewed.Version, renewed.Supersedes = 2, 1
	renewed.RequiredDecisions[63].Role = "compliance-certification"
	for name, p := range compiled(t) {
		for _, terms := range []*terms{{}, {Clauses: []v1alpha1.Clause{{}}, Parties: []v1alpha1.Party{{}}}, &largest, renewed} {
			for _, v := range p.Check(terms, &largest) {
				if strings.Contains(v.Message, "cannot be evaluated") {
					t.Errorf("%s: %s", name, v)
				}
			}
		}
	}
}

func compiled(t *testing.T) map[string]*profile.Profile {
	t.Helper()
	shipped, err := profiles.All()
	if err != nil {
		t.Fatal(err)
	}
	if len(shipped) != len(kept) {
		t.Fatalf("%d profiles ship, %d are tested", len(shipped), len(kept))
	}
	out := map[string]*profile.Profile{}
	for _, p := range shipped {
		compiled, faults := profile.Compile(p.Name, &p.Spec)
		if len(faults) > 0 {
			t.Fatalf("%s: %q", p.Name, faults)
		}
		out[p.Name] = compiled
	}
	return out
}

// agreement reads the agreement of a file.
func agreement(t testing.TB, path string) *v1alpha1.SharingAgreement {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range bytes.Split(text, []byte("\n---\n")) {
		var a v1alpha1.SharingAgreement
		if err := yaml.Unmarshal(document, &a); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if a.Kind == "SharingAgreement" {
			return &a
		}
	}
	t.Fatalf("%s holds no agreement", path)
	return nil
}

// BenchmarkCheck holds a computer matching agreement against all rules of its profile.
func BenchmarkCheck(b *testing.B) {
	shipped, err := profiles.All()
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range shipped {
		b.Run(p.Name, func(b *testing.B) {
			compiled, faults := profile.Compile(p.Name, &p.Spec)
			if len(faults) > 0 {
				b.Fatal(faults)
			}
			terms := &agreement(b, kept[p.Name]).Spec.Terms
			b.ReportAllocs()
			for b.Loop() {
				compiled.Check(terms, nil)
			}
		})
	}
}
