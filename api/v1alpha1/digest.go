package v1alpha1

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/gowebpki/jcs"
)

// DigestPrefix names the hash of a digest: SHA-256 over the RFC 8785 canonical form, in base64url without padding.
const DigestPrefix = "sha256:"

// Digest of the terms. Equal terms have one digest, whatever their spelling: members in any order, times in any zone, and
// lists that are sets in any order.
func (t *AgreementTerms) Digest() (string, error) { return digestOf(t.Sorted()) }

// Digest of the schema; agreements pin it.
func (s *ExchangeSchemaSpec) Digest() (string, error) {
	c := s.DeepCopy()
	byCode := func(a, b CodeDisplay) int { return strings.Compare(a.Code, b.Code) }
	for i := range c.Fields {
		slices.Sort(c.Fields[i].Codes)
		slices.SortFunc(c.Fields[i].Displays, byCode)
		for j := range c.Fields[i].Fields {
			slices.Sort(c.Fields[i].Fields[j].Codes)
			slices.SortFunc(c.Fields[i].Fields[j].Displays, byCode)
		}
	}
	return digestOf(c)
}

// Digest of the task force; agreements pin it. The order of members means nothing.
func (s *TaskForceSpec) Digest() (string, error) {
	c := s.DeepCopy()
	slices.SortFunc(c.Members, func(a, b TaskForceMember) int { return strings.Compare(a.Agency, b.Agency) })
	return digestOf(c)
}

func digestOf(v any) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encoding for the digest: %w", err)
	}
	canonical, err := jcs.Transform(plain)
	if err != nil {
		return "", fmt.Errorf("canonical form (RFC 8785): %w", err)
	}
	sum := sha256.Sum256(canonical)
	return DigestPrefix + base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// Sorted is a copy of the terms with the lists that are sets in order: terms that mean the same differ in nothing then.
func (t *AgreementTerms) Sorted() *AgreementTerms {
	c := t.DeepCopy()
	c.canonicalise()
	return c
}

// canonicalise sorts the lists that are sets (their order means nothing) and leaves the others alone.
func (t *AgreementTerms) canonicalise() {
	slices.Sort(t.Profiles)
	for i := range t.Parties {
		slices.Sort(t.Parties[i].Roles)
	}
	for i := range t.Clauses {
		c := &t.Clauses[i]
		slices.Sort(c.Purposes)
		slices.Sort(c.Fields)
		slices.Sort(c.FilterFields)
		if c.Conditions != nil {
			slices.Sort(c.Conditions.SubjectRoles)
			slices.Sort(c.Conditions.Jurisdictions)
		}
	}
}
