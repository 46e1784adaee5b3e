// Package signature makes and verifies the parties' signatures on agreements: compact JSON Web Signatures (RFC 7515) over
// what was decided of which terms, by whom and when.
//
// The format is kept narrow on purpose. A signature that one release made must verify in every later one, and two
// implementations must agree on what is valid: so there is exactly one spelling of the header, two algorithms, and no
// member that a verifier may ignore. The package is pure: it holds no private key and knows no clock.
package signature

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	kjson "sigs.k8s.io/json"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/keys"
)

const (
	// Type is the typ of the protected header: it keeps a signature over anything else from passing as one over an agreement.
	Type = "entente-agreement+jws"
	// Version is the version of the format, in the protected header.
	Version = 1
	// MaxSize is the longest JWS that is looked at, in bytes.
	MaxSize = 4096

	// ES256 is ECDSA over P-256 with SHA-256; EdDSA is Ed25519. There are no others.
	ES256 = "ES256"
	EdDSA = "EdDSA"
)

// Errors of Verify, for a caller that branches.
var (
	ErrMalformed  = errors.New("not a signature on an agreement")
	ErrUnknownKey = errors.New("unknown key")
	ErrSignature  = errors.New("signature does not verify")
	ErrClaims     = errors.New("claims refused")
)

// Claims are what an agency signs.
type Claims struct {
	// Digest of the terms.
	Digest string
	// Decision that was taken: Accept, but for a Statement.
	Decision v1alpha1.Decision
	// Duty that is attested; of an Attest only.
	Duty string
	// Agency that decided.
	Agency string
	// DecidedAt, to the second.
	DecidedAt time.Time
}

// header is the protected header, in the order in which it is written.
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
	Version   int    `json:"ver"`
}

// payload is Claims as it travels.
type payload struct {
	Agency    string            `json:"agency"`
	DecidedAt string            `json:"decidedAt"`
	Decision  v1alpha1.Decision `json:"decision"`
	Digest    string            `json:"digest"`
	// Duty is there in an Attest, and in nothing else.
	Duty *string `json:"duty,omitempty"`
}

// timeLayout is the only spelling of a time: UTC, whole seconds.
const timeLayout = "2006-01-02T15:04:05Z"

// encoding refuses stray bits at the end, so that a signature has one spelling.
var encoding = base64.RawURLEncoding.Strict()

// Sign makes the compact JWS over the claims with the agency's current key.
func Sign(ctx context.Context, signer keys.AgreementSigner, c Claims) (string, error) {
	if err := c.accepts(); err != nil {
		return "", fmt.Errorf("signing for agency %q: %w", c.Agency, err)
	}
	return SignStatement(ctx, signer, c)
}

// SignStatement is Sign of any decision.
func SignStatement(ctx context.Context, signer keys.AgreementSigner, c Claims) (string, error) {
	if err := c.check(); err != nil {
		return "", fmt.Errorf("signing for agency %q: %w", c.Agency, err)
	}
	key, err := signer.Current(ctx)
	if err != nil {
		return "", fmt.Errorf("current signing key: %w", err)
	}
	if key.Algorithm != ES256 && key.Algorithm != EdDSA {
		return "", fmt.Errorf("signing key %q: algorithm %q is not ES256 or EdDSA", key.ID, key.Algorithm)
	}
	input, err := signingInput(header{key.Algorithm, key.ID, Type, Version}, c)
	if err != nil {
		return "", err
	}
	raw, err := signer.Sign(ctx, key, []byte(input))
	if err != nil {
		return "", fmt.Errorf("signing with key %q: %w", key.ID, err)
	}
	if len(raw) != signatureSize {
		return "", fmt.Errorf("signing with key %q: %d bytes of signature, want %d (r‖s for ES256)", key.ID, len(raw), signatureSize)
	}
	jws := input + "." + encoding.EncodeToString(raw)
	if len(jws) > MaxSize {
		return "", fmt.Errorf("signing with key %q: the JWS has %d bytes, more than %d: shorten the key's id", key.ID, len(jws), MaxSize)
	}
	return jws, nil
}

