package controllers

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// told are the events of one call, in a word each.
func told(f *events.FakeRecorder) []string {
	var out []string
	for len(f.Events) > 0 {
		out = append(out, <-f.Events)
	}
	return out
}

// TestReminders: each rung is an event once, of each clock.
func TestReminders(t *testing.T) {
	at := func(kind, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: "soon"}
	}
	for kind, reasons := range timed {
		recorder := events.NewFakeRecorder(10)
		r := &agreements{recorder: recorder}
		var before []metav1.Condition
		for _, reason := range reasons {
			now := []metav1.Condition{at(v1alpha1.ConditionInForce, v1alpha1.ReasonInForce), at(kind, reason)}
			r.remind(&v1alpha1.SharingAgreement{}, before, now)
			want := []string{"Warning " + kind + " soon"}
			if kind == v1alpha1.ConditionDutyDue {
				want = nil // each duty is told by itself
			}
			if got := told(recorder); !slices.Equal(got, want) {
				t.Errorf("%s %s: %q, want %q", kind, reason, got, want)
			}
			r.remind(&v1alpha1.SharingAgreement{}, now, now)
			if got := told(recorder); len(got) > 0 {
				t.Errorf("%s %s, again: %q", kind, reason, got)
			}
			if got := due(now); !slices.Equal(got, []string{kind + "/" + reason}) || !slices.Contains(clocks, got[0]) {
				t.Errorf("%s %s is counted as %q", kind, reason, got)
			}
			before = now
		}
	}
}

func TestRemindersOfDuties(t *testing.T) {
	by := metav1.NewTime(time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC))
	done := metav1.NewTime(time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC))
	duty := func(name, agency string, state v1alpha1.DutyState, done *metav1.Time) v1alpha1.DutyStatus {
		return v1alpha1.DutyStatus{Name: name, Agency: agency, State: state, Due: by, DoneAt: done}
	}
	const dueBy = " of state-police was due by 2026-09-01T00:00:00Z"
	for _, c := range []struct {
		before, now []v1alpha1.DutyStatus
		want        []string
	}{
		{nil, []v1alpha1.DutyStatus{duty("report", "state-police", v1alpha1.DutyPending, nil)}, nil},
		{nil, []v1alpha1.DutyStatus{duty("report", "state-police", v1alpha1.DutyWithin30Days, nil)}, []string{"Warning DutyDue report is due by 2026-09-01T00:00:00Z"}},
		{
			[]v1alpha1.DutyStatus{duty("report", "state-police", v1alpha1.DutyWithin30Days, nil), duty("training", "state-police", v1alpha1.DutyPending, nil)},
			[]v1alpha1.DutyStatus{duty("report", "state-police", v1alpha1.DutyWithin30Days, nil), duty("training", "state-police", v1alpha1.DutyWithin30Days, nil)},
			[]string{"Warning DutyDue training is due by 2026-09-01T00:00:00Z"},
		},
		{
			[]v1alpha1.DutyStatus{duty("report", "state-police", v1alpha1.DutyWithin7Days, nil)},
			[]v1alpha1.DutyStatus{duty("report", "state-police", v1alpha1.DutyOverdue, nil)},
			[]string{"Warning DutyOverdue report" + dueBy},
		},
		{
			[]v1alpha1.DutyStatus{duty("report", "state-police", v1alpha1.DutyOverdue, nil)},
			[]v1alpha1.DutyStatus{duty("report", "state-police", v1alpha1.DutyDone, &done)},
			[]string{"Normal DutyAttested state-police attested report at 2026-08-01T00:00:00Z"},
		},
		{ // of another party: nothing until it is overdue
			[]v1alpha1.DutyStatus{duty("report", "labor-inspectorate", v1alpha1.DutyPending, nil)},
			[]v1alpha1.DutyStatus{duty("report", "labor-inspectorate", v1alpha1.DutyWithin7Days, nil)}, nil,
		},
		{
			[]v1alpha1.DutyStatus{duty("report", "labor-inspectorate", v1alpha1.DutyWithin7Days, nil)},
			[]v1alpha1.DutyStatus{duty("report", "labor-inspectorate", v1alpha1.DutyOverdue, nil)},
			[]string{"Warning DutyOverdue report of labor-inspectorate was due by 2026-09-01T00:00:00Z"},
		},
		{ // the review is told by its own condition
			[]v1alpha1.DutyStatus{duty("review", "state-police", v1alpha1.DutyWithin7Days, nil)},
			[]v1alpha1.DutyStatus{duty("review", "state-police", v1alpha1.DutyOverdue, nil)}, nil,
		},
	} {
		recorder := events.NewFakeRecorder(10)
		r := &agreements{recorder: recorder, gather: &gatherer{self: "state-police"}}
		r.remindOfDuties(&v1alpha1.SharingAgreement{}, c.before, c.now)
		if got := told(recorder); !slices.Equal(got, c.want) {
			t.Errorf("%v → %v: %q, want %q", c.before, c.now, got, c.want)
		}
	}
}

// TestDutiesCounted: by whose they are, and where they stand; what is counted has a series.
func TestDutiesCounted(t *testing.T) {
	p := newPlans()
	p.put("wages", &plan{versions: []plannedVersion{{duties: owed([]v1alpha1.DutyStatus{
		{Agency: "state-police", State: v1alpha1.DutyOverdue}, {Agency: "state-police", State: v1alpha1.DutyOverdue}, {Agency: "border-service", State: v1alpha1.DutyDone},
	}, "state-police")}}})
	got := p.counts().duties
	if len(got) != 2 || got["own/Overdue"] != 2 || got["other/Done"] != 1 {
		t.Errorf("%v", got)
	}
}
