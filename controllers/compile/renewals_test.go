package compile

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// TestRenewalWaits changes one thing of testdata/renewal.in.yaml, in which version 2 is accepted in advance, and wants a person to be
// waited for. Each case runs to where the unchanged one signs.
func TestRenewalWaits(t *testing.T) {
	proposed := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	decide := func(f *fixture, name, agreement string, what v1alpha1.Decision, who, role string, at time.Time) {
		f.decisions[name] = &v1alpha1.AgreementDecision{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(at)},
			Spec:       v1alpha1.AgreementDecisionSpec{Agreement: agreement, Digest: f.digest(agreement), Decision: what, DecidedBy: who, Role: role},
		}
	}
	terms := func(f *fixture, name string) *v1alpha1.AgreementTerms { return &f.agreements[name].Spec.Terms }
	// rebound makes the decision on version 1, and its signatures, be about terms that a case changed.
	rebound := func(f *fixture) {
		f.decisions["accept"].Spec.Digest = f.digest("wages.v1")
		for _, name := range []string{"wages.v1", "wages.v2"} {
			f.agreements[name].Spec.Signatures[0].JWS = sign("state-police", "state-police", f.digest(name), proposed.AddDate(0, -2, 0))
		}
	}
	renewFrom := func(f *fixture, at time.Time) {
		one, two := terms(f, "wages.v1"), terms(f, "wages.v2")
		one.Term.RenewFrom, two.Term.RenewFrom = &metav1.Time{Time: at}, two.Term.NotBefore.DeepCopy()
		rebound(f)
	}
	before := proposed.AddDate(0, 0, -1)
	for _, c := range []struct {
		name string
		edit func(f *fixture)
		// signed: it is signed all the same.
		signed bool
		want   string // part of the message of Signed, or of InForce
	}{
		{name: "nothing changed", edit: func(*fixture) {}, signed: true},
		{name: "nobody accepted renewals", edit: func(f *fixture) { f.decisions["accept"].Spec.Renewals = nil }, want: "waits for an Accept in role system-owner"},
		{name: "widened", edit: func(f *fixture) {
			terms(f, "wages.v2").Clauses[0].Fields = []string{"employer", "family_name", "given_name", "monthly_wage"}
			rebound(f)
		}, want: `not accepted in advance: AgreementDecision "accept": the renewal changes clauses`},
		{name: "longer than was accepted", edit: func(f *fixture) {
			terms(f, "wages.v2").Term.NotAfter = metav1.NewTime(time.Date(2028, 3, 1, 0, 0, 0, 0, time.UTC))
			rebound(f)
		}, want: "renewals.when is not true of it"},
		{name: "the expression errs", edit: func(f *fixture) { f.decisions["accept"].Spec.Renewals.When = "terms.security == ''" }, want: "renewals.when cannot be evaluated"},
		{name: "another role is required as well, from the first", edit: func(f *fixture) {
			for _, name := range []string{"wages.v1", "wages.v2"} {
				terms(f, name).RequiredDecisions = append(terms(f, name).RequiredDecisions, v1alpha1.RequiredDecision{Agency: "labor-inspectorate", Role: "data-integrity-board"})
			}
			rebound(f)
			decide(f, "board", "wages.v1", v1alpha1.DecisionAccept, "dana", "data-integrity-board", before.AddDate(0, -2, 0))
		}, want: "waits for an Accept in role data-integrity-board"},
		{name: "and a person of that role accepts the renewal", edit: func(f *fixture) {
			for _, name := range []string{"wages.v1", "wages.v2"} {
				terms(f, name).RequiredDecisions = append(terms(f, name).RequiredDecisions, v1alpha1.RequiredDecision{Agency: "labor-inspectorate", Role: "data-integrity-board"})
			}
			rebound(f)
			decide(f, "board", "wages.v1", v1alpha1.DecisionAccept, "dana", "data-integrity-board", before.AddDate(0, -2, 0))
			decide(f, "board-v2", "wages.v2", v1alpha1.DecisionAccept, "dana", "data-integrity-board", proposed)
		}, signed: true},
		{name: "the same person accepted again, without renewals", edit: func(f *fixture) {
			decide(f, "again", "wages.v1", v1alpha1.DecisionAccept, "carol", "system-owner", before)
		}, want: "waits for an Accept in role system-owner"},
		{name: "what it renews is suspended", edit: func(f *fixture) {
			decide(f, "stop", "wages.v1", v1alpha1.DecisionSuspend, "dana", "duty-officer", before)
		}, want: "suspended by dana"},
		{name: "what it renews was suspended and resumed", edit: func(f *fixture) {
			decide(f, "stop", "wages.v1", v1alpha1.DecisionSuspend, "dana", "duty-officer", before)
			decide(f, "go", "wages.v1", v1alpha1.DecisionResume, "carol", "system-owner", before.Add(time.Hour))
		}, signed: true},
		{name: "what it renews is terminated", edit: func(f *fixture) {
			decide(f, "end", "wages.v1", v1alpha1.DecisionTerminate, "dana", "duty-officer", before)
		}, want: "terminated by dana"},
		{name: "the peer suspended what it renews", edit: func(f *fixture) {
			f.hear("wages.v1", "state-police", v1alpha1.DecisionSuspend, before)
		}, want: "version 1, which this one renews, is not in force"},
		{name: "the person rejected the renewal, by a clock that is behind", edit: func(f *fixture) {
			decide(f, "no", "wages.v2", v1alpha1.DecisionReject, "carol", "system-owner", before.AddDate(-1, 0, 0))
		}, want: "rejected by carol"},
		{name: "another person rejected the renewal", edit: func(f *fixture) {
			decide(f, "no", "wages.v2", v1alpha1.DecisionReject, "dana", "data-integrity-board", proposed)
		}, want: "rejected by dana"},
		{name: "the renewal is suspended", edit: func(f *fixture) {
			decide(f, "stop", "wages.v2", v1alpha1.DecisionSuspend, "dana", "duty-officer", proposed)
		}, want: "suspended by dana"},
		{name: "a profile is not kept", edit: func(f *fixture) {
			for _, name := range []string{"wages.v1", "wages.v2"} {
				terms(f, name).Profiles = []string{"yearly"}
			}
			rebound(f)
			f.profiles["yearly"] = &v1alpha1.AgreementProfile{ObjectMeta: metav1.ObjectMeta{Name: "yearly"}, Spec: v1alpha1.AgreementProfileSpec{
				Title: "t", Citation: "c", Rules: []v1alpha1.ProfileRule{{
					Name: "first", Rule: "!has(terms.supersedes)", Severity: v1alpha1.SeverityError, Message: "no renewals", Field: "supersedes", Citation: "Code 1",
				}},
			}}
		}, want: "the terms are not acceptable"},
		{name: "something that it refers to is gone", edit: func(f *fixture) { delete(f.datasets, "wages") }, want: "something that the terms refer to is missing"},
		{name: "before the parties may decide on a renewal", edit: func(f *fixture) { renewFrom(f, proposed.AddDate(0, 1, 0)) }, want: "not renewed before 2026-05-01T00:00:00Z"},
		{name: "once the parties may decide on a renewal", edit: func(f *fixture) { renewFrom(f, proposed) }, signed: true},
		{name: "another renewal was decided on before", edit: func(f *fixture) {
			v4 := f.agreements["wages.v2"].DeepCopy()
			v4.Name, v4.Spec.Terms.Version = "wages.v4", 4
			f.agreements[v4.Name] = v4
			v4.Spec.Signatures = nil
			decide(f, "other", "wages.v4", v1alpha1.DecisionAccept, "dana", "system-owner", proposed)
		}, want: "this agency has decided on version 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := readFixture(t, "testdata/renewal.in.yaml")
			delete(f.agreements, "wages.v3")
			c.edit(f)
			var v2 VersionResult
			signed := false
			for _, now := range []time.Time{before.AddDate(0, -1, 0), before.Add(2 * time.Hour), proposed, proposed.Add(time.Second), proposed.Add(2 * time.Second)} {
				r := Compile(f.index(now), nil, now)["wages"]
				for _, v := range r.Versions {
					if v.Name == "wages.v2" {
						v2, signed = v, signed || v.Sign
						if v.Sign && v.Record {
							t.Error("signed before it was recorded")
						}
					}
				}
				f.writeBack(t, r, now)
			}
			said := ""
			for _, condition := range v2.Status.Conditions {
				if condition.Type == v1alpha1.ConditionSigned || condition.Type == v1alpha1.ConditionInForce {
					said += condition.Message + "\n"
				}
			}
			if signed != c.signed || !strings.Contains(said, c.want) {
				t.Errorf("signed %v, want %v; no %q in\n%s", signed, c.signed, c.want, said)
			}
		})
	}
}

