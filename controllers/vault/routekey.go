package vault

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"

	"github.com/entente-dev/entente/gateway/route"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

// SignRoute signs with the newest version of <agency>-routes; the key id says which that was.
func (c *Client) SignRoute(ctx context.Context, payload []byte) (keyID string, signature []byte, err error) {
	name := gwvault.RouteKey(c.cfg.Agency)
	version, sig, err := c.sign(ctx, name, map[string]any{
		"input": base64.StdEncoding.EncodeToString(route.SigningInput(payload)),
	}, base64.StdEncoding)
	if err != nil {
		return "", nil, err
	}
	if len(sig) != ed25519.SignatureSize {
		return "", nil, fmt.Errorf("%w %s: %d bytes are not an Ed25519 signature", ErrKey, name, len(sig))
	}
	return gwvault.KeyID(name, version), sig, nil
}

// RouteKeys gives the public keys that verify this agency's routes. Gateways read the same from Vault themselves.
func (c *Client) RouteKeys(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	return c.Session.RouteKeys(ctx, c.cfg.Agency)
}
