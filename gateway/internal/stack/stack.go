// Package stack saves a goroutine that lives for one question from growing its stack in steps, or at all.
package stack

import "sync/atomic"

// Kept is how many goroutines wait with their stacks for the next question, here and in each gRPC listener. The garbage collector takes
// the stacks of those that wait; it comes once in some thousand questions.
const Kept = 64

// room is what a question takes: encoding, TLS and the log are some dozen calls deep.
const room = 12 << 10

var last = room - 1

// Grow gives the calling goroutine a stack with room at once. Otherwise it grows by doubling, and each time all that is on it is copied and
// every pointer into it set anew: with many frames on it that took a twentieth of the CPU time of a query to three agencies.
//
//go:noinline
func Grow() byte {
	var b [room]byte
	return b[last]
}

var (
	next    = make(chan func())
	waiting atomic.Int64
)

// Go runs f on another goroutine: on one that has a stack with room already, if one waits.
func Go(f func()) {
	select {
	case next <- f:
	default:
		go work(f)
	}
}

// work runs f, and then what comes, unless enough others wait for it.
func work(f func()) {
	Grow()
	for {
		f()
		if waiting.Add(1) > Kept {
			waiting.Add(-1)
			return
		}
		f = <-next
		waiting.Add(-1)
	}
}
