package charts

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/entente-dev/entente/hack/e2e/stack"
)

// printSizes measures what docs/operations/sizing.md quotes: the memory of processes that have little to do, and what one agreement of
// two clauses takes at the API server.
func printSizes(t *testing.T, s *stack.Stack) {
	for _, a := range s.Agencies {
		gateway, err := a.GatewayMetric(t.Context(), "process_resident_memory_bytes")
		if err != nil {
			t.Fatal(err)
		}
		operator, err := a.OperatorMetric(t.Context(), "process_resident_memory_bytes")
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: resident, gateway %.0f MiB, operator %.0f MiB", a.Name, gateway/(1<<20), operator/(1<<20))
	}
	for _, what := range []string{"sharingagreement/" + stack.Agreement, "gatewayroute/" + stack.AgreementID} {
		out, err := s.Kubectl(t.Context(), "get", "-n", stack.Police, what, "-o", "json", "--show-managed-fields")
		if err != nil {
			t.Fatal(err)
		}
		var compact strings.Builder
		var o any
		if err := json.Unmarshal([]byte(out), &o); err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(&compact).Encode(o); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes at the API server", what, compact.Len())
	}
}
