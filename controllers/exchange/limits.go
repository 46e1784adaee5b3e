package exchange

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Certificates that one agency may ask for: a credential lives an hour, an agency may have thousands of agreements, and
// after a restart its gateways ask for all that they use.
const (
	callsPerSecond = 20
	callsBurst     = 400
)

// limits bounds the calls of each peer. Peers are known agencies, so they are few.
type limits struct {
	mu     sync.Mutex
	byPeer map[string]*rate.Limiter
}

func (l *limits) take(peer string, now time.Time) bool {
	l.mu.Lock()
	limiter := l.byPeer[peer]
	if limiter == nil {
		if l.byPeer == nil {
			l.byPeer = map[string]*rate.Limiter{}
		}
		limiter = rate.NewLimiter(callsPerSecond, callsBurst)
		l.byPeer[peer] = limiter
	}
	l.mu.Unlock()
	return limiter.AllowN(now, 1)
}
