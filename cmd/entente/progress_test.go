package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/schollz/progressbar/v3"
)

func drawn(t *testing.T, after time.Duration, steps func(*progress)) string {
	t.Helper()
	var b bytes.Buffer
	p := &progress{stop: make(chan struct{}), stopped: make(chan struct{})}
	p.total.Store(-1)
	go p.draw(&b, after, []progressbar.Option{
		progressbar.OptionSetWriter(&b), progressbar.OptionSetDescription("asking"), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(),
	})
	steps(p)
	p.end()
	p.end() // again is no harm
	return b.String()
}

func TestProgress(t *testing.T) {
	long := drawn(t, 0, func(p *progress) {
		p.add(41)
		p.add(1)
		time.Sleep(progressEvery)
		p.set(50, 100)
		time.Sleep(2 * progressEvery)
	})
	for _, want := range []string{"asking", "42/-", "50/100"} {
		if !strings.Contains(long, want) {
			t.Errorf("no %q in %q", want, long)
		}
	}
	if last := long[strings.LastIndex(strings.TrimRight(long, "\r"), "\r")+1:]; strings.Trim(last, " \r") != "" {
		t.Errorf("the line is left behind: %q", last)
	}
	if short := drawn(t, time.Hour, func(p *progress) { p.add(1) }); short != "" {
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
