package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// lookEvery is how often a process looks at what it has allocated.
	lookEvery = 5 * time.Second
	// quietBytes are allocated between two looks by a process that is scraped and asked for its health, and does little else.
	quietBytes = 4 << 20
	// worthBytes of new allocations are worth a collection.
	worthBytes = 8 << 20
)

// giveBack returns memory to the system when a load, or the start, is over: Go's runtime keeps a heap as large as it grew to, which is several
// times what is in use, and without allocations looks at it again after two minutes at the earliest. It returns when ctx ends.
func giveBack(ctx context.Context) {
	allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	var q quietness
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
		metrics.Read(allocated)
		if q.due(allocated[0].Value.Uint64()) {
			debug.FreeOSMemory()
		}
	}
}

// quietness is what was allocated in all, in bytes: at the last look, and when memory was last given back.
type quietness struct{ last, given uint64 }

// due says whether to give back memory, now that so many bytes were allocated in all.
func (q *quietness) due(allocated uint64) bool {
	quiet := allocated-q.last < quietBytes
	q.last = allocated
	if !quiet || allocated-q.given < worthBytes {
		return false
	}
	q.given = allocated
	return true
}
