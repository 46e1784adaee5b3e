package controllers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// TestTaskForceEnds: what is shown of a task force follows the clock, without anybody's doing.
func TestTaskForceEnds(t *testing.T) {
	s := newScene(t, "harbored")
	opens := time.Now().UTC().Truncate(time.Second).Add(2 * time.Second)
	s.apply(t, fmt.Sprintf(`
apiVersion: entente.dev/v1alpha1
kind: TaskForce
metadata: {name: harbor.v1}
spec:
  name: harbor
  version: 1
  objective: To end trafficking in persons in the harbor.
  lead: state-police
  members:
    - {agency: state-police, trustDomain: police.example}
    - {agency: labor-inspectorate, trustDomain: labor.example}
  window: {notBefore: %q, notAfter: %q}
`, opens.Format(time.RFC3339), opens.Add(2*time.Second).Format(time.RFC3339)))
	until(t, "the task force ends", func() string {
		f := &v1alpha1.TaskForce{}
		if err := s.get(t, "harbor.v1", f); err != nil {
			return err.Error()
		}
		if f.Status.State != v1alpha1.TaskForceEnded || f.Status.Digest == "" || f.Status.Members != "labor-inspectorate,state-police" {
			return fmt.Sprintf("is %+v", f.Status)
		}
		return ""
	})
}
