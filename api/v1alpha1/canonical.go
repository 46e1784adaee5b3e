package v1alpha1

import (
	"encoding/json"
	"fmt"

	"github.com/gowebpki/jcs"
)

// Canonical form of the terms (RFC 8785, with the lists that are sets sorted): the bytes whose SHA-256 is Digest.
func (t *AgreementTerms) Canonical() ([]byte, error) {
	plain, err := json.Marshal(t.Sorted())
	if err != nil {
		return nil, fmt.Errorf("encoding the canonical form: %w", err)
	}
	canonical, err := jcs.Transform(plain)
	if err != nil {
		return nil, fmt.Errorf("canonical form (RFC 8785): %w", err)
	}
	return canonical, nil
}
