package controllers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// Field owners beside those that the API names: one for each thing that is observed or published.
const (
	ownerAgency  = "entente-agency"
	ownerSchema  = "entente-schema"
	ownerDataset = "entente-dataset"
	ownerProbe   = "entente-probe"
	ownerProfile = "entente-profile"
	ownerContact = "entente-contact"

	ownerAnnounced = "entente-announced"

	ownerTaskForce = "entente-task-force"
)

// applyStatus applies the whole of what owner has to say in an object's status. That the object is gone is no error.
func applyStatus[S any](ctx context.Context, c client.Client, kind string, key client.ObjectKey, owner string, status *S) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(status)
	if err != nil {
		return fmt.Errorf("status of %s %s: %w", kind, key.Name, err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       kind,
		"metadata":   map[string]any{"name": key.Name, "namespace": key.Namespace},
		"status":     content,
	}}
	err = c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(owner), client.ForceOwnership)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("apply status of %s %s as %s: %w", kind, key.Name, owner, err)
	}
	return nil
}

// same compares what an owner has in a status with what it should have; empty and absent are the same.
func same[S any](have, want *S) bool { return equality.Semantic.DeepEqual(have, want) }

// only gives the conditions of those types, in their order.
func only(conditions []metav1.Condition, types ...string) []metav1.Condition {
	var out []metav1.Condition
	for _, c := range conditions {
		if slices.Contains(types, c.Type) {
			out = append(out, c)
		}
	}
	return out
}

// byType sorts conditions, for comparison: the API server keeps its own order of them.
func byType(conditions []metav1.Condition) []metav1.Condition {
	out := slices.Clone(conditions)
	slices.SortFunc(out, func(a, b metav1.Condition) int {
		if a.Type < b.Type {
			return -1
		}
		return 1
	})
	return out
}

// observation is a condition that a reconciler observed, before it is known since when.
type observation struct {
	kind    string
	status  metav1.ConditionStatus
	reason  string
	message string
}

// condition dates the observation: the transition time is kept while the status stays.
func (o observation) condition(generation int64, before []metav1.Condition, now time.Time) metav1.Condition {
	c := metav1.Condition{
		Type: o.kind, Status: o.status, ObservedGeneration: generation, Reason: o.reason, Message: clip(o.message),
		LastTransitionTime: metav1.NewTime(now.UTC()).Rfc3339Copy(),
	}
	for _, b := range before {
		if b.Type == o.kind && b.Status == o.status && !b.LastTransitionTime.IsZero() {
			c.LastTransitionTime = b.LastTransitionTime
		}
	}
	return c
}

// maxMessage is what a condition may hold (32,768), less than anyone reads.
const maxMessage = 2000

func clip(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return s[:maxMessage] + "…"
}
