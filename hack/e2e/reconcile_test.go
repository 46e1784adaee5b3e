package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/receipt"
	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/internal/demo/data"
)

// compared is what `entente audit reconcile` finds, run as the agency's operator.
func compared(t *testing.T, s *scene, a *stack.Agency, peer string) (map[string]receipt.Finding, error) {
	t.Helper()
	args := append([]string{"audit", "reconcile", "--peer", peer, "--since", "1h", "--delay", "0s", "--all", "-o", "json"}, a.OperatorFlags()...)
	out, err := s.Command(t.Context(), args...)
	findings := map[string]receipt.Finding{}
	for line := range strings.Lines(out) {
		var f receipt.Finding
		must(t, json.Unmarshal([]byte(line), &f))
		findings[f.Disclosure] = f
	}
	return findings, err
}

// peerChecked: as the operator of a recipient, every step of the way to the source goes well.
func peerChecked(t *testing.T, s *scene) {
	out, err := s.Command(t.Context(), append([]string{"agency", "check", stack.Labor}, s.police.OperatorFlags()...)...)
	must(t, err)
	if lines := strings.Count(out, "\n"); lines != 9 || strings.Count(out, " ok ") != lines {
		t.Errorf("not every step is ok:\n%s", out)
	}
}

// logsCompared: the logs agree; when one side has lost its log, the other says which disclosures that one does not know.
func logsCompared(t *testing.T, s *scene) {
	q := about(data.Marisol())
	q.Agencies = []string{stack.Labor}
	id := ask(t, s.police, q).Of(stack.Labor).DisclosureID
	for _, side := range []struct {
		of   *stack.Agency
		peer string
	}{{s.labor, stack.Police}, {s.police, stack.Labor}} {
		findings, err := compared(t, s, side.of, side.peer)
		if f := findings[id]; err != nil || f.Result != receipt.Matched || f.Source != "OK" || f.Recipient != "OK" {
			t.Fatalf("%s: %+v, %v", side.of.Name, f, err)
		}
	}
	reconciled := func(reason string) {
		t.Helper()
		within(t, func() string {
			c, err := s.labor.Condition(t.Context(), stack.Agreement, v1alpha1.ConditionReconciled)
			must(t, err)
			if c.Reason != reason {
				return fmt.Sprintf("Reconciled=%s %s: %s", c.Status, c.Reason, c.Message)
			}
			return ""
		})
	}
	reconciled(v1alpha1.ReasonLogsAgree)

	// The recipient goes on with an empty volume. What it was given, the source's log still says.
	must(t, s.police.Gateway.Stop(patience))
	state := s.police.File("gateway-state")
	must(t, os.Rename(state, state+".away"))
	t.Cleanup(func() {
		if _, err := os.Stat(state + ".away"); err == nil {
			_ = s.police.Gateway.Stop(15 * time.Second)
			_ = os.RemoveAll(state)
			_ = os.Rename(state+".away", state)
		}
	})
	must(t, s.police.StartGateway(t.Context()))
	findings, err := compared(t, s, s.labor, stack.Police)
	if f := findings[id]; err == nil || !strings.Contains(err.Error(), "the logs differ") || f.Result != receipt.OnlySource {
		t.Fatalf("%+v, %v", f, err)
	}

	// The volume comes back, and with it the records.
	must(t, s.police.Gateway.Stop(patience))
	must(t, os.RemoveAll(state))
	must(t, os.Rename(state+".away", state))
	must(t, s.police.StartGateway(t.Context()))
	if findings, err := compared(t, s, s.labor, stack.Police); err != nil || findings[id].Result != receipt.Matched {
		t.Fatalf("%+v, %v", findings[id], err)
	}
	reconciled(v1alpha1.ReasonLogsAgree)
}
