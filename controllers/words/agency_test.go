package words

import (
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// border is the border service of the samples.
func border(t *testing.T) *v1alpha1.Agency {
	t.Helper()
	text, err := os.ReadFile("../../config/samples/peers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range strings.Split(string(text), "\n---\n") {
		a := &v1alpha1.Agency{}
		if err := yaml.UnmarshalStrict([]byte(document), a); err != nil {
			t.Fatal(err)
		}
		if a.Name == "border-service" {
			return a
		}
	}
	t.Fatal("not among the samples")
	return nil
}

// TestAgencyFingerprints: the fingerprints are those that openssl and RFC 7638's own example give.
func TestAgencyFingerprints(t *testing.T) {
	a := border(t)
	// RFC 8037, appendix A.3: the thumbprint of the key of appendix A.2, kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k.
	a.Spec.SigningKeys.Keys = []v1alpha1.JSONWebKey{{
		KeyID: "k\x1b[2J1", KeyType: "OKP", Curve: "Ed25519", Algorithm: "EdDSA", X: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
	}}
	text, err := AgencyFingerprints(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"border-service\n", "  trust domain    border.nation.example\n",
		// openssl x509 -noout -fingerprint -sha256, of the certificate in config/samples/peers.yaml.
		"  authority       CN=Border Service authority, until 2036-11-20T23:03:23Z\n" +
			"                  b68e 436c 370a 3f24 e40a 4c79 58d2 aa0e\n" +
			"                  905c 8567 ba08 8adb 6faf 6b0d 17b5 02c3\n",
		"  signing key     k�[2J1 (EdDSA)\n" +
			"                  90fa cafe a9b1 5566 9854 0f70 c011 7a22\n" +
			"                  ea37 bd5c f3ed 3c47 093c 1707 282b 4b89\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// second is another key: that of RFC 8037, appendix A.
var second = v1alpha1.JSONWebKey{KeyID: "v2", KeyType: "OKP", Curve: "Ed25519", Algorithm: "EdDSA", X: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}

func TestAgencyChanges(t *testing.T) {
	a := border(t)
	for name, c := range map[string]struct {
		change func(*v1alpha1.AgencySpec)
		want   []string
	}{
		"nothing":    {func(*v1alpha1.AgencySpec) {}, nil},
		"moved":      {func(s *v1alpha1.AgencySpec) { s.Endpoints.Exchange = "other.example:9444" }, []string{"~ exchange: other.example:9444 instead of exchange.border.nation.example:9444"}},
		"a new key":  {func(s *v1alpha1.AgencySpec) { s.SigningKeys.Keys = append(s.SigningKeys.Keys, second) }, []string{"+ signing key v2 (EdDSA)"}},
		"no old key": {func(s *v1alpha1.AgencySpec) { s.SigningKeys.Keys[0] = second }, []string{"+ signing key v2 (EdDSA)", "- signing key border-service-agreements:v1 (ES256): what it signed"}},
		"no bundle":  {func(s *v1alpha1.AgencySpec) { s.TrustBundle = "" }, []string{"- authority CN="}},
	} {
		t.Run(name, func(t *testing.T) {
			after := a.DeepCopy()
			c.change(&after.Spec)
			lines, err := AgencyChanges(a, after)
			if err != nil || len(lines) != len(c.want) {
				t.Fatalf("%q %v", lines, err)
			}
			for i := range lines {
				if !strings.HasPrefix(lines[i], c.want[i]) {
					t.Errorf("%q, want %q", lines[i], c.want[i])
				}
			}
		})
	}
	if lines, err := AgencyChanges(nil, a); err != nil || len(lines) != 1 {
		t.Errorf("new: %q %v", lines, err)
	}
}
