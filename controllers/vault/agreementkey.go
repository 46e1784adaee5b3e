package vault

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/controllers/signature"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

// ErrKey: a transit key that is not what Entente set up, or an answer that is not a signature.
var ErrKey = errors.New("vault: transit key")

// Current is the newest version of <agency>-agreements.
func (c *Client) Current(ctx context.Context) (keys.Key, error) {
	k, err := c.agreementKey(ctx)
	if err != nil {
		return keys.Key{}, err
	}
	last, err := published(k.Name, k.Versions[len(k.Versions)-1])
	return keys.Key{ID: last.KeyID, Algorithm: last.Algorithm}, err
}

// Sign signs with exactly the version that the key names, so that what a header says is what signed.
func (c *Client) Sign(ctx context.Context, key keys.Key, input []byte) ([]byte, error) {
	name := gwvault.AgreementKey(c.cfg.Agency)
	version, err := keyVersion(name, key.ID)
	if err != nil {
		return nil, err
	}
	if key.Algorithm != "ES256" {
		return nil, fmt.Errorf("%w %s signs ES256, not %q", ErrKey, name, key.Algorithm)
	}
	got, sig, err := c.sign(ctx, name+"/sha2-256", map[string]any{
		"input":                base64.StdEncoding.EncodeToString(input),
		"key_version":          version,
		"marshaling_algorithm": "jws",
	}, base64.RawURLEncoding)
	if err != nil {
		return nil, err
	}
	if got != version || len(sig) != 64 {
		return nil, fmt.Errorf("%w %s: asked for version %d, got %d bytes from version %d", ErrKey, name, version, len(sig), got)
	}
	return sig, nil
}

// Public gives every version of the key that Vault keeps, newest last, at most as many as an Agency can carry.
func (c *Client) Public(ctx context.Context) (*v1alpha1.KeySet, error) {
	k, err := c.agreementKey(ctx)
	if err != nil {
		return nil, err
	}
	versions := k.Versions[max(0, len(k.Versions)-signature.MaxKeys):]
	set := &v1alpha1.KeySet{}
	for _, v := range versions {
		jwk, err := published(k.Name, v)
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, jwk)
	}
	return set, nil
}

// published is the public part of a version. Its id, <key>:v<version>:<start of the SHA-256 of the point>, is that of no other key: a
// key that is made anew after a loss begins at version 1 again.
func published(name string, v gwvault.KeyVersion) (v1alpha1.JSONWebKey, error) {
	fail := func(err error) (v1alpha1.JSONWebKey, error) {
		return v1alpha1.JSONWebKey{}, fmt.Errorf("%w %s version %d: %w", ErrKey, name, v.Version, err)
	}
	pub, err := parseP256(v.PublicKey)
	if err != nil {
		return fail(err)
	}
	point, err := pub.Bytes()
	if err != nil {
		return fail(err)
	}
	sum := sha256.Sum256(point)
	jwk, err := signature.JWK(gwvault.KeyID(name, v.Version)+":"+base64.RawURLEncoding.EncodeToString(sum[:6]), pub)
	if err != nil {
		return fail(err)
	}
	return jwk, nil
}

func (c *Client) agreementKey(ctx context.Context) (*gwvault.TransitKey, error) {
	k, err := c.ReadTransitKey(ctx, gwvault.AgreementKey(c.cfg.Agency))
	if err != nil {
		return nil, err
	}
	if k.Type != "ecdsa-p256" {
		return nil, fmt.Errorf("%w %s is of type %s, not ecdsa-p256", ErrKey, k.Name, k.Type)
	}
	return k, nil
}

// sign asks transit for a signature and takes its answer, vault:v<N>:<signature>, apart.
func (c *Client) sign(ctx context.Context, key string, req map[string]any, enc *base64.Encoding) (version int, sig []byte, err error) {
	secret, err := c.Write(ctx, c.mounts.Transit()+"/sign/"+key, req)
	if err != nil {
		return 0, nil, err
	}
	if secret == nil {
		return 0, nil, fmt.Errorf("%w %s: the answer is empty", ErrKey, key)
	}
	text, _ := secret.Data["signature"].(string)
	prefix, rest, _ := strings.Cut(text, ":")
	v, body, ok := strings.Cut(rest, ":")
	if version, err = strconv.Atoi(strings.TrimPrefix(v, "v")); !ok || prefix != "vault" || err != nil || version < 1 {
		return 0, nil, fmt.Errorf("%w %s: the answer is not a signature", ErrKey, key)
	}
	if sig, err = enc.DecodeString(body); err != nil {
		return 0, nil, fmt.Errorf("%w %s: the answer is not a signature: %w", ErrKey, key, err)
	}
	return version, sig, nil
}

func keyVersion(name, id string) (int, error) {
	rest, ok := strings.CutPrefix(id, name+":v")
	v, _, _ := strings.Cut(rest, ":")
	n, err := strconv.Atoi(v)
	if !ok || err != nil || n < 1 {
		return 0, fmt.Errorf("%w %q is not a version of %s", ErrKey, id, name)
	}
	return n, nil
}

func parseP256(text string) (*ecdsa.PublicKey, error) {
	b, _ := pem.Decode([]byte(text))
	if b == nil {
		return nil, errors.New("not PEM")
	}
	k, err := x509.ParsePKIXPublicKey(b.Bytes)
	if err != nil {
		return nil, err
	}
	pub, ok := k.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return nil, errors.New("not a P-256 key")
	}
	return pub, nil
}
