package compile

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// TestClocks: each clock is told at each of its rungs, to the second, and time calls at that second.
func TestClocks(t *testing.T) {
	begin := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	end := begin.AddDate(2, 0, 0)
	renew, review := begin.AddDate(1, 0, 0), begin.AddDate(1, 6, 0)
	at := func(t time.Time) *metav1.Time { m := metav1.NewTime(t); return &m }
	terms := &v1alpha1.AgreementTerms{
		ID: "wages", Version: 1, Parties: []v1alpha1.Party{{Agency: "state-police"}, {Agency: "labor-inspectorate"}},
		Term:   v1alpha1.Term{NotBefore: *at(begin), NotAfter: *at(end), ReviewBy: at(review), RenewFrom: at(renew)},
		Duties: []v1alpha1.Duty{{Name: "report", Agency: "state-police", What: "report", DueBy: at(review)}},
	}
	// the version, as it is at that time.
	now := func(clock time.Time) (*compiler, *version) {
		v := &version{
			object: &v1alpha1.SharingAgreement{}, name: "wages.v1", self: "state-police", terms: terms, digest: "sha256:", accepted: verdict{ok: true},
			signatures: signatures{verified: []string{"labor-inspectorate", "state-police"}}, notBefore: begin, end: end, state: v1alpha1.StateInForce,
		}
		switch {
		case clock.Before(begin):
			v.state = v1alpha1.StatePending
		case !clock.Before(end):
			v.state = v1alpha1.StateExpired
		}
		c := newCompiler(&Index{Self: "state-police"}, clock)
		c.owe(v)
		return c, v
	}
	for name, clock := range map[string]struct {
		date  time.Time
		of    func(*compiler, *version) verdict
		after string // the reason from the date on; empty: there is no condition any more
	}{
		v1alpha1.ConditionBeginning:  {begin, (*compiler).beginning, ""},
		v1alpha1.ConditionExpiring:   {end, (*compiler).expiring, ""},
		v1alpha1.ConditionRenewalDue: {renew, (*compiler).renewalDue, v1alpha1.ReasonOpen},
		v1alpha1.ConditionReviewDue:  {review, (*compiler).reviewDue, v1alpha1.ReasonOverdue},
		v1alpha1.ConditionDutyDue:    {review, (*compiler).dutyDue, v1alpha1.ReasonOverdue},
	} {
		t.Run(name, func(t *testing.T) {
			before := ""
			for _, step := range []struct {
				at     time.Time
				reason string
			}{
				{clock.date.Add(-90 * day), v1alpha1.ReasonWithin90Days},
				{clock.date.Add(-30 * day), v1alpha1.ReasonWithin30Days},
				{clock.date.Add(-7 * day), v1alpha1.ReasonWithin7Days},
				{clock.date, clock.after},
			} {
				for at, want := range map[time.Time]string{step.at.Add(-time.Second): before, step.at: step.reason} {
					got := clock.of(now(at))
					if got.reason != want || got.ok != (want != "") {
						t.Errorf("at %s: %+v, want %q", at, got, want)
					}
				}
				c, v := now(step.at.Add(-time.Second))
				if next := c.next([]*version{v}); !next.Equal(step.at) {
					t.Errorf("nothing calls at %s, but at %s", step.at, next)
				}
				before = step.reason
			}
			c, v := now(end)
			if clock.after != v1alpha1.ReasonOverdue && clock.of(c, v).ok {
				t.Errorf("told after the end: %+v", clock.of(c, v))
			}
		})
	}
	t.Run("a version that another replaces", func(t *testing.T) {
		for _, of := range []func(*compiler, *version) verdict{(*compiler).expiring, (*compiler).renewalDue} {
			c, v := now(end.Add(-day))
			if v.replacedBy = v; of(c, v).ok {
				t.Errorf("%+v", of(c, v))
			}
		}
	})
}
