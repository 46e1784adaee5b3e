package words

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/signature"
)

// Signature is what the signatures of one party on an agreement come to.
type Signature struct {
	Agency string `json:"agency"`
	// KeyID and DecidedAt are what the signature says; verified only when Valid.
	KeyID     string     `json:"keyID,omitempty"`
	DecidedAt *time.Time `json:"decidedAt,omitempty"`
	Valid     bool       `json:"valid"`
	// Problem is why it is not valid, with the next step.
	Problem string `json:"problem,omitempty"`
}

// Signatures verifies each party's signature on exactly these terms, in the order of the terms, against the agencies as
// they are known here. An agency's name alone is not its identity: its trust domain must be the one that the terms name.
func Signatures(a *v1alpha1.SharingAgreement, agencies map[string]*v1alpha1.Agency) ([]Signature, error) {
	digest, err := a.Spec.Terms.Digest()
	if err != nil {
		return nil, err
	}
	out := make([]Signature, len(a.Spec.Terms.Parties))
	for i, p := range a.Spec.Terms.Parties {
		out[i] = partySignature(a, &p, agencies[p.Agency], digest)
	}
	return out, nil
}

func partySignature(a *v1alpha1.SharingAgreement, p *v1alpha1.Party, agency *v1alpha1.Agency, digest string) Signature {
	best := Signature{Agency: plain(p.Agency), Problem: "there is no signature of it: `entente agreement signature export` prints one there"}
	found := false
	for _, s := range slices.Concat(a.Spec.Signatures, a.Status.Signatures) {
		if s.Agency != p.Agency {
			continue
		}
		checked := checkSignature(s, p, agency, digest)
		if checked.Valid {
			return checked
		}
		if !found {
			best, found = checked, true
		}
	}
	return best
}

func checkSignature(s v1alpha1.AgreementSignature, p *v1alpha1.Party, agency *v1alpha1.Agency, digest string) Signature {
	out := Signature{Agency: plain(p.Agency)}
	out.KeyID, out.DecidedAt = said(s.JWS)
	if agency == nil {
		out.Problem = "there is no Agency of that name to verify it against: give what `entente agency export` prints there"
		return out
	}
	if agency.Spec.TrustDomain != p.TrustDomain {
		out.Problem = fmt.Sprintf("the terms name trust domain %q, the Agency has %q: it is not the party that they name", p.TrustDomain, agency.Spec.TrustDomain)
		return out
	}
	claims, err := signature.Verify(s.JWS, p.Agency, keysOf(agency))
	switch {
	case err == nil && claims.Digest == digest:
		out.Valid = true
	case err == nil:
		out.Problem = fmt.Sprintf("it is over other terms (%s): ask for one over these (%s)", claims.Digest, digest)
	case errors.Is(err, signature.ErrUnknownKey):
		out.Problem = plain(err.Error()) + ": get its Agency anew with `entente agency export`"
	default:
		out.Problem = plain(err.Error())
	}
	return out
}

// keysOf are the keys that verify an agency's signatures: what a peer published of itself is in spec, what an operator
// publishes of its own agency in status.
func keysOf(a *v1alpha1.Agency) *v1alpha1.KeySet {
	if a.Status.Local && a.Status.SigningKeys != nil {
		return a.Status.SigningKeys
	}
	return a.Spec.SigningKeys
}

// said reads what a signature says of itself, for people to read; it proves nothing.
func said(jws string) (kid string, decidedAt *time.Time) {
	parts := strings.Split(jws, ".")
	if len(jws) > signature.MaxSize || len(parts) != 3 {
		return "", nil
	}
	var header struct {
		KeyID string `json:"kid"`
	}
	var claims struct {
		DecidedAt time.Time `json:"decidedAt"`
	}
	decode := func(part string, into any) bool {
		text, err := base64.RawURLEncoding.DecodeString(part)
		return err == nil && json.Unmarshal(text, into) == nil
	}
	if decode(parts[0], &header) {
		kid = plain(header.KeyID)
	}
	if decode(parts[1], &claims) && !claims.DecidedAt.IsZero() {
		decidedAt = &claims.DecidedAt
	}
	return kid, decidedAt
}
