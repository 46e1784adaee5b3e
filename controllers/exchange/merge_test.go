package exchange

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/controllers/signature"
)

type testSigner struct{ key ed25519.PrivateKey }

func (testSigner) Current(context.Context) (keys.Key, error) {
	return keys.Key{ID: "1", Algorithm: signature.EdDSA}, nil
}

func (s testSigner) Sign(_ context.Context, _ keys.Key, input []byte) ([]byte, error) {
	return ed25519.Sign(s.key, input), nil
}

func (testSigner) Public(context.Context) (*v1alpha1.KeySet, error) {
	return nil, errors.New("not needed")
}

var (
	these = v1alpha1.DigestPrefix + strings.Repeat("A", 43)
	those = v1alpha1.DigestPrefix + strings.Repeat("B", 43)
)

// said makes a statement from "police Suspend 3", "police Attest:report 3", or "police Accept 3 those" over other terms.
func said(t testing.TB, text string) v1alpha1.AgreementStatement {
	t.Helper()
	var agency, decision string
	var second int64
	if _, err := fmt.Sscanf(text, "%s %s %d", &agency, &decision, &second); err != nil {
		t.Fatal(err)
	}
	decision, duty, _ := strings.Cut(decision, ":")
	digest := these
	if strings.HasSuffix(text, "those") {
		digest = those
	}
	at := time.Unix(1_700_000_000+second, 0).UTC()
	jws, err := signature.SignStatement(t.Context(), testSigner{ed25519.NewKeyFromSeed(make([]byte, 32))}, signature.Claims{
		Digest: digest, Decision: v1alpha1.Decision(decision), Duty: duty, Agency: agency, DecidedAt: at,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v1alpha1.AgreementStatement{Agency: agency, Decision: v1alpha1.Decision(decision), Duty: duty, DecidedAt: metav1.NewTime(at), JWS: jws}
}

// TestMerge: of each party the latest vote and the latest of the rest; what stops prevails at the same instant; Terminate is final.
func TestMerge(t *testing.T) {
	const known = "known"
	for _, c := range []struct{ have, next, want string }{
		{"", "police Accept 1", "police Accept 1"},
		{"police Accept 1", "police Accept 1", known},
		{"police Accept 1", "police Accept 2", "police Accept 2"},
		{"police Accept 2", "police Accept 1", "STALE"},
		{"police Accept 1", "police Reject 1", "police Reject 1"},
		{"police Reject 1", "police Accept 1", "STALE"},
		{"police Reject 1", "police Accept 2", "police Accept 2"},
		{"police Accept 1", "police Suspend 2", "police Accept 1, police Suspend 2"},
		{"police Suspend 2", "police Accept 1", "police Suspend 2, police Accept 1"},
		{"police Suspend 2", "police Resume 2", "STALE"},
		{"police Suspend 2", "police Resume 3", "police Resume 3"},
		{"police Resume 3", "police Suspend 3", "police Suspend 3"},
		{"police Resume 3", "police Suspend 2", "STALE"},
		{"police Resume 3", "police Terminate 2", "police Terminate 2"},
		{"police Terminate 2", "police Resume 9", "FINAL"},
		{"police Terminate 2", "police Suspend 9", "FINAL"},
		{"police Terminate 2", "police Terminate 2", known},
		{"police Terminate 2", "police Reject 9", "police Terminate 2, police Reject 9"},
		{"police Suspend 2", "border Resume 9", "police Suspend 2, border Resume 9"},
		{"police Terminate 2", "police Attest:destruction 9", "police Terminate 2, police Attest:destruction 9"},
		{"police Attest:report 2", "police Attest:training 1", "police Attest:report 2, police Attest:training 1"},
		{"police Attest:report 2", "police Attest:report 9", "police Attest:report 9"},
		{"police Attest:report 2", "police Attest:report 1", "STALE"},
		{"police Attest:report 2", "police Attest:report 2", known},
		{"police Attest:report 9", "police Suspend 2", "police Attest:report 9, police Suspend 2"},
		{"police Accept 5 those", "police Accept 1", "police Accept 1"},
	} {
		var have []v1alpha1.AgreementStatement
		if c.have != "" {
			have = append(have, said(t, c.have))
		}
		before := show(have)
		got, refusal := merge(have, said(t, c.next), these)
		text := show(got)
		switch {
		case refusal != nil:
			text = string(refusal.Reason)
		case got == nil:
			text = known
		}
		if text != c.want {
			t.Errorf("%q and then %q: %s, want %s", c.have, c.next, text, c.want)
		}
		if show(have) != before {
			t.Errorf("%q and then %q: changed what was there", c.have, c.next)
		}
	}
}

// TestMergeOrder: whatever order a party's statements arrive in, the same ones are kept.
func TestMergeOrder(t *testing.T) {
	all := []string{"police Accept 1", "police Reject 2", "police Accept 3", "police Suspend 4", "police Resume 4", "police Resume 5", "police Suspend 5"}
	want := map[string]bool{"police Accept 3": true, "police Suspend 5": true}
	for shift := range all {
		for step := 1; step < len(all); step++ {
			var have []v1alpha1.AgreementStatement
			for i := range all {
				if next, _ := merge(have, said(t, all[(shift+i*step)%len(all)]), these); next != nil {
					have = next
				}
			}
			if len(have) != 2 || !want[show(have[:1])] || !want[show(have[1:])] {
				t.Errorf("shift %d, step %d: %s", shift, step, show(have))
			}
		}
	}
}

func show(statements []v1alpha1.AgreementStatement) string {
	var out []string
	for _, s := range statements {
		out = append(out, fmt.Sprintf("%s %s %d", s.Agency, strings.TrimSuffix(string(s.Decision)+":"+s.Duty, ":"), s.DecidedAt.Unix()-1_700_000_000))
	}
	return strings.Join(out, ", ")
}

// TestSaid: the signature is the vote until a later statement takes its place, and statements over other terms are none.
func TestSaid(t *testing.T) {
	a := &v1alpha1.SharingAgreement{}
	a.Status.Digest = these
	accept := said(t, "labor Accept 1")
	a.Status.Signatures = []v1alpha1.AgreementSignature{{Agency: "labor", JWS: accept.JWS}, {Agency: "police", JWS: said(t, "police Accept 9").JWS}}
	for _, c := range []struct {
		statements []string
		want       string
	}{
		{nil, "labor Accept 1"},
		{[]string{"labor Suspend 2"}, "labor Accept 1, labor Suspend 2"},
		{[]string{"labor Reject 2", "labor Resume 3"}, "labor Reject 2, labor Resume 3"},
		{[]string{"labor Accept 4"}, "labor Accept 4"},
		{[]string{"labor Terminate 4 those"}, "labor Accept 1"},
		{[]string{"labor Suspend 2", "labor Attest:report 3", "labor Attest:training 1"}, "labor Attest:report 3, labor Attest:training 1, labor Accept 1, labor Suspend 2"},
		{[]string{"labor Attest:report 3 those"}, "labor Accept 1"},
	} {
		a.Status.Statements = nil
		for _, s := range c.statements {
			a.Status.Statements = append(a.Status.Statements, said(t, s))
		}
		if got := show(Said(a, "labor")); got != c.want {
			t.Errorf("%v: %s, want %s", c.statements, got, c.want)
		}
	}
}

// TestRefusalTravels: every reason has a code, and arrives as it was sent.
func TestRefusalTravels(t *testing.T) {
	for reason, code := range statusCodes {
		r := refuse(reason, "because %s", strings.Repeat("x", 5000))
		s := r.GRPCStatus()
		if s.Code() != code || ReasonOf(s.Err()) != reason || len(s.Message()) > maxRefusal+10 {
			t.Errorf("%s: %v, %q, %d bytes", reason, s.Code(), ReasonOf(s.Err()), len(s.Message()))
		}
	}
	if ReasonOf(nil) != "" || ReasonOf(errors.New("other")) != "" {
		t.Error("a reason from nowhere")
	}
}
