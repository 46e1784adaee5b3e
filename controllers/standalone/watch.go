package standalone

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long a change may still be going on: editors write in several steps.
	settle = 15 * time.Millisecond
	// poll finds what the kernel does not tell: network file systems, and folders past its limit of watches.
	poll = time.Second
)

// watch sends when the folder may have changed, until ctx ends. Changes that come together are sent once.
func watch(ctx context.Context, dir string, log *slog.Logger) <-chan struct{} {
	changed := make(chan struct{}, 1)
	var events <-chan fsnotify.Event
	w, err := fsnotify.NewWatcher()
	if err == nil {
		if err = w.Add(dir); err == nil {
			events = w.Events
		}
	}
	if err != nil {
		log.Warn("the folder is polled", "every", poll, "why", err)
	}
	go func() {
		if w != nil {
			defer w.Close()
		}
		look(ctx, dir, events, changed)
	}()
	return changed
}

func look(ctx context.Context, dir string, events <-chan fsnotify.Event, changed chan<- struct{}) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	quiet := time.NewTimer(settle)
	quiet.Stop()
	last := listing(dir)
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-events:
			if !ok {
				events = nil
			} else if counts(filepath.Base(e.Name)) {
				quiet.Reset(settle)
			}
		case <-tick.C:
			if now := listing(dir); now != last {
				last = now
				quiet.Reset(settle)
			}
		case <-quiet.C:
			select {
			case changed <- struct{}{}:
			default: // one is waiting already
			}
		}
	}
}

// listing is a string that changes with the folder.
func listing(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, e := range entries {
		if !counts(e.Name()) {
			continue
		}
		if info, err := e.Info(); err == nil {
			fmt.Fprintln(&b, e.Name(), info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}
