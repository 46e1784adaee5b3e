package main

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
)

const (
	// progressAfter is how long something takes before it is worth a line.
	progressAfter = 2 * time.Second
	progressEvery = 200 * time.Millisecond
)

// progress is a line, on a terminal that somebody watches, of how far something has come that takes longer than two seconds. It is
// gone when that ends. Its methods may be called at any time, by several at once.
type progress struct {
	done, total   atomic.Int64
	stop, stopped chan struct{}
	once          sync.Once
}

// startProgress begins to wait; what is in a few words what goes on. Nothing is shown to who does not watch.
func startProgress(messages io.Writer, what string, options ...progressbar.Option) *progress {
	p := &progress{stop: make(chan struct{}), stopped: make(chan struct{})}
	p.total.Store(-1)
	if !isTerminal(messages) {
		close(p.stopped)
		return p
	}
	go p.draw(messages, progressAfter, append([]progressbar.Option{
		progressbar.OptionSetWriter(messages), progressbar.OptionSetDescription(what), progressbar.OptionClearOnFinish(),
	}, options...))
	return p
}

// set says how much is done, and of how much; total below 0: nobody knows.
func (p *progress) set(done, total int64) {
	p.total.Store(total)
	p.done.Store(done)
}

func (p *progress) add(n int64) { p.done.Add(n) }

// end takes the line away. What is printed afterwards stands on a line of its own.
func (p *progress) end() {
	p.once.Do(func() { close(p.stop) })
	<-p.stopped
}

func (p *progress) draw(messages io.Writer, after time.Duration, options []progressbar.Option) {
	defer close(p.stopped)
	select {
	case <-p.stop:
		return
	case <-time.After(after):
	}
	bar := progressbar.NewOptions64(p.total.Load(), options...)
	defer func() { _ = bar.Clear() }()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		if total := p.total.Load(); total > 0 && total != bar.GetMax64() {
			bar.ChangeMax64(total)
		}
		_ = bar.Set64(p.done.Load())
		_ = bar.RenderBlank() // what turns, turns while nothing is done
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
	}
}
