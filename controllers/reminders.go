package controllers

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
)

// timed are the condition types about time with their reasons. They exist only while they are true.
var timed = map[string][]string{
	v1alpha1.ConditionBeginning:  {v1alpha1.ReasonWithin90Days, v1alpha1.ReasonWithin30Days, v1alpha1.ReasonWithin7Days},
	v1alpha1.ConditionRenewalDue: {v1alpha1.ReasonWithin90Days, v1alpha1.ReasonWithin30Days, v1alpha1.ReasonWithin7Days, v1alpha1.ReasonOpen},
	v1alpha1.ConditionExpiring:   {v1alpha1.ReasonWithin90Days, v1alpha1.ReasonWithin30Days, v1alpha1.ReasonWithin7Days},
	v1alpha1.ConditionReviewDue:  {v1alpha1.ReasonWithin90Days, v1alpha1.ReasonWithin30Days, v1alpha1.ReasonWithin7Days, v1alpha1.ReasonOverdue},
	v1alpha1.ConditionDutyDue:    {v1alpha1.ReasonWithin90Days, v1alpha1.ReasonWithin30Days, v1alpha1.ReasonWithin7Days, v1alpha1.ReasonOverdue},
}

// clocks are the conditions about time with their rungs, as metrics count them.
var clocks = func() (out []string) {
	for kind, reasons := range timed {
		for _, reason := range reasons {
			out = append(out, kind+"/"+reason)
		}
	}
	slices.Sort(out)
	return out
}()

// due are the conditions about time that hold.
func due(conditions []metav1.Condition) []string {
	var out []string
	for _, c := range conditions {
		if timed[c.Type] != nil {
			out = append(out, c.Type+"/"+c.Reason)
		}
	}
	return out
}

// remind records each rung that a date has come to as an event, once: what was there before was told before. Duties have events of
// their own: one condition speaks of many.
func (r *agreements) remind(o *v1alpha1.SharingAgreement, before, now []metav1.Condition) {
	told := due(before)
	for _, c := range now {
		if timed[c.Type] != nil && c.Type != v1alpha1.ConditionDutyDue && !slices.Contains(told, c.Type+"/"+c.Reason) {
			r.recorder.Eventf(o, nil, corev1.EventTypeWarning, c.Type, "Remind", "%s", c.Message)
		}
	}
}

// Whose a duty is, in metrics.
const (
	own   = "own"
	other = "other"
)

// owed are the duties with whose they are and where they stand.
func owed(duties []v1alpha1.DutyStatus, self string) []string {
	var out []string
	for _, d := range duties {
		whose := other
		if d.Agency == self {
			whose = own
		}
		out = append(out, whose+"/"+string(d.State))
	}
	return out
}

// remindOfDuties records where each duty has come to as an event, once: our own at each rung, others' when they are overdue, and
// whichever was attested. The review is told with its condition.
func (r *agreements) remindOfDuties(o *v1alpha1.SharingAgreement, before, now []v1alpha1.DutyStatus) {
	for _, d := range now {
		was := v1alpha1.DutyStatus{}
		if i := slices.IndexFunc(before, func(b v1alpha1.DutyStatus) bool { return b.Name == d.Name && b.Agency == d.Agency }); i >= 0 {
			was = before[i]
		}
		if d.DoneAt != nil && !d.DoneAt.Equal(was.DoneAt) {
			r.recorder.Eventf(o, nil, corev1.EventTypeNormal, "DutyAttested", "Attest", "%s attested %s at %s", d.Agency, d.Name, stamp(*d.DoneAt))
		}
		if d.State == was.State {
			continue
		}
		mine := d.Agency == r.gather.self && d.Name != compile.DutyReview
		switch {
		case d.State == v1alpha1.DutyOverdue && (mine || d.Agency != r.gather.self):
			r.recorder.Eventf(o, nil, corev1.EventTypeWarning, "DutyOverdue", "Remind", "%s of %s was due by %s", d.Name, d.Agency, stamp(d.Due))
		case mine && d.State != v1alpha1.DutyPending && d.State != v1alpha1.DutyDone:
			r.recorder.Eventf(o, nil, corev1.EventTypeWarning, v1alpha1.ConditionDutyDue, "Remind", "%s is due by %s", d.Name, stamp(d.Due))
		}
	}
}

func stamp(t metav1.Time) string { return t.UTC().Format(time.RFC3339) }