// Verify checks that the JWS is an acceptance by the agency with one of its keys, and returns what it says. Whether the digest
// is that of the terms at hand is for the caller to compare.
func Verify(jws, agency string, set *v1alpha1.KeySet) (Claims, error) {
	c, err := VerifyStatement(jws, agency, set)
	if err != nil {
		return Claims{}, err
	}
	if err := c.accepts(); err != nil {
		return Claims{}, err
	}
	return c, nil
}

// VerifyStatement is Verify of any decision: the caller looks at which it is.
func VerifyStatement(jws, agency string, set *v1alpha1.KeySet) (Claims, error) {
	h, body, raw, err := split(jws)
	if err != nil {
		return Claims{}, err
	}
	key, err := find(set, h.KeyID)
	if err != nil {
		return Claims{}, err
	}
	if key.Algorithm != h.Algorithm {
		return Claims{}, fmt.Errorf("%w: header says alg %q, key %q is for %q", ErrSignature, h.Algorithm, h.KeyID, key.Algorithm)
	}
	public, err := PublicKey(key)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: key %q: %w", ErrUnknownKey, h.KeyID, err)
	}
	if !verifyRaw(public, []byte(jws[:strings.LastIndexByte(jws, '.')]), raw) {
		return Claims{}, fmt.Errorf("%w with key %q", ErrSignature, h.KeyID)
	}
	c, err := decodeClaims(body)
	if err != nil {
		return Claims{}, err
	}
	if c.Agency != agency {
		return Claims{}, fmt.Errorf("%w: signed as agency %q, not %q", ErrClaims, c.Agency, agency)
	}
	return c, nil
}

// Read says what a JWS claims, without verifying who made it: to find out what to verify it against, and to name it.
func Read(jws string) (Claims, error) {
	_, body, _, err := split(jws)
	if err != nil {
		return Claims{}, err
	}
	return decodeClaims(body)
}

func signingInput(h header, c Claims) (string, error) {
	head, err := json.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("encoding the header: %w", err)
	}
	p := payload{Agency: c.Agency, DecidedAt: c.DecidedAt.UTC().Format(timeLayout), Decision: c.Decision, Digest: c.Digest}
	if c.Decision == v1alpha1.DecisionAttest {
		p.Duty = &c.Duty
	}
	body, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("encoding the claims: %w", err)
	}
	return encoding.EncodeToString(head) + "." + encoding.EncodeToString(body), nil
}

// split takes the JWS apart and checks the header.
func split(jws string) (h header, body, raw []byte, err error) {
	if len(jws) > MaxSize {
		return h, nil, nil, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxSize)
	}
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return h, nil, nil, fmt.Errorf("%w: a compact JWS has three parts", ErrMalformed)
	}
	var decoded [3][]byte
	for i, p := range parts {
		// The decoder skips line breaks; a compact JWS has none.
		if strings.ContainsAny(p, "\r\n") {
			return h, nil, nil, fmt.Errorf("%w: line break in part %d", ErrMalformed, i+1)
		}
		if decoded[i], err = encoding.DecodeString(p); err != nil {
			return h, nil, nil, fmt.Errorf("%w: part %d is not base64url", ErrMalformed, i+1)
		}
	}
	// An unknown member is refused whether or not "crit" lists it: what it says could matter.
	if err := unmarshalStrict(decoded[0], &h); err != nil {
		return h, nil, nil, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	switch {
	case h.Type != Type:
		return h, nil, nil, fmt.Errorf("%w: typ is %q, not %q", ErrMalformed, h.Type, Type)
	case h.Version != Version:
		return h, nil, nil, fmt.Errorf("%w: format version %d, this release knows %d", ErrMalformed, h.Version, Version)
	case h.Algorithm != ES256 && h.Algorithm != EdDSA:
		return h, nil, nil, fmt.Errorf("%w: alg %q is not ES256 or EdDSA", ErrMalformed, h.Algorithm)
	case len(decoded[2]) != signatureSize:
		return h, nil, nil, fmt.Errorf("%w: %d bytes of signature, want %d", ErrMalformed, len(decoded[2]), signatureSize)
	}
	return h, decoded[1], decoded[2], nil
}

