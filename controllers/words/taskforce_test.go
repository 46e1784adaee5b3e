package words

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/signature"
)

// quay is a task force of those agencies, until a day.
func quay(t *testing.T, version int64, until string, members ...string) (*v1alpha1.TaskForce, v1alpha1.Recipient) {
	t.Helper()
	domains := map[string]string{"state-police": "police.state.example", "labor-inspectorate": "labor.state.example", "border-service": "border.nation.example"}
	f := &v1alpha1.TaskForce{Spec: v1alpha1.TaskForceSpec{
		Name: "quay", Version: version, Objective: "To watch\x1b[2J the quay.", Lead: members[0],
		Window: v1alpha1.TaskForceWindow{NotBefore: metav1.NewTime(day("2026-01-10")), NotAfter: metav1.NewTime(day(until))},
	}}
	f.Name = "quay.v" + string('0'+byte(version))
	for _, m := range members {
		f.Spec.Members = append(f.Spec.Members, v1alpha1.TaskForceMember{Agency: m, TrustDomain: domains[m]})
	}
	digest, err := f.Spec.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return f, v1alpha1.Recipient{TaskForce: &v1alpha1.TaskForceRef{Name: "quay", Version: version, Digest: digest}}
}

// TestTaskForceDiff: that a member joins is told by what becomes visible to it, although the terms name no agency.
func TestTaskForceDiff(t *testing.T) {
	before, first := quay(t, 1, "2026-06-01", "state-police", "labor-inspectorate")
	after, second := quay(t, 2, "2026-06-15", "state-police", "labor-inspectorate", "border-service")
	one, two := read(t, "harbor.v1.yaml"), read(t, "harbor.v1.yaml")
	two.Name, two.Spec.Terms.Version, two.Spec.Terms.Supersedes = "harbor.v2", 2, 1
	one.Spec.Terms.Clauses[0].Recipients = []v1alpha1.Recipient{first}
	two.Spec.Terms.Clauses[0].Recipients = []v1alpha1.Recipient{second}
	known := TaskForces{before.Name: before, after.Name: after}

	d, err := Compare(one, two, known)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "diff-task-force.txt", d.Text())
	other := func(v Visible) bool { return v.Recipient != "border-service" }
	if len(d.Becomes) == 0 || slices.ContainsFunc(d.Becomes, other) || len(d.Ceases) != 0 || len(d.Notes) != 0 {
		t.Errorf("becomes %+v, ceases %+v, notes %q", d.Becomes, d.Ceases, d.Notes)
	}

	delete(known, after.Name)
	if d, err = Compare(one, two, known); err != nil || len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "quay.v2: it is not here") {
		t.Errorf("without the new version: %q, %v", d.Notes, err)
	}
	smaller := after.DeepCopy()
	smaller.Spec.Members = smaller.Spec.Members[:2]
	known[after.Name] = smaller
	if d, err = Compare(one, two, known); err != nil || len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "is not the one that the terms pin") {
		t.Errorf("with another under its name: %q, %v", d.Notes, err)
	}
}

// TestTaskForceShown in the terminal, the document and the register.
func TestTaskForceShown(t *testing.T) {
	f, recipient := quay(t, 1, "2026-06-01", "state-police", "labor-inspectorate", "border-service")
	a := read(t, "harbor.v1.yaml")
	a.Spec.Terms.Clauses[0].Recipients = []v1alpha1.Recipient{recipient}
	known := TaskForces{f.Name: f}
	d, err := Describe(a, agencies(t), known, day("2026-02-01"))
	if err != nil {
		t.Fatal(err)
	}
	const said = "the members of task force quay.v1 (border-service and state-police, until 2026-06-01)"
	text := strings.Join(strings.Fields(d.Text()), " ")
	for _, want := range []string{
		"Task force quay.v1: border-service, labor-inspectorate and state-police from 2026-01-10 until 2026-06-01; led by state-police.",
		"labor-inspectorate lets the members of task force quay.v1",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") || !strings.Contains(d.Clauses[0].Permits, said) {
		t.Errorf("%s\n%q", text, d.Clauses[0].Permits)
	}
	document, err := Markdown(a, agencies(t), known)
	if err != nil || !strings.Contains(document, "## Task forces") || !strings.Contains(document, "pinned by the digest `"+recipient.TaskForce.Digest) {
		t.Errorf("%v\n%s", err, document)
	}
	entry, err := Register(a, agencies(t), known, false)
	if err != nil || !slices.Equal(entry.Data[0].To, []string{said}) {
		t.Errorf("%v, %q", err, entry.Data)
	}
	if d, err = Describe(a, nil, nil, day("2026-02-01")); err != nil || !strings.Contains(d.Text(), "quay.v1: it is not here") {
		t.Errorf("without it: %v\n%s", err, d.Text())
	}
}

// TestTaskForceOnADay: who could see what on a day that is past, by the windows and by what members said until then.
func TestTaskForceOnADay(t *testing.T) {
	f, recipient := quay(t, 1, "2026-06-01", "state-police", "labor-inspectorate", "border-service")
	index := historyOf(t, func(terms *v1alpha1.AgreementTerms) {
		terms.Clauses = terms.Clauses[:1]
		terms.Clauses[0].Recipients = []v1alpha1.Recipient{recipient}
	})
	index.TaskForces = TaskForces{f.Name: f}
	now := day("2026-06-15")
	two := index.Agreements["harbor"][1]
	two.Status.Received = append(two.Status.Received, states(t, two, "border-service", v1alpha1.DecisionTerminate, day("2026-05-01")))
	for _, c := range []struct {
		name   string
		period Period
		want   string
	}{
		{"in force, before the task force's window", Day(day("2026-01-09")), ""},
		{"its first day", Day(day("2026-01-10")), "border-service state-police"},
		{"before a member left", Day(day("2026-04-30")), "border-service state-police"},
		{"after it left", Day(day("2026-05-02")), "state-police"},
		{"the last day", Day(day("2026-05-31")), "state-police"},
		{"the last second", Moment(day("2026-06-01").Add(-time.Second)), "state-police"},
		{"the end", Moment(day("2026-06-01")), ""},
		{"now", Moment(now), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows, err := WhoCanSee(index, "wage-records", "", c.period, now)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range rows {
				got = append(got, r.Agency)
				if r.TaskForce != "quay.v1" || !r.NotAfter.Equal(day("2026-06-01")) && r.Agreement == "harbor.v2" {
					t.Errorf("%+v", r)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if len(rows) > 0 && !strings.Contains(AccessTable(rows, ""), "TASK FORCE") {
				t.Errorf("the table does not say so:\n%s", AccessTable(rows, ""))
			}
		})
	}
}

// states makes a statement of an agency as it came by the exchange.
func states(t *testing.T, a *v1alpha1.SharingAgreement, agency string, decision v1alpha1.Decision, at time.Time) v1alpha1.AgreementStatement {
	t.Helper()
	digest, err := a.Spec.Terms.Digest()
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signature.SignStatement(t.Context(), newSigner(agency), signature.Claims{Digest: digest, Decision: decision, Agency: agency, DecidedAt: at})
	if err != nil {
		t.Fatal(err)
	}
	return v1alpha1.AgreementStatement{Agency: agency, Decision: decision, DecidedAt: metav1.NewTime(at), JWS: jws}
}
