package compile

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/signature"
)

// keysOf is the key set that verifies an agency's signatures: what a peer pinned in spec, what the operator published of
// the local agency in status.
func (c *compiler) keysOf(a *v1alpha1.Agency) *v1alpha1.KeySet {
	if a == nil {
		return nil
	}
	if a.Name == c.index.Self && a.Status.SigningKeys != nil {
		return a.Status.SigningKeys
	}
	return a.Spec.SigningKeys
}

// incomplete says what an agency lacks to be a party; empty: nothing.
func (c *compiler) incomplete(a *v1alpha1.Agency) string {
	if a.Name == c.index.Self {
		return localIncomplete(a)
	}
	if err, ok := c.peers[a.Name]; ok {
		return text(err)
	}
	err := peerIncomplete(a)
	c.peers[a.Name] = err
	return text(err)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func localIncomplete(a *v1alpha1.Agency) string {
	const waits = "waits for the operator to publish its own %s in status: see the operator's log when this lasts"
	switch {
	case a.Status.TrustBundle == "" && a.Spec.TrustBundle == "":
		return fmt.Sprintf(waits, "trust bundle")
	case a.Status.SigningKeys == nil && a.Spec.SigningKeys == nil:
		return fmt.Sprintf(waits, "signing keys")
	}
	return ""
}

// peerIncomplete says what a peer's Agency lacks, and the mend.
func peerIncomplete(a *v1alpha1.Agency) error {
	const mend = "apply what the agency prints with `entente agency export`"
	if err := checkBundle(a.Spec.TrustBundle); err != nil {
		return fmt.Errorf("has no usable spec.trustBundle (%w): %s", err, mend)
	}
	if a.Spec.SigningKeys == nil || len(a.Spec.SigningKeys.Keys) == 0 {
		return fmt.Errorf("has no spec.signingKeys: %s", mend)
	}
	if err := checkKeys(a.Spec.SigningKeys); err != nil {
		return fmt.Errorf("has no usable spec.signingKeys (%w): %s", err, mend)
	}
	return nil
}

// unreachable says which endpoint a source lacks, for a recipient that would query it; empty: none.
func unreachable(a *v1alpha1.Agency) string {
	const mend = "is the source of this clause and has no spec.endpoints.%s: apply what the agency prints with `entente agency export`"
	switch {
	case a.Spec.Endpoints.Gateway == "":
		return fmt.Sprintf(mend, "gateway")
	case a.Spec.Endpoints.Exchange == "":
		return fmt.Sprintf(mend, "exchange")
	}
	return ""
}

// checkBundle wants nothing but certificates of authorities: what else stands in a bundle is a mistake.
func checkBundle(bundle string) error {
	rest := []byte(strings.TrimSpace(bundle))
	if len(rest) == 0 {
		return errors.New("empty")
	}
	for n := 1; len(rest) > 0; n++ {
		block, next := pem.Decode(rest)
		if block == nil || block.Type != "CERTIFICATE" {
			return fmt.Errorf("block %d is not a PEM certificate", n)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("certificate %d does not parse", n)
		}
		if !certificate.IsCA {
			return fmt.Errorf("certificate %d is not that of an authority", n)
		}
		rest = next
	}
	return nil
}

func checkKeys(set *v1alpha1.KeySet) error {
	seen := map[string]bool{}
	for _, k := range set.Keys {
		if seen[k.KeyID] || k.KeyID == "" {
			return fmt.Errorf("key id %q is empty or stands twice", k.KeyID)
		}
		seen[k.KeyID] = true
		if _, err := signature.PublicKey(k); err != nil {
			return fmt.Errorf("key %q: %w", k.KeyID, err)
		}
	}
	return nil
}
