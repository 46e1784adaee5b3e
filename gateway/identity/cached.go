package identity

import (
	"context"
	"crypto/tls"
	"sync"
	"time"
)

// bundleAge is how old a cached trust bundle gets before it is asked for again.
const bundleAge = time.Minute

// Cached wraps an Own whose trust bundle comes from afar: handshakes do not wait for it, and go on with the last one while
// its holder is away.
func Cached(own Own) Own { return &cached{Own: own} }

type cached struct {
	Own

	mu      sync.Mutex
	bundle  string
	asked   time.Time
	pending bool
}

func (c *cached) Certificate(ctx context.Context) (*tls.Certificate, error) {
	return c.Own.Certificate(ctx)
}

func (c *cached) TrustBundle(ctx context.Context) (string, error) {
	c.mu.Lock()
	if c.bundle == "" {
		c.mu.Unlock()
		return c.fetch(ctx)
	}
	if time.Since(c.asked) > bundleAge && !c.pending {
		c.pending = true
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_, _ = c.fetch(ctx)
		}()
	}
	defer c.mu.Unlock()
	return c.bundle, nil
}

func (c *cached) fetch(ctx context.Context) (string, error) {
	bundle, err := c.Own.TrustBundle(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = false
	c.asked = time.Now()
	if err == nil {
		c.bundle = bundle
	}
	return bundle, err
}
