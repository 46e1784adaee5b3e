package controllers

import (
	"context"
	"sync"
	"time"
)

// timers call for an agreement when time alone changes it. They are apart from the work queue: a queue full of future items
// starves what is listed at the start.
type timers struct {
	door *doorbell
	now  func() time.Time

	mu  sync.Mutex
	due map[string]time.Time
	// wake is when the loop wakes next; earlier holds one signal for a time before that.
	wake    time.Time
	earlier chan struct{}
}

func newTimers(door *doorbell) *timers {
	return &timers{door: door, now: time.Now, due: map[string]time.Time{}, earlier: make(chan struct{}, 1)}
}

// longestSleep bounds a sleep: the wall clock may be set, and a machine may have slept.
const longestSleep = 30 * time.Second

// set calls for the agreement at that time; zero: never.
func (t *timers) set(id string, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at.IsZero() {
		delete(t.due, id)
		return
	}
	t.due[id] = at
	if at.Before(t.wake) {
		select {
		case t.earlier <- struct{}{}:
		default:
		}
	}
}

// Start implements manager.Runnable.
func (t *timers) Start(ctx context.Context) error {
	for {
		timer := time.NewTimer(t.fire())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-t.earlier:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// fire rings for what is due and says how long to sleep.
func (t *timers) fire() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.wake = now.Add(longestSleep)
	for id, at := range t.due {
		if !at.After(now) {
			delete(t.due, id)
			t.door.ringUrgent(id)
			continue
		}
		if at.Before(t.wake) {
			t.wake = at
		}
	}
	return t.wake.Sub(now)
}
