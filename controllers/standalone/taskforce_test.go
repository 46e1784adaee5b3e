package standalone

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
)

const harborYAML = `apiVersion: entente.dev/v1alpha1
kind: TaskForce
metadata: {name: harbor.v1}
spec:
  name: harbor
  version: 1
  objective: To end trafficking in persons in the harbor.
  lead: police
  members:
    - {agency: police, trustDomain: police.test}
    - {agency: labor, trustDomain: labor.test}
  window: {notBefore: "2026-01-01T00:00:00Z", notAfter: "2036-01-01T00:00:00Z"}
`

// TestTaskForce: a folder's task forces hold for its agreements, and what is not exactly the one that is pinned is none.
func TestTaskForce(t *testing.T) {
	_, labor := inForce(t)
	var f v1alpha1.TaskForce
	if err := yaml.UnmarshalStrict([]byte(harborYAML), &f); err != nil {
		t.Fatal(err)
	}
	digest, err := f.Spec.Digest()
	if err != nil {
		t.Fatal(err)
	}
	const byName = "recipients: [{agency: police}]"
	terms := agreementYAML(t, "2027-01-01T00:00:00Z")
	if !strings.Contains(terms, byName) {
		t.Fatalf("no %q in\n%s", byName, terms)
	}
	labor.write("agreement.yaml", strings.Replace(terms, byName, fmt.Sprintf("recipients: [{taskForce: {name: harbor, version: 1, digest: %q}}]", digest), 1))
	says := func(want string) {
		t.Helper()
		labor.step()
		status, err := labor.folder.Status("wages.v1")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range status.Status.Conditions {
			if got := string(c.Status) + " " + c.Reason + ": " + c.Message; c.Type == v1alpha1.ConditionResolvedRefs && !strings.Contains(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
	says(`False UnknownTaskForce: clauses[wages].recipients[0].taskForce: there is no TaskForce "harbor.v1"`)
	labor.write("harbor.yaml", harborYAML)
	says("True Resolved")
	text, err := os.ReadFile(filepath.Join(labor.folder.stateDir(), "status", "taskforce-harbor.v1.yaml"))
	if err != nil || !strings.Contains(string(text), digest) {
		t.Errorf("%v\n%s", err, text)
	}
	labor.write("harbor.yaml", strings.Replace(harborYAML, "2036", "2046", 1))
	says("False TaskForceDigestMismatch")
	labor.write("harbor.yaml", strings.Replace(harborYAML, "lead:", "laed:", 1))
	says("False UnknownTaskForce")
}
