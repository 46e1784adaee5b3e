package controllers_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

func profileYAML(limit string) string {
	return `
apiVersion: entente.dev/v1alpha1
kind: AgreementProfile
metadata: {name: house-rules}
spec:
  title: House rules
  citation: State Code 12-400
  rules:
    - name: term
      rule: days(terms.term.notBefore, terms.term.notAfter) <= ` + limit + `
      severity: Error
      message: the term is too long
      field: term.notAfter
      citation: State Code 12-401
`
}

// A profile holds for every agreement that names it, from the moment it is applied, and while it cannot be used nothing is
// served that names it.
func TestProfileHolds(t *testing.T) {
	s := newScene(t, "profiled")
	s.describe(t)
	s.apply(t, strings.Replace(s.agreementYAML(t, 1, ""), "    type: ", "    profiles: [house-rules]\n    type: ", 1))
	s.condition(t, agreement, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonUnknownProfile)

	s.apply(t, profileYAML("11"))
	s.profile(t, metav1.ConditionTrue, "1 rules")
	s.condition(t, agreement, v1alpha1.ConditionResolvedRefs, metav1.ConditionTrue, "")
	s.decide(t, agreement, v1alpha1.DecisionAccept)
	s.peerSigns(t, agreement)
	s.condition(t, agreement, v1alpha1.ConditionInForce, metav1.ConditionTrue, "")
	s.route(t, "Active")

	s.apply(t, profileYAML("10"))
	c := s.condition(t, agreement, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonProfileViolation)
	if want := "profile house-rules, rule term (State Code 12-401): term.notAfter: the term is too long"; !strings.Contains(c.Message, want) {
		t.Errorf("%q, want %q", c.Message, want)
	}
	s.route(t, "Tombstone")

	s.apply(t, profileYAML("terms.limit"))
	s.profile(t, metav1.ConditionFalse, "rules[term].rule: line 1, column 57: undefined field 'limit'")
	s.condition(t, agreement, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonProfileViolation)

	s.apply(t, profileYAML("11"))
	s.condition(t, agreement, v1alpha1.ConditionInForce, metav1.ConditionTrue, "")
	s.route(t, "Active")
}

// profile waits for what the operator says of the profile.
func (s *scene) profile(t *testing.T, status metav1.ConditionStatus, message string) {
	t.Helper()
	until(t, "profile", func() string {
		p := &v1alpha1.AgreementProfile{}
		if err := s.get(t, "house-rules", p); err != nil {
			return err.Error()
		}
		c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionAccepted)
		if c == nil || c.Status != status || !strings.Contains(c.Message, message) || p.Status.Rules != 1 {
			return fmt.Sprintf("is %+v", p.Status)
		}
		return ""
	})
}
