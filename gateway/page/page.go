// Package page holds the keys that answers in pages need: those of the positions that a source gives with its records, and those of the
// tokens that a recipient's gateway gives to its users.
//
// The next page may be asked of another replica than the last, so all replicas of an agency's gateway have to share these keys. None
// is stored and none is sent in the clear: each replica makes its own and hands it out with what it protects, wrapped under the key
// that wraps the agency's log keys (Vault's transit key, which all replicas may use and none can read).
package page

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Life is how long a position, or a token, may be used.
const Life = time.Hour

const (
	// keyLife is how long new things are protected by one key.
	keyLife = time.Hour
	// maxOpened bounds the keys of other replicas that are remembered.
	maxOpened = 256
	// maxWrapped bounds what is given to the ring.
	maxWrapped = 1 << 10
	// ringTimeout bounds the wait for the ring.
	ringTimeout = 5 * time.Second
	// Unknown keys that are looked at: a burst, and then a rate at which nobody keeps the ring busy with inventions.
	opensPerSecond, opensBurst = 5, 50

	keySize = 32
	sumSize = 16
)

// ErrForged: what was handed in is not what this agency's gateways gave.
var ErrForged = errors.New("not given by this agency's gateways for this")

// Ring wraps keys, see audit.KeyRing. An error of Unwrap that is Temporary() says nothing of the key.
type Ring interface {
	Wrap(ctx context.Context, key, bound []byte) (string, error)
	Unwrap(ctx context.Context, wrapped string, bound []byte) ([]byte, error)
}

// Keys are the keys for one use. Its methods are safe for concurrent use.
type Keys struct {
	ring  Ring
	bound []byte
	now   func() time.Time
	limit *rate.Limiter

	mu      sync.Mutex
	current *Key
	made    time.Time
	opened  map[string]*Key // by its wrapped form
}

// NewKeys makes the keys for a use, whose name keeps them apart from those for others.
func NewKeys(ring Ring, use string, now func() time.Time) *Keys {
	return &Keys{ring: ring, bound: []byte("entente.dev/v1 " + use), now: now, limit: rate.NewLimiter(opensPerSecond, opensBurst), opened: map[string]*Key{}}
}

// Key is one key.
type Key struct {
	// Wrapped form, which may be given away.
	Wrapped []byte
	secret  []byte
}

// Current gives the key for new things, and makes one when it is needed.
func (k *Keys) Current(ctx context.Context) (*Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if k.current != nil && now.Sub(k.made) < keyLife && !now.Before(k.made) {
		return k.current, nil
	}
	secret := make([]byte, keySize)
	rand.Read(secret)
	ctx, stop := context.WithTimeout(ctx, ringTimeout)
	defer stop()
	wrapped, err := k.ring.Wrap(ctx, secret, k.bound)
	if err != nil {
		return nil, fmt.Errorf("a key for pages cannot be wrapped: %w", err)
	}
	k.current, k.made = &Key{Wrapped: []byte(wrapped), secret: secret}, now
	k.remember(k.current)
	return k.current, nil
}

// Open gives the key of a wrapped form: one that any replica of this agency's gateway made. ErrForged: none did.
func (k *Keys) Open(ctx context.Context, wrapped []byte) (*Key, error) {
	if len(wrapped) == 0 || len(wrapped) > maxWrapped {
		return nil, ErrForged
	}
	k.mu.Lock()
	key := k.opened[string(wrapped)]
	k.mu.Unlock()
	if key != nil {
		return key, nil
	}
	if !k.limit.Allow() {
		return nil, errors.New("too many keys of pages that are not known here")
	}
	ctx, stop := context.WithTimeout(ctx, ringTimeout)
	defer stop()
	secret, err := k.ring.Unwrap(ctx, string(wrapped), k.bound)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("a key for pages cannot be unwrapped: %w", ctx.Err())
	case temporary(err):
		return nil, fmt.Errorf("a key for pages cannot be unwrapped: %w", err)
	case err != nil, len(secret) != keySize:
		return nil, fmt.Errorf("%w: %w", ErrForged, errors.Join(err))
	}
	key = &Key{Wrapped: bytes.Clone(wrapped), secret: secret} // not the token that it is a part of
	k.mu.Lock()
	defer k.mu.Unlock()
	k.remember(key)
	return key, nil
}

func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

func (k *Keys) remember(key *Key) {
	if len(k.opened) >= maxOpened {
		clear(k.opened)
	}
	k.opened[string(key.Wrapped)] = key
}

// Sum authenticates b.
func (k *Key) Sum(b []byte) []byte {
	h := hmac.New(sha256.New, k.secret)
	h.Write(b)
	return h.Sum(nil)[:sumSize]
}

// Holds says whether sum is that of b.
func (k *Key) Holds(b, sum []byte) bool { return subtle.ConstantTimeCompare(k.Sum(b), sum) == 1 }

// Seal encrypts and authenticates text, bound to what else is known.
func (k *Key) Seal(text, bound []byte) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, text, bound), nil
}

// Unseal undoes Seal.
func (k *Key) Unseal(sealed, bound []byte) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	text, err := aead.Open(nil, nil, sealed, bound)
	if err != nil {
		return nil, ErrForged
	}
	return text, nil
}

// aead is AES-256-GCM with a random nonce (NIST SP 800-38D 8.2.2: at most 2^32 uses of a key).
func (k *Key) aead() (cipher.AEAD, error) {
	b, err := aes.NewCipher(k.secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(b)
}
