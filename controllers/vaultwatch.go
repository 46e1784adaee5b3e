package controllers

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// vaultWatch looks whether Vault answers, so that conditions say so even when nothing else happens. What was issued before goes on
// without it.
type vaultWatch struct {
	// check asks Vault something that it answers to anybody who is logged in.
	check func(context.Context) error
	// changed is called after Vault went or came back.
	changed func()
	now     func() time.Time
	outage  atomic.Pointer[outage]
}

// outage is since when and why Vault does not answer.
type outage struct {
	since time.Time
	err   error
}

const (
	checkEvery   = 5 * time.Second
	checkAgain   = time.Second // while it is away
	checkTimeout = 3 * time.Second
)

// away says since when and why Vault does not answer; nil: it does.
func (w *vaultWatch) away() error {
	o := w.outage.Load()
	if o == nil {
		return nil
	}
	return fmt.Errorf("no answer since %s: %w", o.since.UTC().Format(time.RFC3339), o.err)
}

// Start implements manager.Runnable.
func (w *vaultWatch) Start(ctx context.Context) error {
	for {
		w.look(ctx)
		wait := checkEvery
		if w.away() != nil {
			wait = checkAgain
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (w *vaultWatch) look(ctx context.Context) {
	asked, cancel := context.WithTimeout(ctx, checkTimeout)
	err := w.check(asked)
	cancel()
	if ctx.Err() != nil {
		return
	}
	before := w.outage.Load()
	switch {
	case err == nil:
		w.outage.Store(nil)
	case before == nil:
		w.outage.Store(&outage{w.now(), err})
	}
	if (before == nil) != (err == nil) {
		w.changed()
	}
}
