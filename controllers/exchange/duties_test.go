package exchange_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// attest creates an attestation, as a person would.
func (a *agency) attest(t testing.TB, name, duty string) error {
	t.Helper()
	o, err := a.get(t, name)
	if err != nil {
		t.Fatal(err)
	}
	return a.client.Create(t.Context(), &v1alpha1.AgreementDecision{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.name, GenerateName: "attest-"},
		Spec: v1alpha1.AgreementDecisionSpec{
			Agreement: name, Digest: o.Status.Digest, Decision: v1alpha1.DecisionAttest, Duty: duty, DecidedBy: "dave@" + a.name,
		},
	})
}

// owes waits until a duty stands there.
func (a *agency) owes(t testing.TB, name, duty, of string, state v1alpha1.DutyState) v1alpha1.DutyStatus {
	t.Helper()
	var found v1alpha1.DutyStatus
	eventually(t, fmt.Sprintf("at %s, %s of %s is %s", a.name, duty, of, state), func() error {
		o, err := a.get(t, name)
		if err != nil {
			return err
		}
		for _, d := range o.Status.Duties {
			if d.Name == duty && d.Agency == of && d.State == state {
				found = d
				return nil
			}
		}
		return fmt.Errorf("%+v", o.Status.Duties)
	})
	return found
}

// TestDutiesTravel: what one party attests, the other knows, and nobody's name goes with it.
func TestDutiesTravel(t *testing.T) {
	p := newPair(t)
	labor, police := p.source, p.recipient
	labor.start(t)
	police.start(t)
	soon := metav1.NewTime(time.Now().UTC().Truncate(time.Second).Add(3 * 24 * time.Hour))
	days := int64(30)
	p.inForce(t, "wages", func(terms *v1alpha1.AgreementTerms) {
		terms.Duties = []v1alpha1.Duty{{Name: "training", Agency: police.name, What: "train everybody who queries", DueBy: &soon}}
		terms.Clauses[0].Obligations = &v1alpha1.Obligations{RetentionDays: &days}
	})
	for _, a := range []*agency{labor, police} {
		a.owes(t, "wages.v1", "training", police.name, v1alpha1.DutyWithin7Days)
	}
	eventually(t, "its own is a condition", func() error {
		return condition(t, police, "wages.v1", v1alpha1.ConditionDutyDue, "training is due within 7 days")
	})

	labor.stop() // which hears of it when it is back
	if err := police.attest(t, "wages.v1", "training"); err != nil {
		t.Fatal(err)
	}
	if d := police.owes(t, "wages.v1", "training", police.name, v1alpha1.DutyDone); d.DoneBy != "dave@"+police.name {
		t.Errorf("attested by %q", d.DoneBy)
	}
	labor.start(t)
	if d := labor.owes(t, "wages.v1", "training", police.name, v1alpha1.DutyDone); d.DoneBy != "" || d.DoneAt == nil {
		t.Errorf("the other agency knows %+v", d)
	}
	p.agree(t, "wages.v1")
	for _, a := range []*agency{labor, police} {
		a.reaches(t, "wages.v1", v1alpha1.StateInForce, "")
	}

	// After the end: destruction, which outlives it.
	labor.decide(t, "wages.v1", v1alpha1.DecisionTerminate)
	police.reaches(t, "wages.v1", v1alpha1.StateTerminated, "by agency labor-inspectorate")
	police.owes(t, "wages.v1", "destruction", police.name, v1alpha1.DutyWithin30Days)
	if err := police.attest(t, "wages.v1", "destruction"); err != nil {
		t.Fatal(err)
	}
	labor.owes(t, "wages.v1", "destruction", police.name, v1alpha1.DutyDone)
	p.agree(t, "wages.v1")

	// The API server refuses what compile would not count.
	if err := police.attest(t, "wages.v1", ""); err == nil || !strings.Contains(err.Error(), "Attest names a duty") {
		t.Errorf("an attestation of nothing: %v", err)
	}
}

func condition(t testing.TB, a *agency, name, kind, says string) error {
	t.Helper()
	o, err := a.get(t, name)
	if err != nil {
		return err
	}
	for _, c := range o.Status.Conditions {
		if c.Type == kind && strings.Contains(c.Message, says) {
			return nil
		}
	}
	return fmt.Errorf("%+v", o.Status.Conditions)
}

// TestClockSkew: clocks that differ by more than five minutes are told on both sides, on the Agency of the other, until they agree.
func TestClockSkew(t *testing.T) {
	p := newPair(t)
	labor, police := p.source, p.recipient
	labor.start(t)
	police.start(t)
	p.inForce(t, "wages")
	// again starts both anew, with another clock at one of them. Each asks the other as soon as it is there.
	again := func(ahead time.Duration) {
		t.Helper()
		police.stop()
		labor.stop()
		police.ahead = ahead
		labor.start(t)
		police.start(t)
	}
	skewed := func(at, of *agency, says string) {
		t.Helper()
		eventually(t, "at "+at.name+", "+says, func() error {
			o := &v1alpha1.Agency{}
			if err := at.client.Get(t.Context(), client.ObjectKey{Namespace: at.name, Name: of.name}, o); err != nil {
				return err
			}
			for _, c := range o.Status.Conditions {
				if c.Type == v1alpha1.ConditionClockSkew && c.Status == metav1.ConditionTrue && says != "" && strings.Contains(c.Message, says) {
					return nil
				}
				if c.Type == v1alpha1.ConditionClockSkew && says == "" {
					return fmt.Errorf("still %s", c.Message)
				}
			}
			if says == "" {
				return nil
			}
			return fmt.Errorf("%+v", o.Status.Conditions)
		})
	}
	again(12 * time.Minute)
	skewed(labor, police, "12m0s ahead of ours")
	skewed(police, labor, "12m0s behind ours")
	again(4 * time.Minute) // inside the bound
	skewed(labor, police, "")
	skewed(police, labor, "")
	for _, a := range []*agency{labor, police} {
		a.reaches(t, "wages.v1", v1alpha1.StateInForce, "")
	}
}
