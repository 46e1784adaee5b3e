package local

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/controllers/signature"
	"github.com/entente-dev/entente/gateway/route"
)

// agreementKey signs agreements: ES256.
type agreementKey struct {
	id  string
	key *ecdsa.PrivateKey
}

// openAgreementKeys reads agreements-1.key.pem, agreements-2.key.pem and so on, and makes the first at first start.
func (s *Store) openAgreementKeys() error {
	for {
		key, err := readKey(s.agreementKeyPath(len(s.agreements) + 1))
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		if err := s.addAgreementKey(key); err != nil {
			return err
		}
	}
	if len(s.agreements) > 0 {
		return nil
	}
	return s.RotateAgreementKey()
}

func (s *Store) agreementKeyPath(n int) string {
	return s.path(fmt.Sprintf("agreements-%d.key.pem", n))
}

// addAgreementKey has mu, or the store to itself.
func (s *Store) addAgreementKey(signer crypto.Signer) error {
	key, ok := signer.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return fmt.Errorf("%s: the key that signs agreements is ECDSA on P-256", s.agreementKeyPath(len(s.agreements)+1))
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return err
	}
	s.agreements = append(s.agreements, agreementKey{id: keyID(public), key: key})
	return nil
}

// RotateAgreementKey makes a new key that signs from now on. The earlier ones stay published, so that what they signed
// remains verifiable.
func (s *Store) RotateAgreementKey() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.agreements) == signature.MaxKeys {
		return fmt.Errorf("an agency publishes at most %d keys", signature.MaxKeys)
	}
	key, err := newP256()
	if err != nil {
		return err
	}
	if err := writeKey(s.agreementKeyPath(len(s.agreements)+1), key); err != nil {
		return err
	}
	return s.addAgreementKey(key)
}

// Current implements keys.AgreementSigner.
func (s *Store) Current(context.Context) (keys.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return keys.Key{ID: s.agreements[len(s.agreements)-1].id, Algorithm: signature.ES256}, nil
}

// Sign implements keys.AgreementSigner.
func (s *Store) Sign(_ context.Context, key keys.Key, input []byte) ([]byte, error) {
	private := s.agreementKey(key.ID)
	if private == nil || key.Algorithm != signature.ES256 {
		return nil, fmt.Errorf("no signing key %q for %s", key.ID, key.Algorithm)
	}
	sum := sha256.Sum256(input)
	r, t, err := ecdsa.Sign(rand.Reader, private, sum[:])
	if err != nil {
		return nil, err
	}
	raw := make([]byte, 64)
	r.FillBytes(raw[:32])
	t.FillBytes(raw[32:])
	return raw, nil
}

func (s *Store) agreementKey(id string) *ecdsa.PrivateKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.agreements {
		if k.id == id {
			return k.key
		}
	}
	return nil
}

// Public implements keys.AgreementSigner.
func (s *Store) Public(context.Context) (*v1alpha1.KeySet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := &v1alpha1.KeySet{}
	for _, k := range s.agreements {
		jwk, err := signature.JWK(k.id, &k.key.PublicKey)
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, jwk)
	}
	return set, nil
}

// SignRoute implements keys.RouteSigner.
func (s *Store) SignRoute(_ context.Context, payload []byte) (string, []byte, error) {
	return s.routeKeyID(), ed25519.Sign(s.routes, route.SigningInput(payload)), nil
}

// RouteKeys implements keys.RouteSigner.
func (s *Store) RouteKeys(context.Context) (map[string]ed25519.PublicKey, error) {
	return map[string]ed25519.PublicKey{s.routeKeyID(): s.routePublic()}, nil
}

func (s *Store) routePublic() ed25519.PublicKey { return s.routes.Public().(ed25519.PublicKey) }

func (s *Store) routeKeyID() string { return keyID(s.routePublic()) }
