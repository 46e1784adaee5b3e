package peer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// circuitFailures in a row open a source's circuit; it is then tried again after firstOpen, and after twice as long each time, up to
	// longestOpen.
	circuitFailures = 5
	firstOpen       = time.Second
	longestOpen     = 30 * time.Second
	// patience is how long a question must have waited for its end to say something of the source: users may set shorter deadlines.
	patience = 2 * time.Second
)

// OpenError says that a source's gateway is not asked for now, because it did not answer the last times.
type OpenError struct {
	// Until is when it is tried again; in the past: that is under way.
	Until time.Time
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("the source's gateway did not answer the last times; it is tried again at %s", e.Until.UTC().Format(time.RFC3339))
}

// circuit keeps questions from a gateway that does not answer: each would otherwise hold a user, and a place among the sources that are asked at a
// time, until its deadline. Of what it decides nothing depends on the clock or on chance but by its arguments.
type circuit struct {
	failures int // in a row
	opened   int // times, in a row
	until    time.Time
	trying   bool // one question is let through
}

// admit says whether a question may be asked now.
func (c *circuit) admit(now time.Time) error {
	switch {
	case c.until.IsZero():
		return nil
	case now.Before(c.until) || c.trying:
		return &OpenError{c.until}
	}
	c.trying = true
	return nil
}

// failed notes that a question was not answered; jitter gives a time of the order of what it is given.
func (c *circuit) failed(now time.Time, jitter func(time.Duration) time.Duration) {
	c.failures++
	if c.failures < circuitFailures && !c.trying {
		return
	}
	c.trying = false
	c.until = now.Add(jitter(min(firstOpen<<min(c.opened, 10), longestOpen)))
	c.opened++
}

// spread is a time between half and one and a half of d: the gateways of an agency, and those of all its peers, do not come back at once.
func spread(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// circuits are those of all sources that failed last. A source that answers has none.
type circuits struct {
	mu sync.Mutex
	by map[string]*circuit // by trust domain and endpoint
}

func (c *circuits) admit(source string, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.by[source]; k != nil {
		return k.admit(now)
	}
	return nil
}

// open says how many sources are not asked for now.
func (c *circuits) open(now time.Time) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.by {
		if now.Before(k.until) {
			n++
		}
	}
	return n
}

// OpenCircuits says how many sources' gateways are not asked for now, because they did not answer.
func (p *Pool) OpenCircuits() int { return p.circuits.open(time.Now()) }

// learn notes how a question ended.
func (c *circuits) learn(source string, e ending, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.by[source]
	switch {
	case e == answered:
		delete(c.by, source)
	case e == unanswered:
		if k == nil {
			if c.by == nil {
				c.by = map[string]*circuit{}
			}
			k = &circuit{}
			c.by[source] = k
		}
		k.failed(now, spread)
	case k != nil:
		k.trying = false // nothing was learnt
	}
}

// ending is what the end of a question says of the source's gateway.
type ending int

const (
	saysNothing ending = iota
	answered
	unanswered
)

// endingOf judges. Whatever a gateway answers, a refusal or that its database is down, it is there; and so is one that sent some of its answer.
func endingOf(ctx context.Context, err error, heard bool, took time.Duration) ending {
	switch code := status.Code(err); {
	case heard || err == nil:
		return answered
	case code == codes.Unavailable:
		return unanswered
	case code == codes.DeadlineExceeded || context.Cause(ctx) == context.DeadlineExceeded:
		if took >= patience {
			return unanswered
		}
		return saysNothing
	case ctx.Err() != nil || code == codes.Canceled || code == codes.Unknown:
		return saysNothing
	}
	return answered // with a status of its own
}
