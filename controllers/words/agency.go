package words

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/signature"
)

// fingerprint is that of something of an agency that is believed once it is applied: an authority or a signing key.
type fingerprint struct {
	what, name string
	sum        []byte // SHA-256
}

// AgencyFingerprints describes what an agency publishes of itself, with the fingerprints of what it asks others to believe, in a form to read out
// by telephone: SHA-256 of each authority's certificate (DER), and of each signing key's members as RFC 7638 orders them.
func AgencyFingerprints(a *v1alpha1.Agency) (string, error) {
	prints, err := fingerprintsOf(&a.Spec)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n", plain(a.Name))
	for _, f := range agencyFields(&a.Spec) {
		fmt.Fprintf(&out, "  %-15s %s\n", f.what, f.name)
	}
	for _, p := range prints {
		fmt.Fprintf(&out, "  %-15s %s\n", p.what, p.name)
		for _, line := range spoken(p.sum) {
			fmt.Fprintf(&out, "  %-15s %s\n", "", line)
		}
	}
	return out.String(), nil
}

// AgencyChanges says what applying after in the place of before changes, a line each; before may be nil. The order of keys says nothing.
func AgencyChanges(before, after *v1alpha1.Agency) ([]string, error) {
	if before == nil {
		return []string{"+ a peer that is new here"}, nil
	}
	var lines []string
	old, now := agencyFields(&before.Spec), agencyFields(&after.Spec)
	for i := range now {
		if old[i] != now[i] {
			lines = append(lines, fmt.Sprintf("~ %s: %s instead of %s", now[i].what, now[i].name, old[i].name))
		}
	}
	had, err := fingerprintsOf(&before.Spec)
	if err != nil {
		had = nil // what is applied cannot be read: all of it is replaced
		lines = append(lines, "~ what is applied here does not parse, and is replaced")
	}
	has, err := fingerprintsOf(&after.Spec)
	if err != nil {
		return nil, err
	}
	for _, p := range has {
		if !slices.ContainsFunc(had, p.same) {
			lines = append(lines, "+ "+p.what+" "+p.name)
		}
	}
	for _, p := range had {
		if !slices.ContainsFunc(has, p.same) {
			lines = append(lines, "- "+p.what+" "+p.name+map[string]string{
				anAuthority: ": who has a certificate of it is a stranger from then on",
				aSigningKey: ": what it signed is not verifiable any more",
			}[p.what])
		}
	}
	return lines, nil
}

const (
	anAuthority = "authority"
	aSigningKey = "signing key"
)

func (p fingerprint) same(other fingerprint) bool {
	return p.what == other.what && p.name == other.name && bytes.Equal(p.sum, other.sum)
}

type agencyField struct{ what, name string }

func agencyFields(s *v1alpha1.AgencySpec) []agencyField {
	orNone := func(text string) string {
		if text = plain(text); text == "" {
			return "none"
		}
		return text
	}
	return []agencyField{
		{"display name", orNone(s.DisplayName)},
		{"postal address", orNone(s.PostalAddress)},
		{"trust domain", orNone(s.TrustDomain)},
		{"jurisdictions", orNone(strings.Join(sorted(s.Jurisdictions), ", "))},
		{"gateway", orNone(s.Endpoints.Gateway)},
		{"exchange", orNone(s.Endpoints.Exchange)},
	}
}

func fingerprintsOf(s *v1alpha1.AgencySpec) ([]fingerprint, error) {
	var prints []fingerprint
	for rest := []byte(s.TrustBundle); ; {
		block, next := pem.Decode(rest)
		if block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("trust bundle: certificate %d does not parse", len(prints)+1)
		}
		sum := sha256.Sum256(certificate.Raw)
		prints = append(prints, fingerprint{anAuthority, fmt.Sprintf("%s, until %s", plain(certificate.Subject.String()), when(certificate.NotAfter)), sum[:]})
		rest = next
	}
	if s.SigningKeys == nil {
		return prints, nil
	}
	for _, k := range s.SigningKeys.Keys {
		public, err := signature.PublicKey(k)
		if err != nil {
			return nil, fmt.Errorf("signing key %q: %w", k.KeyID, err)
		}
		sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("signing key %q: %w", k.KeyID, err)
		}
		prints = append(prints, fingerprint{aSigningKey, fmt.Sprintf("%s (%s)", plain(k.KeyID), k.Algorithm), sum})
	}
	return prints, nil
}

// spoken writes a digest in two lines of eight groups of four digits.
func spoken(sum []byte) []string {
	digits := hex.EncodeToString(sum)
	var lines []string
	for line := range slices.Chunk([]byte(digits), 32) {
		var groups []string
		for group := range slices.Chunk(line, 4) {
			groups = append(groups, string(group))
		}
		lines = append(lines, strings.Join(groups, " "))
	}
	return lines
}
