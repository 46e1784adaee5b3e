package route

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
)

// Signed is a route as it travels: the exact payload bytes, and the operator's Ed25519 signature over SigningInput of them.
type Signed struct {
	Payload   []byte `json:"payload"`
	KeyID     string `json:"keyID"`
	Signature []byte `json:"signature"`
}

// Errors of Verify, for a caller that branches.
var (
	ErrUnknownKey = errors.New("route: signed with a key that this gateway does not know")
	ErrSignature  = errors.New("route: signature does not verify")
	ErrFormat     = errors.New("route: payload format not supported")
)

// signingContext keeps a signature over a route from passing as a signature over anything else.
const signingContext = "entente.dev/v1 gateway route\n"

// SigningInput is what is signed for a payload.
func SigningInput(payload []byte) []byte {
	return append([]byte(signingContext), payload...)
}

// Encode gives the payload of a route. Equal routes give equal bytes.
func Encode(r *Route) ([]byte, error) { return json.Marshal(r) }

// Verify checks the signature with one of the keys (by key id) and decodes the payload, strictly.
func Verify(s Signed, keys map[string]ed25519.PublicKey) (*Route, error) {
	key, ok := keys[s.KeyID]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknownKey, s.KeyID)
	}
	if !ed25519.Verify(key, SigningInput(s.Payload), s.Signature) {
		return nil, ErrSignature
	}
	return Decode(s.Payload)
}

// Decode decodes a payload strictly: an unknown member would be a restriction that this gateway cannot keep.
func Decode(payload []byte) (*Route, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	var r Route
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("%w: format %d, this gateway knows %d", ErrFormat, r.Format, Format)
	}
	if r.Agreement == "" || r.Sequence < 1 {
		return nil, fmt.Errorf("%w: no agreement or no sequence", ErrFormat)
	}
	for i := range r.Versions {
		for j := range r.Versions[i].Clauses {
			if err := r.Versions[i].Clauses[j].prepare(); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrFormat, err)
			}
		}
	}
	r.share()
	return &r, nil
}
