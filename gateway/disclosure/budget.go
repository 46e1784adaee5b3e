package disclosure

import (
	"sync"

	"golang.org/x/time/rate"
)

// Denials that one peer may have logged: a burst for a user who tries things out, then a rate at which a peer that is
// refused everything cannot fill the log.
const (
	denialsPerSecond = 50
	denialsBurst     = 1000
)

// budgets holds each peer's budget of logged denials. Peers are authenticated recipients of an agreement, so they are few.
type budgets struct {
	mu     sync.Mutex
	byPeer map[string]*rate.Limiter
}

// take says whether one more denial of the peer is logged.
func (b *budgets) take(peer string) bool {
	b.mu.Lock()
	l := b.byPeer[peer]
	if l == nil {
		if b.byPeer == nil {
			b.byPeer = map[string]*rate.Limiter{}
		}
		l = rate.NewLimiter(denialsPerSecond, denialsBurst)
		b.byPeer[peer] = l
	}
	b.mu.Unlock()
	return l.Allow()
}
