package gitops

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/hack/testenv"
)

// compiled are conditions as package compile's golden files write them.
var compiled = regexp.MustCompile(`(?s)^(\w+)=(\w+) (\w+) \(since [^,]+, generation (\d+)\): (.*)$`)

func condition(kind, state, reason, message string, generation int64) any {
	return map[string]any{"type": kind, "status": state, "reason": reason, "message": message, "observedGeneration": generation}
}

func object(kind, state string, generation int64, conditions ...any) *unstructured.Unstructured {
	o := map[string]any{
		"apiVersion": "entente.dev/v1alpha1", "kind": kind, "metadata": map[string]any{"name": "x", "generation": generation},
		"status": map[string]any{"conditions": conditions},
	}
	if state != "" {
		o["status"].(map[string]any)["state"] = state
	}
	return &unstructured.Unstructured{Object: o}
}

func health(t *testing.T, o *unstructured.Unstructured) (argo, flux string) {
	t.Helper()
	a, err := ReadArgo()
	if err != nil {
		t.Fatal(err)
	}
	f, err := ReadFlux()
	if err != nil {
		t.Fatal(err)
	}
	argo, message, err := a.Health(o)
	if err != nil {
		t.Fatal(err)
	}
	if argo != "Healthy" && message == "" {
		t.Errorf("%s without a word: %v", argo, o.Object["status"])
	}
	if flux, err = f.Health(o); err != nil {
		flux = "error"
	}
	return argo, flux
}

// golden are all that compile says of agreements in its golden files.
func golden(t *testing.T) (out []*unstructured.Unstructured) {
	t.Helper()
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "controllers/compile/testdata/*.out.yaml"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for d := yaml.NewYAMLOrJSONDecoder(f, 4096); ; {
			var step struct {
				Versions []struct {
					Name, State string
					Conditions  []string
				}
			}
			if err := d.Decode(&step); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(name, err)
			}
			for _, v := range step.Versions {
				var conditions []any
				for _, c := range v.Conditions {
					m := compiled.FindStringSubmatch(c)
					if m == nil {
						t.Fatalf("%s: %q", name, c)
					}
					generation, _ := strconv.ParseInt(m[4], 10, 64)
					conditions = append(conditions, condition(m[1], m[2], m[3], m[5], generation))
				}
				o := object("SharingAgreement", v.State, 1, conditions...)
				o.SetName(filepath.Base(name) + " " + v.Name)
				out = append(out, o)
			}
		}
	}
	return out
}

// TestEveryState: of every agreement in compile's golden files, whatever its state, both say what that state means.
func TestEveryState(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range golden(t) {
		state, _, _ := unstructured.NestedString(o.Object, "status", "state")
		conditions := map[string][2]string{}
		list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		for _, c := range list {
			m := c.(map[string]any)
			conditions[m["type"].(string)] = [2]string{m["status"].(string), m["reason"].(string)}
		}
		argo, flux := health(t, o)
		seen[state] = true
		wantArgo, wantFlux := "", ""
		switch v1alpha1.AgreementState(state) {
		case v1alpha1.StateInForce: // whose credentials and gateways compile does not know of
			wantArgo, wantFlux = "Progressing", "InProgress"
			if conditions["Suspended"][0] == "True" {
				wantArgo = "Suspended"
			}
		case v1alpha1.StateTerminated, v1alpha1.StateSuperseded, v1alpha1.StateExpired:
			wantArgo, wantFlux = "Healthy", "Current"
		case v1alpha1.StateRejected:
			wantArgo, wantFlux = "Degraded", "Failed"
		default:
			wantArgo, wantFlux = "Suspended", "Current" // people, or a day
			if conditions["Signed"][1] == v1alpha1.ReasonInvalidSignature {
				wantArgo, wantFlux = "Degraded", "Failed"
			}
		}
		if conditions["Accepted"][0] == "False" || conditions["ResolvedRefs"][0] == "False" {
			wantArgo, wantFlux = "Degraded", "Failed"
		}
		if argo != wantArgo || flux != wantFlux {
			t.Errorf("%s, %s: Argo CD says %s, want %s; Flux %s, want %s: %v", o.GetName(), state, argo, wantArgo, flux, wantFlux, conditions)
		}
	}
	for _, s := range []v1alpha1.AgreementState{
		v1alpha1.StateRejected, v1alpha1.StateProposed, v1alpha1.StateSigned, v1alpha1.StateInForce, v1alpha1.StateSuspended, v1alpha1.StateTerminated,
		v1alpha1.StateSuperseded, v1alpha1.StateExpired,
	} {
		if !seen[string(s)] {
			t.Errorf("no golden file has the state %s", s)
		}
	}
}

