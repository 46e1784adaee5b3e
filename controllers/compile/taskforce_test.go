package compile

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

var windowOpens = time.Date(2026, 2, 10, 0, 0, 0, 0, time.UTC)

func harborForce() *v1alpha1.TaskForce {
	f := &v1alpha1.TaskForce{Spec: v1alpha1.TaskForceSpec{
		Name: "harbor", Version: 1, Objective: "To end trafficking in persons in the harbor.", Lead: "state-police",
		Members: []v1alpha1.TaskForceMember{{Agency: "state-police", TrustDomain: "police.example.gov"}, {Agency: "labor-inspectorate", TrustDomain: "labor.example.gov"}},
		Window:  v1alpha1.TaskForceWindow{NotBefore: metav1.NewTime(windowOpens), NotAfter: metav1.NewTime(windowOpens.AddDate(1, 0, 0))},
	}}
	f.Name = "harbor.v1"
	return f
}

// TestTaskForceStatus: where a task force stands, and when that changes by itself.
func TestTaskForceStatus(t *testing.T) {
	ends := windowOpens.AddDate(1, 0, 0)
	for _, c := range []struct {
		at, next time.Time
		state    v1alpha1.TaskForceState
	}{
		{windowOpens.Add(-time.Second), windowOpens, v1alpha1.TaskForcePending},
		{windowOpens, ends, v1alpha1.TaskForceActive},
		{ends.Add(-time.Second), ends, v1alpha1.TaskForceActive},
		{ends, time.Time{}, v1alpha1.TaskForceEnded},
	} {
		status, next := TaskForceStatus(harborForce(), c.at)
		if status.State != c.state || !next.Equal(c.next) || status.Members != "labor-inspectorate,state-police" || status.Digest == "" ||
			len(status.Conditions) != 1 || status.Conditions[0].Status != metav1.ConditionTrue {
			t.Errorf("at %s: %+v, next %s", c.at, status, next)
		}
	}
}

// TestTaskForceRejected: what a file could hold that the API server would have refused is refused here.
func TestTaskForceRejected(t *testing.T) {
	for want, spoil := range map[string]func(*v1alpha1.TaskForce){
		`metadata.name: "harbor" is not "harbor.v1"`:         func(f *v1alpha1.TaskForce) { f.Name = "harbor" },
		`version: 0 is not between`:                          func(f *v1alpha1.TaskForce) { f.Spec.Version = 0 },
		`objective: missing`:                                 func(f *v1alpha1.TaskForce) { f.Spec.Objective = "" },
		`lead: "border-service" is not a member`:             func(f *v1alpha1.TaskForce) { f.Spec.Lead = "border-service" },
		`members: 1 members; 2 to 32 are possible`:           func(f *v1alpha1.TaskForce) { f.Spec.Members = f.Spec.Members[:1] },
		`members[1].agency: "state-police" stands twice`:     func(f *v1alpha1.TaskForce) { f.Spec.Members[1].Agency = "state-police" },
		`members[1].trustDomain: "police.example.gov" stand`: func(f *v1alpha1.TaskForce) { f.Spec.Members[1].TrustDomain = "police.example.gov" },
		`members[0].trustDomain: "" is not a trust domain`:   func(f *v1alpha1.TaskForce) { f.Spec.Members[0].TrustDomain = "" },
		`window.notAfter: missing`:                           func(f *v1alpha1.TaskForce) { f.Spec.Window.NotAfter = metav1.Time{} },
		`window: notBefore is not before notAfter`:           func(f *v1alpha1.TaskForce) { f.Spec.Window.NotAfter = f.Spec.Window.NotBefore },
		`window.notBefore: fractions of a second cannot be`:  func(f *v1alpha1.TaskForce) { f.Spec.Window.NotBefore.Time = windowOpens.Add(1) },
		`this release does not know "exept" of spec`:         func(f *v1alpha1.TaskForce) { f.Spec.UnknownFields = []string{"exept"} },
	} {
		f := harborForce()
		spoil(f)
		status, next := TaskForceStatus(f, windowOpens)
		if status.State != v1alpha1.TaskForceRejected || status.Digest != "" || !next.IsZero() || len(status.Conditions) != 1 ||
			status.Conditions[0].Status != metav1.ConditionFalse || !strings.Contains(status.Conditions[0].Message, want) {
			t.Errorf("%q: %+v", want, status)
		}
		if err := CheckTaskForce(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
		if found := LintTaskForce(f); len(found) != 1 || found[0].Severity != v1alpha1.SeverityError {
			t.Errorf("%q: lint finds %+v", want, found)
		}
	}
}