// find returns the one key of that id.
func find(set *v1alpha1.KeySet, kid string) (v1alpha1.JSONWebKey, error) {
	var found *v1alpha1.JSONWebKey
	if set != nil {
		for i := range set.Keys {
			if set.Keys[i].KeyID != kid {
				continue
			}
			if found != nil {
				return v1alpha1.JSONWebKey{}, fmt.Errorf("%w: two keys have the id %q", ErrUnknownKey, kid)
			}
			found = &set.Keys[i]
		}
	}
	if found == nil || kid == "" {
		return v1alpha1.JSONWebKey{}, fmt.Errorf("%w %q: it is not in the agency's key set", ErrUnknownKey, kid)
	}
	return *found, nil
}

func decodeClaims(body []byte) (Claims, error) {
	var p payload
	if err := unmarshalStrict(body, &p); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrClaims, err)
	}
	at, err := time.Parse(timeLayout, p.DecidedAt)
	if err != nil || at.Format(timeLayout) != p.DecidedAt {
		return Claims{}, fmt.Errorf("%w: decidedAt %q is not written as %s", ErrClaims, p.DecidedAt, timeLayout)
	}
	c := Claims{Digest: p.Digest, Decision: p.Decision, Agency: p.Agency, DecidedAt: at}
	if p.Duty != nil {
		if c.Duty = *p.Duty; c.Decision != v1alpha1.DecisionAttest {
			return Claims{}, fmt.Errorf("%w: a duty in a statement that says %s", ErrClaims, c.Decision)
		}
	}
	return c, c.check()
}

var (
	digestForm = regexp.MustCompile(`^sha256:[A-Za-z0-9_-]{43}$`)
	dutyForm   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	agencyForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)
)

// accepts refuses what does not say Accept: what verifies as a signature must never be a statement of something else.
func (c Claims) accepts() error {
	if c.Decision != v1alpha1.DecisionAccept {
		return fmt.Errorf("%w: decision is %q; a signature on an agreement says Accept", ErrClaims, c.Decision)
	}
	return nil
}

// decisions that an agency can state.
var decisions = []v1alpha1.Decision{
	v1alpha1.DecisionAccept, v1alpha1.DecisionReject, v1alpha1.DecisionSuspend, v1alpha1.DecisionResume, v1alpha1.DecisionTerminate,
	v1alpha1.DecisionAttest,
}

// check refuses claims that nobody should sign or believe.
func (c Claims) check() error {
	switch {
	case !slices.Contains(decisions, c.Decision):
		return fmt.Errorf("%w: decision is %q, which no agency can take", ErrClaims, c.Decision)
	case c.Decision == v1alpha1.DecisionAttest && !dutyForm.MatchString(c.Duty):
		return fmt.Errorf("%w: %q is not the name of a duty", ErrClaims, c.Duty)
	case c.Decision != v1alpha1.DecisionAttest && c.Duty != "":
		return fmt.Errorf("%w: %s is about no duty", ErrClaims, c.Decision)
	case !agencyForm.MatchString(c.Agency):
		return fmt.Errorf("%w: %q is not the name of an agency", ErrClaims, c.Agency)
	case !digestForm.MatchString(c.Digest):
		return fmt.Errorf("%w: digest %q is not sha256:<base64url>", ErrClaims, c.Digest)
	case c.DecidedAt.Unix() <= 0 || c.DecidedAt.UTC().Year() > 9999:
		return fmt.Errorf("%w: no date of the decision", ErrClaims)
	}
	return nil
}

// unmarshalStrict decodes one JSON object and refuses unknown members, members that stand twice, members that are null or
// missing (through the checks of their values), and members in another case.
func unmarshalStrict(data []byte, v any) error {
	if !bytes.HasPrefix(data, []byte("{")) {
		return errors.New("not a JSON object")
	}
	strict, err := kjson.UnmarshalStrict(data, v)
	if err != nil {
		return err
	}
	return errors.Join(strict...)
}
