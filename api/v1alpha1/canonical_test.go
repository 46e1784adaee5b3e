package v1alpha1

import (
	"crypto/sha256"
	"encoding/base64"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestCanonicalIsWhatTheDigestIsOf: whoever has the canonical form can compute the digest with any tool.
func TestCanonicalIsWhatTheDigestIsOf(t *testing.T) {
	zone := time.FixedZone("", 7200)
	terms := AgreementTerms{
		ID: "anvil", Version: 1, Title: "Ä & <b>",
		Term:    Term{NotBefore: metav1.NewTime(time.Date(2026, 1, 1, 2, 0, 0, 0, zone))},
		Clauses: []Clause{{Name: "wages", Fields: []string{"wage", "employer"}}},
	}
	canonical, err := terms.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := terms.Digest()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(canonical)
	if got := DigestPrefix + base64.RawURLEncoding.EncodeToString(sum[:]); got != digest {
		t.Errorf("SHA-256 of the canonical form is %s, the digest %s", got, digest)
	}
	if terms.Clauses[0].Fields[0] != "wage" {
		t.Error("the terms were changed")
	}
}
