package controllers

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/gateway/route"
)

// routeKeys remembers the public keys that verify routes, and asks their holder when a route is signed with another.
type routeKeys struct {
	holder keys.RouteSigner

	mu    sync.Mutex
	known map[string]ed25519.PublicKey
	asked time.Time
	// failed is why the last question had no answer.
	failed error
}

// askAgain bounds how often the holder is asked for a key that it does not have.
const askAgain = time.Second

// verify decodes a stored route. Whoever can write GatewayRoutes cannot make the operator believe one.
func (k *routeKeys) verify(ctx context.Context, g *v1alpha1.GatewayRoute) (*route.Route, error) {
	signed := route.Signed{Payload: g.Spec.Payload, KeyID: g.Spec.KeyID, Signature: g.Spec.Signature}
	k.mu.Lock()
	known, asked, failed := k.known, k.asked, k.failed
	k.mu.Unlock()
	r, err := route.Verify(signed, known)
	if !errors.Is(err, route.ErrUnknownKey) || g.Spec.KeyID == unsignedKey {
		return r, err
	}
	if time.Since(asked) < askAgain {
		if failed != nil {
			return nil, failed
		}
		return nil, err
	}
	if known, err = k.refresh(ctx); err != nil {
		return nil, err
	}
	return route.Verify(signed, known)
}

func (k *routeKeys) refresh(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	known, err := k.holder.RouteKeys(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked, k.failed = time.Now(), nil
	if err != nil {
		k.failed = fmt.Errorf("route keys: %w", err)
		return nil, k.failed
	}
	k.known = known
	return known, nil
}
