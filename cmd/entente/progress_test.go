package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/schollz/progressbar/v3"
)

// screen is what was drawn so far.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// shows waits until a text was drawn.
func (s *screen) shows(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(s.String(), text); time.Sleep(progressEvery / 10) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q in %q", text, s)
		}
	}
}

func drawn(t *testing.T, after time.Duration, steps func(*progress, *screen)) string {
	t.Helper()
	var b screen
	p := &progress{stop: make(chan struct{}), stopped: make(chan struct{})}
	p.total.Store(-1)
	go p.draw(&b, after, []progressbar.Option{
		progressbar.OptionSetWriter(&b), progressbar.OptionSetDescription("asking"), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(),
	})
	steps(p, &b)
	p.end()
	p.end() // again is no harm
	return b.String()
}

func TestProgress(t *testing.T) {
	long := drawn(t, 0, func(p *progress, s *screen) {
		s.shows(t, "asking")
		p.add(41)
		p.add(1)
		s.shows(t, "42/-")
		p.set(50, 100)
		s.shows(t, "50/100")
	})
	if last := long[strings.LastIndex(strings.TrimRight(long, "\r"), "\r")+1:]; strings.Trim(last, " \r") != "" {
		t.Errorf("the line is left behind: %q", last)
	}
	if short := drawn(t, time.Hour, func(p *progress, _ *screen) { p.add(1) }); short != "" {
		t.Errorf("what is over at once shows %q", short)
	}
	var nobody bytes.Buffer
	p := startProgress(&nobody, "asking")
	p.add(1)
	p.end()
	if nobody.Len() != 0 {
		t.Errorf("nobody watches: %q", &nobody)
	}
}
