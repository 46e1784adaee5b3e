package vault

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strconv"
)

// KeyVersion is one version of a transit key, its public part.
type KeyVersion struct {
	Version int
	// PublicKey as Vault gives it: PEM, or base64 for Ed25519.
	PublicKey string
}

// TransitKey is the public part of a transit key.
type TransitKey struct {
	Name string
	// Type as Vault names it: ed25519, ecdsa-p256.
	Type string
	// Versions, oldest first, at least one.
	Versions []KeyVersion
}

// KeyID is how signatures name a version of a transit key: <key>:v<version>.
func KeyID(key string, version int) string { return key + ":v" + strconv.Itoa(version) }

// ReadTransitKey reads the public part of a transit key.
func (s *Session) ReadTransitKey(ctx context.Context, name string) (*TransitKey, error) {
	path := s.cfg.Mounts.Transit() + "/keys/" + name
	secret, err := s.Read(ctx, path)
	if err != nil {
		return nil, err
	}
	k := &TransitKey{Name: name}
	k.Type, _ = secret.Data["type"].(string)
	versions, _ := secret.Data["keys"].(map[string]any)
	for v := 1; len(k.Versions) < len(versions) && v <= 1<<20; v++ {
		m, ok := versions[strconv.Itoa(v)].(map[string]any)
		if !ok {
			continue
		}
		pub, _ := m["public_key"].(string)
		k.Versions = append(k.Versions, KeyVersion{Version: v, PublicKey: pub})
	}
	if len(k.Versions) == 0 {
		return nil, &Error{Op: "read", Path: path, Kind: ErrInvalid, Err: fmt.Errorf("the key has no versions with a public key")}
	}
	return k, nil
}

// RouteKeys reads the public keys that verify the agency's gateway routes, by key id.
func (s *Session) RouteKeys(ctx context.Context, agency string) (map[string]ed25519.PublicKey, error) {
	k, err := s.ReadTransitKey(ctx, RouteKey(agency))
	if err != nil {
		return nil, err
	}
	out := make(map[string]ed25519.PublicKey, len(k.Versions))
	for _, v := range k.Versions {
		b, err := base64.StdEncoding.DecodeString(v.PublicKey)
		if err != nil || len(b) != ed25519.PublicKeySize || k.Type != "ed25519" {
			return nil, fmt.Errorf("vault key %s version %d is not an Ed25519 key: it is %s", k.Name, v.Version, k.Type)
		}
		out[KeyID(k.Name, v.Version)] = ed25519.PublicKey(b)
	}
	return out, nil
}
