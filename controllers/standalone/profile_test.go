package standalone

import (
	"strings"
	"testing"

	"github.com/entente-dev/entente/api/v1alpha1"
)

func profileYAML(months string) string {
	return `apiVersion: entente.dev/v1alpha1
kind: AgreementProfile
metadata: {name: house-rules}
spec:
  title: House rules
  citation: State Code 12-400
  rules:
    - name: term
      rule: months(terms.term.notBefore, terms.term.notAfter) <= ` + months + `
      severity: Error
      message: the term is too long
      field: term.notAfter
      citation: State Code 12-401
`
}

// TestProfile: a folder's profiles hold for its agreements, from the moment a file changes.
func TestProfile(t *testing.T) {
	_, labor := inForce(t)
	text := strings.Replace(agreementYAML(t, "2027-01-01T00:00:00Z"), "    type: ", "    profiles: [house-rules]\n    type: ", 1)
	labor.write("agreement.yaml", text) // other terms: the signatures are void, the profile is what this test is about

	says := func(kind, want string) {
		t.Helper()
		labor.step()
		status, err := labor.folder.Status("wages.v1")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range status.Status.Conditions {
			if got := string(c.Status) + " " + c.Reason + ": " + c.Message; c.Type == kind && !strings.Contains(got, want) {
				t.Errorf("%s is %q, want %q", kind, got, want)
			}
		}
	}
	says(v1alpha1.ConditionResolvedRefs, `False UnknownProfile: profiles: there is no AgreementProfile "house-rules"`)
	labor.write("profile.yaml", profileYAML("12"))
	says(v1alpha1.ConditionResolvedRefs, "True Resolved")
	says(v1alpha1.ConditionAccepted, "True Accepted")
	labor.write("profile.yaml", profileYAML("6"))
	says(v1alpha1.ConditionAccepted, "False ProfileViolation: profile house-rules, rule term (State Code 12-401): term.notAfter")
	labor.write("profile.yaml", profileYAML("terms.term.nothing"))
	says(v1alpha1.ConditionAccepted, "is not accepted, so its rules cannot be checked")
	labor.write("profile.yaml", strings.Replace(profileYAML("12"), "severity", "severty", 1))
	says(v1alpha1.ConditionResolvedRefs, "False UnknownProfile")
}
