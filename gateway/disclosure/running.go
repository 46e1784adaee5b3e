package disclosure

import (
	"context"
	"sync"
)

// running knows what runs under each agreement, to cut it when the agreement ends.
type running struct {
	mu sync.Mutex
	by map[string]map[*run]struct{}
}

type run struct{ cancel context.CancelCauseFunc }

// start gives a context that ends with the agreement; done must be called when the answer is over.
func (r *running) start(ctx context.Context, agreement string) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	self := &run{cancel}
	r.mu.Lock()
	if r.by == nil {
		r.by = map[string]map[*run]struct{}{}
	}
	set := r.by[agreement]
	if set == nil {
		set = map[*run]struct{}{}
		r.by[agreement] = set
	}
	set[self] = struct{}{}
	r.mu.Unlock()
	return ctx, func() {
		r.mu.Lock()
		delete(r.by[agreement], self)
		if len(r.by[agreement]) == 0 {
			delete(r.by, agreement)
		}
		r.mu.Unlock()
		cancel(nil)
	}
}

// cut ends everything under the agreement.
func (r *running) cut(agreement string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for run := range r.by[agreement] {
		run.cancel(errCut)
	}
}