// TestUnreadableRenewals: a decision whose renewals nobody can read counts for nothing, unless it stops.
func TestUnreadableRenewals(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for decision, want := range map[v1alpha1.Decision]string{
		v1alpha1.DecisionAccept: `AgreementDecision "accept": renewals.when: line 1, column 6: undefined field 'vresion', and does not count: decide again`,
		v1alpha1.DecisionReject: "rejected by carol",
	} {
		f := readFixture(t, "testdata/renewal.in.yaml")
		f.decisions["accept"].Spec.Decision = decision
		f.decisions["accept"].Spec.Renewals.When = "terms.vresion == 2"
		v := Compile(f.index(now), nil, now)["wages"].Versions[0]
		said := ""
		for _, c := range v.Status.Conditions {
			said += c.Message + "\n"
		}
		if v.Sign || !strings.Contains(said, want) {
			t.Errorf("%s: signed %v; no %q in\n%s", decision, v.Sign, want, said)
		}
	}
}

// hear puts a statement of a peer on the record of an agreement.
func (f *fixture) hear(agreement, by string, what v1alpha1.Decision, at time.Time) {
	var s v1alpha1.AgreementStatement
	if err := json.Unmarshal([]byte(f.said([]string{by, string(what), agreement, at.Format(time.RFC3339)})), &s); err != nil {
		panic(err)
	}
	a := f.agreements[agreement]
	a.Status.Received = append(a.Status.Received, s)
}
