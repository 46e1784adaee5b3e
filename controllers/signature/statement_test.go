package signature

import (
	"errors"
	"testing"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// TestStatements: every decision can be stated, and only an Accept passes for a signature.
func TestStatements(t *testing.T) {
	for _, decision := range decisions {
		c := claims
		c.Decision = decision
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
