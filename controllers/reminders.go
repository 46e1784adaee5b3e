package controllers

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// duties are the conditions about time with their rungs, as metrics count them.
var duties = []string{
	v1alpha1.ConditionExpiring + "/" + v1alpha1.ReasonWithin90Days,
	v1alpha1.ConditionExpiring + "/" + v1alpha1.ReasonWithin30Days,
	v1alpha1.ConditionExpiring + "/" + v1alpha1.ReasonWithin7Days,
	v1alpha1.ConditionReviewDue + "/" + v1alpha1.ReasonWithin90Days,
	v1alpha1.ConditionReviewDue + "/" + v1alpha1.ReasonWithin30Days,
	v1alpha1.ConditionReviewDue + "/" + v1alpha1.ReasonWithin7Days,
	v1alpha1.ConditionReviewDue + "/" + v1alpha1.ReasonOverdue,
}

// due are the conditions about time that hold.
func due(conditions []metav1.Condition) []string {
	var out []string
	for _, c := range only(conditions, v1alpha1.ConditionExpiring, v1alpha1.ConditionReviewDue) {
		out = append(out, c.Type+"/"+c.Reason)
	}
	return out
}

// remind records each rung that a date has come to as an event, once: what was there before was told before.
func (r *agreements) remind(o *v1alpha1.SharingAgreement, before, now []metav1.Condition) {
	told := due(before)
	for _, c := range only(now, v1alpha1.ConditionExpiring, v1alpha1.ConditionReviewDue) {
		if !slices.Contains(told, c.Type+"/"+c.Reason) {
			r.recorder.Eventf(o, nil, corev1.EventTypeWarning, c.Type, "Remind", "%s", c.Message)
		}
	}
}
