package exchange_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// TestRenewalInAdvance: the source's officer accepts an agreement and, in advance, a renewal that changes nothing but the term. The
// recipient's renewal then comes into force at both without a person at the source; one that widens waits for one.
func TestRenewalInAdvance(t *testing.T) {
	p := newPair(t)
	labor, police := p.source, p.recipient
	labor.start(t)
	police.start(t)

	for _, id := range []string{"wages", "widened"} {
		first := p.terms(t, id)
		if id == "widened" { // another purpose, so that the two do not meet
			first.Spec.Terms.Clauses[0].Purposes = []string{"entente:victim-support"}
		}
		digest, err := first.Spec.Terms.Digest()
		if err != nil {
			t.Fatal(err)
		}
		labor.apply(t, first)
		labor.apply(t, &v1alpha1.AgreementDecision{
			ObjectMeta: metav1.ObjectMeta{Name: id + "-accept"},
			Spec: v1alpha1.AgreementDecisionSpec{
				Agreement: first.Name, Digest: digest, Decision: v1alpha1.DecisionAccept, Role: "privacy-officer", DecidedBy: "carol@labor",
				Renewals: &v1alpha1.Renewals{When: "months(prior.term.notAfter, terms.term.notAfter) <= 12"},
			},
		})
		police.reaches(t, first.Name, v1alpha1.StateProposed, "")
		police.decide(t, first.Name, v1alpha1.DecisionAccept)
		for _, a := range []*agency{labor, police} {
			a.reaches(t, first.Name, v1alpha1.StateInForce, "")
		}
		renewal := p.terms(t, id, func(terms *v1alpha1.AgreementTerms) {
			*terms = *first.Spec.Terms.DeepCopy()
			terms.Version, terms.Supersedes = 2, 1
			terms.Term.NotBefore = metav1.NewTime(time.Now().UTC().Truncate(time.Second).Add(3 * time.Second))
			terms.Term.NotAfter = metav1.NewTime(terms.Term.NotAfter.AddDate(0, 6, 0))
			if id == "widened" {
				terms.Clauses[0].Fields = []string{"employer", "person"}
			}
		})
		police.apply(t, renewal)
		police.decide(t, renewal.Name, v1alpha1.DecisionAccept)
	}

	for _, a := range []*agency{labor, police} {
		a.reaches(t, "wages.v2", v1alpha1.StateInForce, "")
		a.reaches(t, "wages.v1", v1alpha1.StateSuperseded, "version 2")
	}
	p.agree(t, "wages.v2")
	renewed, err := labor.get(t, "wages.v2")
	if err != nil {
		t.Fatal(err)
	}
	said := fmt.Sprintf("%+v", renewed.Status.Decisions)
	if len(renewed.Status.Decisions) != 1 || renewed.Status.Decisions[0].Name != "wages-accept" || renewed.Status.Decisions[0].RenewalOf != "wages.v1" ||
		renewed.Status.Decisions[0].DecidedBy != "carol@labor" || renewed.Status.Decisions[0].Role != "privacy-officer" {
		t.Errorf("what the signature stands on: %s", said)
	}

	waits := labor.reaches(t, "widened.v2", v1alpha1.StateProposed, "")
	eventually(t, "it is said why it waits", func() error {
		waits, err = labor.get(t, "widened.v2")
		if err != nil {
			return err
		}
		i := slices.IndexFunc(waits.Status.Conditions, func(c metav1.Condition) bool { return c.Type == v1alpha1.ConditionSigned })
		if i < 0 || !strings.Contains(waits.Status.Conditions[i].Message, `AgreementDecision "widened-accept": the renewal changes clauses`) {
			return fmt.Errorf("%+v", waits.Status.Conditions)
		}
		return nil
	})
	if len(waits.Status.Signatures)+len(waits.Status.Decisions) > 0 {
		t.Errorf("%+v", waits.Status)
	}
	labor.reaches(t, "widened.v1", v1alpha1.StateInForce, "")
	// A person still can.
	labor.decide(t, "widened.v2", v1alpha1.DecisionAccept)
	labor.reaches(t, "widened.v2", v1alpha1.StateInForce, "")
}
