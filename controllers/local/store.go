// Package local keeps an agency's keys in a folder, for an installation without Vault: a laptop, a demonstration, an agency
// with no cluster. It implements the interfaces of package keys, and gives the processes of `entente standalone` their own
// identities and local users their certificates.
//
// The folder is as secret as the agency's keys are: it is made 0700 and its key files 0600, and a key file that others may
// read is refused. Whoever wants keys that cannot be copied runs the operator with Vault.
package local

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/entente-dev/entente/controllers/keys"
)

// Store is the keys of one agency. Its methods are safe for concurrent use.
type Store struct {
	dir         string
	trustDomain string
	now         func() time.Time

	routes ed25519.PrivateKey
	// agency vouches for SPIFFE IDs of the trust domain, users for the agency's own local users.
	agency, users *authority

	mu         sync.Mutex
	agreements []agreementKey // oldest first; guarded by mu
}

var (
	_ keys.AgreementSigner = (*Store)(nil)
	_ keys.RouteSigner     = (*Store)(nil)
	_ keys.Issuer          = (*Store)(nil)
)

// Open opens the folder, and makes it and its keys at the first start.
func Open(dir, trustDomain string) (*Store, error) {
	return open(dir, trustDomain, time.Now)
}

func open(dir, trustDomain string, now func() time.Time) (*Store, error) {
	if _, err := spiffeid.TrustDomainFromString(trustDomain); err != nil {
		return nil, fmt.Errorf("trust domain %q: %w", trustDomain, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("key folder: %w", err)
	}
	s := &Store{dir: dir, trustDomain: trustDomain, now: now}
	if err := s.openAgreementKeys(); err != nil {
		return nil, err
	}
	if err := s.openRouteKey(); err != nil {
		return nil, err
	}
	var err error
	if s.agency, err = openAuthority(s.path("agency-ca"), trustDomain+" agency authority", "spiffe://"+trustDomain, now); err != nil {
		return nil, err
	}
	s.users, err = openAuthority(s.path("users-ca"), trustDomain+" users authority", "", now)
	return s, err
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

// openRouteKey opens or makes the Ed25519 key that signs routes.
func (s *Store) openRouteKey() error {
	key, err := loadOrMake(s.path("routes.key.pem"), func() (crypto.Signer, error) {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return k, err
	})
	if err != nil {
		return err
	}
	routes, ok := key.(ed25519.PrivateKey)
	if !ok {
		return fmt.Errorf("%s: the route key is Ed25519, this is %T", s.path("routes.key.pem"), key)
	}
	s.routes = routes
	return nil
}

// loadOrMake reads a key; when there is none, it makes one and writes it.
func loadOrMake(path string, generate func() (crypto.Signer, error)) (crypto.Signer, error) {
	key, err := readKey(path)
	if !errors.Is(err, os.ErrNotExist) {
		return key, err
	}
	if key, err = generate(); err != nil {
		return nil, err
	}
	return key, writeKey(path, key)
}

func newP256() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// keyID is short, and another one for every key, even when the folder is made anew.
func keyID(public []byte) string {
	sum := sha256.Sum256(public)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
