package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

// A command that finds the log open elsewhere leaves its order in a file beside it, and the process that has the log open
// leaves the answer in another.
const (
	requestFile = "erase-request"
	answerFile  = "erase-answer"
)

type eraseRequest struct {
	ID        string    `json:"id"`
	Selection Selection `json:"selection"`
	Order     Order     `json:"order"`
}

type eraseAnswer struct {
	ID      string `json:"id"`
	Entries uint64 `json:"entries"`
	Error   string `json:"error,omitempty"`
}

// RequestErasure has the process that has the log in dir open erase payloads, and waits until it has. It is Erase otherwise.
func RequestErasure(ctx context.Context, dir string, s Selection, o Order) (uint64, error) {
	if err := s.validate(o); err != nil {
		return 0, err
	}
	r := eraseRequest{ID: uuid.NewString(), Selection: s, Order: o}
	b, err := encodeSummed(r)
	if err != nil {
		return 0, err
	}
	own, path := filepath.Join(dir, requestFile+"."+r.ID), filepath.Join(dir, requestFile)
	if err := os.WriteFile(own, b, 0o600); err != nil {
		return 0, fmt.Errorf("audit: %w", err)
	}
	defer os.Remove(own)
	if err := os.Link(own, path); errors.Is(err, fs.ErrExist) {
		return 0, errors.New("audit: another erasure is waiting for the gateway: try again when it is done")
	} else if err != nil {
		return 0, fmt.Errorf("audit: %w", err)
	}
	for {
		select {
		case <-ctx.Done():
			os.Remove(path)
			return 0, fmt.Errorf("audit: no answer from the process that has the log open; nothing may have been erased: %w", context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
		b, err := os.ReadFile(filepath.Join(dir, answerFile))
		var a eraseAnswer
		if err != nil || decodeSummed(b, &a) != nil || a.ID != r.ID {
			continue
		}
		if a.Error != "" {
			return a.Entries, errors.New(a.Error)
		}
		return a.Entries, nil
	}
}

// answerRequest does what was requested, if anything was.
func (l *Log) answerRequest(ctx context.Context) error {
	path := filepath.Join(l.dir, requestFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var r eraseRequest
	if err == nil {
		err = decodeSummed(b, &r)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("audit: request of an erasure: %w", err), l.o.FS.Remove(path))
	}
	a := eraseAnswer{ID: r.ID}
	a.Entries, err = l.Erase(ctx, r.Selection, r.Order)
	if err == nil {
		err = l.Sweep(ctx)
	}
	if err != nil {
		a.Error = err.Error()
	}
	if b, err = encodeSummed(a); err != nil {
		return err
	}
	if err := writeFile(l.o.FS, filepath.Join(l.dir, answerFile), b); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return l.o.FS.Remove(path)
}
