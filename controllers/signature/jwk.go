package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// MaxKeys is how many keys an Agency can carry.
const MaxKeys = 32

// Union of the keys that an agency has now and those that it published earlier, oldest first, at most MaxKeys: what a key signed
// stays verifiable when its holder has it no more. Of two with one id the one that is held now counts.
func Union(earlier, now *v1alpha1.KeySet) *v1alpha1.KeySet {
	out := &v1alpha1.KeySet{}
	if earlier != nil {
		for _, k := range earlier.Keys {
			if !slices.ContainsFunc(now.Keys, func(n v1alpha1.JSONWebKey) bool { return n.KeyID == k.KeyID }) {
				out.Keys = append(out.Keys, k)
			}
		}
	}
	out.Keys = append(out.Keys, now.Keys...)
	out.Keys = out.Keys[max(0, len(out.Keys)-MaxKeys):]
	return out
}

// signatureSize is that of both algorithms: r‖s of P-256, and Ed25519.
const signatureSize = 64

const (
	typeEC       = "EC"
	typeOKP      = "OKP"
	curveP256    = "P-256"
	curveEd25519 = "Ed25519"
	useSignature = "sig"
)

// JWK gives the JSON Web Key of a public key: *ecdsa.PublicKey on P-256, or ed25519.PublicKey.
func JWK(kid string, public crypto.PublicKey) (v1alpha1.JSONWebKey, error) {
	if kid == "" {
		return v1alpha1.JSONWebKey{}, errors.New("a signing key needs an id")
	}
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return v1alpha1.JSONWebKey{}, errors.New("an ECDSA signing key is on P-256")
		}
		point, err := p.Bytes() // 4 ‖ x ‖ y
		if err != nil {
			return v1alpha1.JSONWebKey{}, fmt.Errorf("encoding the key: %w", err)
		}
		return v1alpha1.JSONWebKey{
			KeyID: kid, KeyType: typeEC, Curve: curveP256, Algorithm: ES256, Use: useSignature,
			X: encoding.EncodeToString(point[1:33]),
			Y: encoding.EncodeToString(point[33:]),
		}, nil
	case ed25519.PublicKey:
		if len(p) != ed25519.PublicKeySize {
			return v1alpha1.JSONWebKey{}, errors.New("an Ed25519 key has 32 bytes")
		}
		return v1alpha1.JSONWebKey{
			KeyID: kid, KeyType: typeOKP, Curve: curveEd25519, Algorithm: EdDSA, Use: useSignature,
			X: encoding.EncodeToString(p),
		}, nil
	}
	return v1alpha1.JSONWebKey{}, fmt.Errorf("a %T cannot sign agreements: ECDSA on P-256 or Ed25519 can", public)
}

// PublicKey gives the public key of a JSON Web Key: *ecdsa.PublicKey or ed25519.PublicKey. It refuses members that do not
// fit each other.
func PublicKey(k v1alpha1.JSONWebKey) (crypto.PublicKey, error) {
	if k.Use != "" && k.Use != useSignature {
		return nil, fmt.Errorf("use is %q, not sig", k.Use)
	}
	x, err := coordinate("x", k.X)
	if err != nil {
		return nil, err
	}
	switch {
	case k.Algorithm == ES256 && k.KeyType == typeEC && k.Curve == curveP256:
		y, err := coordinate("y", k.Y)
		if err != nil {
			return nil, err
		}
		point := append(append([]byte{4}, x...), y...)
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			return nil, errors.New("x and y are not a point of P-256")
		}
		return public, nil
	case k.Algorithm == EdDSA && k.KeyType == typeOKP && k.Curve == curveEd25519 && k.Y == "":
		return ed25519.PublicKey(x), nil
	}
	return nil, fmt.Errorf("alg %q, kty %q and crv %q do not fit each other: ES256 has EC and P-256, EdDSA has OKP and Ed25519", k.Algorithm, k.KeyType, k.Curve)
}

func coordinate(name, s string) ([]byte, error) {
	b, err := encoding.DecodeString(s)
	if err != nil || len(b) != 32 || len(s) != 43 {
		return nil, fmt.Errorf("%s is not 32 bytes in base64url", name)
	}
	return b, nil
}

// verifyRaw checks a signature of signatureSize bytes.
func verifyRaw(public crypto.PublicKey, input, raw []byte) bool {
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(input)
		r, s := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
		return ecdsa.Verify(p, sum[:], r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(p, input, raw)
	}
	return false
}
