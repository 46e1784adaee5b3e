package compile

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// TestAttestChangesNothingInForce: whatever is attested, by whomever, routes, credentials, signatures and states are the same.
func TestAttestChangesNothingInForce(t *testing.T) {
	for name, f := range fixtures(t) {
		for _, now := range f.Now {
			plain := f.index(now.Time)
			attested := f.index(now.Time)
			for id, versions := range attested.Agreements {
				for _, a := range versions {
					digest, err := a.Spec.Terms.Digest()
					if err != nil {
						t.Fatal(err)
					}
					for i, duty := range []string{DutyReview, DutyDestruction, "access-review", "nothing-owed"} {
						d := &v1alpha1.AgreementDecision{Spec: v1alpha1.AgreementDecisionSpec{
							Agreement: a.Name, Digest: digest, Decision: v1alpha1.DecisionAttest, Duty: duty, DecidedBy: "dave", Role: "privacy-officer",
						}}
						d.Name, d.CreationTimestamp = "attest-"+duty, metav1.NewTime(now.Add(-time.Duration(i)*time.Hour))
						attested.Decisions[a.Name] = append(slices.Clone(attested.Decisions[a.Name]), d)
					}
				}
				was, is := CompileAgreement(plain, id, Prior{}, now.Time), CompileAgreement(attested, id, Prior{}, now.Time)
				if mustJSON(was.Route) != mustJSON(is.Route) || mustJSON(was.Credentials) != mustJSON(is.Credentials) {
					t.Errorf("%s at %s: an attestation changes the route or the credentials", name, now)
				}
				for i := range was.Versions {
					if w, g := was.Versions[i], is.Versions[i]; w.Sign != g.Sign || w.Status.State != g.Status.State || !slices.Equal(w.Status.Verified, g.Status.Verified) {
						t.Errorf("%s at %s: an attestation changes %s", name, now, w.Name)
					}
				}
			}
		}
	}
}

// TestRecurringRungs: who owes something every week is not told of it all the time.
func TestRecurringRungs(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		every, left int
		want        v1alpha1.DutyState
	}{
		{0, 91, v1alpha1.DutyPending}, {0, 90, v1alpha1.DutyWithin90Days}, {0, 30, v1alpha1.DutyWithin30Days}, {0, 7, v1alpha1.DutyWithin7Days}, {0, 0, v1alpha1.DutyOverdue},
		{365, 90, v1alpha1.DutyWithin90Days}, {180, 90, v1alpha1.DutyWithin90Days}, {179, 89, v1alpha1.DutyPending},
		{91, 31, v1alpha1.DutyPending}, {91, 30, v1alpha1.DutyWithin30Days},
		{30, 8, v1alpha1.DutyPending}, {30, 7, v1alpha1.DutyWithin7Days}, {7, 1, v1alpha1.DutyPending}, {7, 0, v1alpha1.DutyOverdue},
	} {
		comp := newCompiler(&Index{}, now)
		if got := comp.dutyState(now.AddDate(0, 0, c.left), time.Duration(c.every)*day); got != c.want {
			t.Errorf("every %d days, %d left: %s, want %s", c.every, c.left, got, c.want)
		}
	}
}

