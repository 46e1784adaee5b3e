package controllers

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// A status that goes from true to false and back is applied three times, though a cache that is behind shows true all the while.
func TestOvertaken(t *testing.T) {
	arrives := error(nil)
	c := interceptor.NewClient(fake.NewClientBuilder().WithScheme(runtime.NewScheme()).Build(), interceptor.Funcs{
		SubResourceApply: func(context.Context, client.Client, string, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
			return arrives
		},
	})
	key := client.ObjectKey{Namespace: "overtaken", Name: "a.v1"}
	status := func(s metav1.ConditionStatus) *v1alpha1.SharingAgreementStatus {
		return &v1alpha1.SharingAgreementStatus{Conditions: []metav1.Condition{{Type: v1alpha1.ConditionProgrammed, Status: s}}}
	}
	is := func(s metav1.ConditionStatus) bool {
		return overtaken("SharingAgreement", key, v1alpha1.OwnerProgrammed, status(s))
	}
	apply := func(s metav1.ConditionStatus) error {
		return applyStatus(t.Context(), c, "SharingAgreement", key, v1alpha1.OwnerProgrammed, status(s))
	}
	if is(metav1.ConditionTrue) {
		t.Error("before anything was applied, the cache is right")
	}
	for _, s := range []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse} {
		if err := apply(s); err != nil {
			t.Fatal(err)
		}
		if is(s) {
			t.Errorf("%s was applied last", s)
		}
	}
	if !is(metav1.ConditionTrue) {
		t.Error("a cache that still shows True is behind")
	}
	if overtaken("SharingAgreement", key, v1alpha1.OwnerCredentials, status(metav1.ConditionTrue)) {
		t.Error("another owner has applied nothing")
	}
	// Nobody knows whether it arrived: only what the cache shows counts.
	arrives = context.DeadlineExceeded
	if err := apply(metav1.ConditionTrue); err == nil {
		t.Fatal("no error")
	}
	if is(metav1.ConditionTrue) || is(metav1.ConditionFalse) {
		t.Error("after a failure nothing is remembered")
	}
}
