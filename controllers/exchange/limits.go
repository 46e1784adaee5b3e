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

// Messages about agreements. Proposals are read by people. A decision may concern thousands of agreements at once, and must not
// wait. Lists are asked for every few minutes, in pages.
const (
	proposalsPerSecond  = 10
	proposalsBurst      = 100
	statementsPerSecond = 200
	statementsBurst     = 2000
	readsPerSecond      = 10
	readsBurst          = 100
	// A page of receipts makes every gateway read its log.
	receiptsPerSecond = 5
	receiptsBurst     = 50
)

// limits bounds the calls of each peer. Peers are known agencies, so they are few.
type limits struct {
	rate  rate.Limit
	burst int

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
		limiter = rate.NewLimiter(l.rate, l.burst)
		l.byPeer[peer] = limiter
	}
	l.mu.Unlock()
	return limiter.AllowN(now, 1)
}
