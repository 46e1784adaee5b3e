package federation

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"path/filepath"
	"sync"

	"github.com/entente-dev/entente/gateway/secret"
)

// User is a person or an application of this agency, as a listener authenticated it.
type User struct {
	// Authority that vouches for the name: "certificate", or the issuer of the token. Equal names of two authorities are
	// two users.
	Authority string
	Name      string
	Groups    []string
	// Claims that the authority verified and that this gateway uses. Values are as in JSON.
	Claims map[string]any
}

// Pseudonyms turns users into pseudonyms that only this agency can resolve: it has the key, and the list of its users to
// try.
type Pseudonyms struct {
	// macs are keyed already.
	macs sync.Pool
}

// OpenPseudonyms reads the key in the folder, or makes one.
func OpenPseudonyms(dir string) (*Pseudonyms, error) {
	key, err := secret.LoadOrCreate(filepath.Join(dir, "pseudonym.key"))
	if err != nil {
		return nil, err
	}
	return newPseudonyms(key), nil
}

func newPseudonyms(key []byte) *Pseudonyms {
	return &Pseudonyms{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// Of gives the pseudonym of a user: 128 bits, base64url.
func (p *Pseudonyms) Of(u User) string {
	h := p.macs.Get().(hash.Hash)
	defer p.macs.Put(h)
	h.Reset()
	b := append(make([]byte, 0, 128), "entente.dev/v1 user\x00"...)
	b = append(append(append(b, u.Authority...), 0), u.Name...)
	h.Write(b)
	return base64.RawURLEncoding.EncodeToString(h.Sum(b[:0])[:16])
}
