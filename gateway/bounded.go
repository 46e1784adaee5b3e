package gateway

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// minSilence is how long nothing has passed over a connection that gives its place up: longer than a user waits for sources.
const minSilence = 45 * time.Second

// bounded is a listener with places for so many connections. When all are taken, the connection over which nothing has passed for longest
// gives its place up: thousands that only wait, be they strangers or clients that forgot them, do not keep the next one out.
type bounded struct {
	net.Listener
	name    string
	silence time.Duration
	places  chan struct{}
	logger  *slog.Logger
	notices *rate.Limiter

	mu   sync.Mutex
	open map[*taken]struct{}
}

func newBounded(l net.Listener, name string, places int, silence time.Duration, logger *slog.Logger) *bounded {
	return &bounded{
		Listener: l, name: name, silence: silence, places: make(chan struct{}, places), logger: logger,
		notices: rate.NewLimiter(rate.Every(time.Minute), 1), open: map[*taken]struct{}{},
	}
}

// Accept implements net.Listener. A connection that has no place waits for one, and those behind it in the system's queue.
func (b *bounded) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	for {
		select {
		case b.places <- struct{}{}:
			t := &taken{Conn: c, of: b}
			t.last.Store(time.Now().UnixNano())
			b.mu.Lock()
			b.open[t] = struct{}{}
			b.mu.Unlock()
			return t, nil
		case <-time.After(b.makeRoom()):
		}
	}
}

// makeRoom closes the connection that has been silent for longest, if all places are taken, and says when to look again.
func (b *bounded) makeRoom() time.Duration {
	if len(b.places) < cap(b.places) {
		return time.Millisecond
	}
	b.mu.Lock()
	var silent *taken
	for t := range b.open {
		if silent == nil || t.last.Load() < silent.last.Load() {
			silent = t
		}
	}
	b.mu.Unlock()
	if silent == nil || time.Since(time.Unix(0, silent.last.Load())) < b.silence {
		return min(time.Second, b.silence)
	}
	if b.notices.Allow() {
		b.logger.Warn("all connections of a listener are taken: those that are silent make room", "listener", b.name, "connections", cap(b.places))
	}
	_ = silent.Close()
	return time.Millisecond
}

// taken is a connection with a place.
type taken struct {
	net.Conn
	of   *bounded
	last atomic.Int64 // when something passed, in nanoseconds since 1970
	once sync.Once
}

func (t *taken) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.last.Store(time.Now().UnixNano())
	}
	return n, err
}

func (t *taken) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	if n > 0 {
		t.last.Store(time.Now().UnixNano())
	}
	return n, err
}

// Close gives the place up.
func (t *taken) Close() error {
	err := t.Conn.Close()
	t.once.Do(func() {
		t.of.mu.Lock()
		delete(t.of.open, t)
		t.of.mu.Unlock()
		<-t.of.places
	})
	return err
}