func TestDutiesWellFormed(t *testing.T) {
	begin := metav1.NewTime(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))
	half := metav1.NewTime(begin.Add(time.Second / 2))
	good := v1alpha1.Duty{Name: "training", Agency: "state-police", What: "train everybody who queries", EveryDays: 365}
	for want, change := range map[string]func(*v1alpha1.Duty){
		"":                                  func(*v1alpha1.Duty) {},
		`duties[0].name: "Training" is not`: func(d *v1alpha1.Duty) { d.Name = "Training" },
		`duties[review].name: review is a duty that follows from other terms`:    func(d *v1alpha1.Duty) { d.Name = "review" },
		`duties[destruction].name: destruction is a duty`:                        func(d *v1alpha1.Duty) { d.Name = "destruction" },
		`duties[training].agency: "nobody" is not a party`:                       func(d *v1alpha1.Duty) { d.Agency = "nobody" },
		`duties[training].what: missing`:                                         func(d *v1alpha1.Duty) { d.What = "" },
		`duties[training].what: 501 characters`:                                  func(d *v1alpha1.Duty) { d.What = strings.Repeat("x", 501) },
		`duties[training]: exactly one of dueBy and everyDays`:                   func(d *v1alpha1.Duty) { d.DueBy = &begin },
		`duties[training]: exactly one of dueBy and everyDays is given`:          func(d *v1alpha1.Duty) { d.EveryDays = 0 },
		`duties[training].everyDays: -1 is not between 1 and 3660`:               func(d *v1alpha1.Duty) { d.EveryDays = -1 },
		`duties[training].everyDays: the agreement ends within 366 days`:         func(d *v1alpha1.Duty) { d.EveryDays = 366 },
		`duties[training].dueBy: fractions of a second`:                          func(d *v1alpha1.Duty) { d.EveryDays, d.DueBy = 0, &half },
		`duties[training].dueBy: missing`:                                        func(d *v1alpha1.Duty) { d.EveryDays, d.DueBy = 0, &metav1.Time{} },
		`duties[training].term: "noticeProcedure" is not an attested term`:       func(d *v1alpha1.Duty) { d.Term = "noticeProcedure" },
		`duties[training].term: "clauses[a].fields" is not an attested term`:     func(d *v1alpha1.Duty) { d.Term = "clauses[a].fields" },
		`duties[training].term: "duties[training]" is not an attested term that`: func(d *v1alpha1.Duty) { d.Term = "duties[training]" },
	} {
		d := good
		change(&d)
		terms := &v1alpha1.AgreementTerms{
			Parties: []v1alpha1.Party{{Agency: "state-police"}, {Agency: "labor-inspectorate"}}, Security: "locked",
			Term:    v1alpha1.Term{NotBefore: begin, NotAfter: metav1.NewTime(begin.AddDate(1, 0, 0))},
			Clauses: []v1alpha1.Clause{{Name: "a", Fields: []string{"x"}}}, Duties: []v1alpha1.Duty{d},
		}
		var f faults
		checkDuties(&f, terms)
		if got := f.String(); len(f) > 1 || !strings.HasPrefix(got, want) || (want == "") != (got == "") {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, term := range []string{"security", "clauses[a].obligations.redisclosure"} {
		d := good
		d.Term = term
		terms := &v1alpha1.AgreementTerms{Parties: []v1alpha1.Party{{Agency: "state-police"}}, Security: "locked", Duties: []v1alpha1.Duty{d, d}}
		terms.Term.NotBefore, terms.Term.NotAfter = begin, metav1.NewTime(begin.AddDate(1, 0, 0))
		terms.Clauses = []v1alpha1.Clause{{Name: "a", Obligations: &v1alpha1.Obligations{Redisclosure: "Prohibited"}}}
		var f faults
		if checkDuties(&f, terms); len(f) != 1 || !strings.Contains(f.String(), "stands twice") {
			t.Errorf("term %s: %q", term, f)
		}
	}
}

// TestDestruction: one duty of each recipient, by the latest of what it may keep.
func TestDestruction(t *testing.T) {
	days := func(n int64) *int64 { return &n }
	to := func(names ...string) (out []v1alpha1.Recipient) {
		for _, n := range names {
			out = append(out, v1alpha1.Recipient{Agency: n})
		}
		return out
	}
	terms := &v1alpha1.AgreementTerms{
		Parties: []v1alpha1.Party{{Agency: "source"}, {Agency: "a"}, {Agency: "b"}, {Agency: "c"}, {Agency: "d"}},
		Clauses: []v1alpha1.Clause{
			{Name: "one", Recipients: to("a", "b"), Obligations: &v1alpha1.Obligations{RetentionDays: days(30)}},
			{Name: "two", Recipients: to("b"), Obligations: &v1alpha1.Obligations{RetentionDays: days(365), Destruction: "shredded"}},
			{Name: "three", Recipients: to("b", "c"), Obligations: &v1alpha1.Obligations{Destruction: "erased"}},
			{Name: "four", Recipients: to("d"), Obligations: &v1alpha1.Obligations{Redisclosure: "Prohibited"}},
		},
	}
	got := map[string]Duty{}
	for _, d := range Duties(terms) {
		got[d.Agency] = d
	}
	want := map[string]Duty{
		"a": {Term: "clauses[one].obligations.retentionDays", AfterEnd: 30 * day},
		"b": {Term: "clauses[two].obligations.retentionDays", AfterEnd: 365 * day},
		"c": {Term: "clauses[three].obligations.destruction"},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for agency, w := range want {
		if g := got[agency]; g.Name != DutyDestruction || g.Term != w.Term || g.AfterEnd != w.AfterEnd || !g.EndsIt() {
			t.Errorf("%s: %+v", agency, g)
		}
	}
}
