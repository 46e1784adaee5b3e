// Package keys says what the operator needs of whoever holds an agency's keys: Vault in a cluster, an embedded store in
// standalone. No private key ever passes through these interfaces.
package keys

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// Key names a signing key.
type Key struct {
	// ID of the key, as in the agency's published key set; a rotation gives a new one.
	ID string
	// Algorithm: ES256 or EdDSA.
	Algorithm string
}

// AgreementSigner signs agreements for this agency.
type AgreementSigner interface {
	// Current is the key that signs now.
	Current(ctx context.Context) (Key, error)
	// Sign signs input with the key: 64 bytes, r‖s for ES256, as JWS wants it.
	Sign(ctx context.Context, key Key, input []byte) ([]byte, error)
	// Public gives every key that ever signed, newest last, for the agency's Agency resource.
	Public(ctx context.Context) (*v1alpha1.KeySet, error)
}

// RouteSigner signs gateway routes.
type RouteSigner interface {
	// SignRoute signs route.SigningInput(payload) with Ed25519.
	SignRoute(ctx context.Context, payload []byte) (keyID string, signature []byte, err error)
	// RouteKeys gives the public keys by id; gateways get them from the same holder, not from the operator.
	RouteKeys(ctx context.Context) (map[string]ed25519.PublicKey, error)
}

// Issuer issues agreement credentials, as the authority of the source agency.
type Issuer interface {
	// IssueAgreementCertificate signs the public key of the request (PKCS #10, DER) for exactly the one SPIFFE ID
	// spiffe://<own trust domain>/agreement/<agreement>/recipient/<recipient>: client authentication only, empty
	// subject, at most one hour and not after notAfter. It returns the chain, DER, leaf first.
	IssueAgreementCertificate(ctx context.Context, agreement, recipient string, request []byte, notAfter time.Time) (chain [][]byte, expires time.Time, err error)
	// TrustBundle is the PEM bundle that vouches for this agency's SPIFFE IDs.
	TrustBundle(ctx context.Context) (string, error)
}