// TestProgress: an agreement in force is healthy when what others observe of it is so as well; and nothing is healthy in a generation
// that the operator has not seen.
func TestProgress(t *testing.T) {
	understood := []any{condition("Accepted", "True", "Accepted", "m", 1), condition("ResolvedRefs", "True", "Resolved", "m", 1), condition("Signed", "True", "Signed", "m", 1), condition("InForce", "True", "InForce", "m", 1)}
	with := func(more ...any) []any { return append(slices.Clone(understood), more...) }
	for name, c := range map[string]struct {
		o          *unstructured.Unstructured
		argo, flux string
	}{
		"enforced":              {object("SharingAgreement", "InForce", 1, with(condition("CredentialsReady", "True", "Ready", "m", 1), condition("Programmed", "True", "Programmed", "m", 1))...), "Healthy", "Current"},
		"another generation":    {object("SharingAgreement", "InForce", 2, with(condition("CredentialsReady", "True", "Ready", "m", 1), condition("Programmed", "True", "Programmed", "m", 1))...), "Progressing", "InProgress"},
		"credentials pending":   {object("SharingAgreement", "InForce", 1, with(condition("CredentialsReady", "False", "Pending", "m", 1))...), "Progressing", "InProgress"},
		"Vault away":            {object("SharingAgreement", "InForce", 1, with(condition("CredentialsReady", "False", "VaultUnavailable", "m", 1))...), "Degraded", "InProgress"},
		"a gateway is behind":   {object("SharingAgreement", "InForce", 1, with(condition("CredentialsReady", "True", "Ready", "m", 1), condition("Programmed", "False", "Pending", "m", 1))...), "Progressing", "InProgress"},
		"a gateway refuses":     {object("SharingAgreement", "InForce", 1, with(condition("CredentialsReady", "True", "Ready", "m", 1), condition("Programmed", "False", "RouteRejected", "m", 1))...), "Degraded", "InProgress"},
		"dataset":               {object("Dataset", "", 1, condition("Accepted", "True", "a", "m", 1), condition("ResolvedRefs", "True", "a", "m", 1), condition("SourceReachable", "True", "a", "m", 1)), "Healthy", "Current"},
		"dataset, not read yet": {object("Dataset", "", 1, condition("Accepted", "True", "a", "m", 1), condition("ResolvedRefs", "True", "a", "m", 1), condition("SourceReachable", "Unknown", "Pending", "m", 1)), "Progressing", "InProgress"},
		"dataset, source away":  {object("Dataset", "", 1, condition("Accepted", "True", "a", "m", 1), condition("ResolvedRefs", "True", "a", "m", 1), condition("SourceReachable", "False", "a", "m", 1)), "Degraded", "Failed"},
		"dataset, old":          {object("Dataset", "", 2, condition("Accepted", "True", "a", "m", 1)), "Progressing", "InProgress"},
		"agency":                {object("Agency", "", 1, condition("Accepted", "True", "a", "m", 1), condition("ClockSkew", "True", "BeyondBound", "m", 1)), "Healthy", "Current"},
		"agency, refused":       {object("Agency", "", 1, condition("Accepted", "False", "UnknownField", "m", 1)), "Degraded", "Failed"},
		"schema":                {object("ExchangeSchema", "", 1, condition("Accepted", "True", "a", "m", 1)), "Healthy", "Current"},
		"profile":               {object("AgreementProfile", "", 1, condition("Accepted", "True", "a", "m", 1)), "Healthy", "Current"},
		"task force":            {object("TaskForce", "", 1, condition("Accepted", "True", "a", "m", 1)), "Healthy", "Current"},
	} {
		argo, flux := health(t, c.o)
		if argo != c.argo || flux != c.flux {
			t.Errorf("%s: Argo CD says %s, want %s; Flux %s, want %s", name, argo, c.argo, flux, c.flux)
		}
	}
	bare := &unstructured.Unstructured{Object: map[string]any{"kind": "SharingAgreement", "metadata": map[string]any{"generation": int64(1)}}}
	if argo, flux := health(t, bare); argo != "Progressing" || flux != "error" {
		t.Errorf("without a status: Argo CD says %s; Flux %s", argo, flux)
	}
}

// TestKstatusNeedsTheRules: by kstatus alone (kpt, Flux without expressions) an agreement that nobody understands is current: it knows
// conditions named Ready, Reconciling and Stalled. That is why there are rules.
func TestKstatusNeedsTheRules(t *testing.T) {
	for name, o := range map[string]*unstructured.Unstructured{
		"refused":  object("SharingAgreement", "", 1, condition("Accepted", "False", "UnknownField", "m", 1)),
		"enforced": object("SharingAgreement", "InForce", 1, condition("Programmed", "True", "Programmed", "m", 1)),
	} {
		r, err := status.Compute(o)
		if err != nil || r.Status != status.CurrentStatus {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	gone := object("SharingAgreement", "InForce", 1, condition("Programmed", "True", "Programmed", "m", 1))
	gone.Object["metadata"].(map[string]any)["deletionTimestamp"] = "2026-01-01T00:00:00Z"
	if r, err := status.Compute(gone); err != nil || r.Status != status.TerminatingStatus {
		t.Errorf("being deleted: %v, %v", r, err)
	}
}

// TestEveryKindHasARule that has conditions.
func TestEveryKindHasARule(t *testing.T) {
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	argo, err := ReadArgo()
	if err != nil {
		t.Fatal(err)
	}
	flux, err := ReadFlux()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "config/crd/entente.dev_*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), "observedGeneration") {
			continue
		}
		kind := regexp.MustCompile(`(?m)^    kind: (\w+)$`).FindStringSubmatch(string(data))[1]
		n++
		if argo[kind] == "" || flux[kind].Current == "" {
			t.Errorf("no rule for %s", kind)
		}
	}
	if n != len(argo) || n != len(flux) {
		t.Errorf("%d kinds have conditions; %d rules for Argo CD, %d for Flux", n, len(argo), len(flux))
	}
}
