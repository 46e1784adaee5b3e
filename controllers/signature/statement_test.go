package signature

import (
	"errors"
	"fmt"
	"testing"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// TestStatements: every decision can be stated, and only an Accept passes for a signature.
func TestStatements(t *testing.T) {
	for _, decision := range decisions {
		c := claims
		if c.Decision = decision; decision == v1alpha1.DecisionAttest {
			c.Duty = "access-review"
		}
		for _, s := range both {
			jws, err := SignStatement(t.Context(), s, c)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := VerifyStatement(jws, agency, set(both...)); err != nil || got != c {
				t.Errorf("%s: %+v, %v", decision, got, err)
			}
			if got, err := Read(jws); err != nil || got != c {
				t.Errorf("%s: read %+v, %v", decision, got, err)
			}
			got, err := Verify(jws, agency, set(both...))
			if accept := decision == v1alpha1.DecisionAccept; accept != (err == nil) || !accept && (!errors.Is(err, ErrClaims) || got != Claims{}) {
				t.Errorf("%s as a signature: %+v, %v", decision, got, err)
			}
			if _, err := VerifyStatement(jws, "border-service", set(both...)); !errors.Is(err, ErrClaims) {
				t.Errorf("%s of another agency: %v", decision, err)
			}
		}
	}
	c := claims
	c.Decision = "Extend"
	if _, err := SignStatement(t.Context(), both[0], c); !errors.Is(err, ErrClaims) {
		t.Errorf("unknown decision: %v", err)
	}
}

// TestAttestNamesADuty: one, and nothing else does.
func TestAttestNamesADuty(t *testing.T) {
	c := claims
	for _, bad := range []Claims{
		{Decision: v1alpha1.DecisionAttest},
		{Decision: v1alpha1.DecisionAttest, Duty: "Not A Name"},
		{Decision: v1alpha1.DecisionAccept, Duty: "access-review"},
		{Decision: v1alpha1.DecisionSuspend, Duty: "access-review"},
	} {
		c.Decision, c.Duty = bad.Decision, bad.Duty
		if _, err := SignStatement(t.Context(), both[0], c); !errors.Is(err, ErrClaims) {
			t.Errorf("%s of %q: %v", c.Decision, c.Duty, err)
		}
	}
	body := `{"agency":"state-police","decidedAt":"2026-03-01T00:00:00Z","decision":"%s","digest":"` + digest + `","duty":%s}`
	for _, bad := range [][2]any{{"Accept", `""`}, {"Attest", `""`}, {"Attest", `null`}, {"Attest", `1`}} {
		if got, err := decodeClaims(fmt.Appendf(nil, body, bad[0], bad[1])); err == nil {
			t.Errorf("%s with duty %s: %+v", bad[0], bad[1], got)
		}
	}
	if got, err := decodeClaims(fmt.Appendf(nil, body, "Attest", `"access-review"`)); err != nil || got.Duty != "access-review" {
		t.Errorf("%+v, %v", got, err)
	}
}
