package source

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
)

// Watched hands on every query, and remembers of each dataset how the latest went.
type Watched struct {
	Source
	seen sync.Map // name of a dataset → *reading
}

// reading is the latest query of a dataset.
type reading struct {
	at   atomic.Int64 // Unix seconds
	away atomic.Bool
}

// watchedFor is how long a dataset counts after its latest query.
const watchedFor = time.Hour

// Systems counts the datasets that were read in the last hour, by whether the system of records answered the latest query: what
// did not fit the dataset, or took too long, came from a system that is there.
func (w *Watched) Systems(now time.Time) (up, away int) {
	w.seen.Range(func(name, r any) bool {
		switch r := r.(*reading); {
		case now.Sub(time.Unix(r.at.Load(), 0)) > watchedFor:
			w.seen.Delete(name)
		case r.away.Load():
			away++
		default:
			up++
		}
		return true
	})
	return up, away
}

func (w *Watched) saw(q Query, err error) {
	if q.Dataset == nil || err != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return // the caller or the agreement went away
	}
	r, ok := w.seen.Load(q.Dataset.Name)
	if !ok {
		r, _ = w.seen.LoadOrStore(q.Dataset.Name, &reading{})
	}
	r.(*reading).at.Store(time.Now().Unix())
	r.(*reading).away.Store(errors.Is(err, ErrUnavailable))
}

// Describe implements Describer.
func (w *Watched) Describe(q Query, m Method) (Statement, error) { return Describe(w.Source, q, m) }

// Records implements Source.
func (w *Watched) Records(ctx context.Context, q Query, yield func(*gatewayv1.Record) error) (bool, error) {
	more, err := w.Source.Records(ctx, q, yield)
	w.saw(q, err)
	return more, err
}

// Count implements Source.
func (w *Watched) Count(ctx context.Context, q Query) (int64, error) {
	n, err := w.Source.Count(ctx, q)
	w.saw(q, err)
	return n, err
}

// Exists implements Source.
func (w *Watched) Exists(ctx context.Context, q Query) (bool, error) {
	yes, err := w.Source.Exists(ctx, q)
	w.saw(q, err)
	return yes, err
}

// Stream implements Streamer.
func (w *Watched) Stream(ctx context.Context, q Query, to Sink) (bool, error) {
	more, err := Stream(ctx, w.Source, q, to)
	w.saw(q, err)
	return more, err
}
