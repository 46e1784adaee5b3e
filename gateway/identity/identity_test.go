package identity

import "testing"

func TestParseAgreementID(t *testing.T) {
	id := AgreementID("a.example", "agr-1", "police")
	if a, r, ok := ParseAgreementID(id, "a.example"); !ok || a != "agr-1" || r != "police" {
		t.Errorf("%s %s %v", a, r, ok)
	}
	for _, bad := range []string{
		"", "spiffe://a.example/gateway", "spiffe://a.example.evil/agreement/x/recipient/y", "spiffe://b.example/agreement/x/recipient/y",
		id + "/", id + "/x", "spiffe://a.example/agreement//recipient/y", "spiffe://a.example/agreement/x/recipient/",
		"spiffe://a.example/agreement/x/source/y", "spiffe://a.example/x/agreement/x/recipient/y", "SPIFFE://a.example/agreement/x/recipient/y",
	} {
		if a, r, ok := ParseAgreementID(bad, "a.example"); ok {
			t.Errorf("%q: %s %s", bad, a, r)
		}
	}
}
