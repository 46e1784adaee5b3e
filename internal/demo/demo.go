// Package demo is `entente demo`: three agencies on this machine, run by the same binary and the same commands that people
// use, and a walk through what an agreement lets them ask each other.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/entente-dev/entente/controllers/standalone"
)

// Options of Run.
type Options struct {
	// Keep the files and stay up after the walk, until ctx ends.
	Keep bool
	// Dir for the files; empty: a temporary folder, removed at the end unless Keep.
	Dir string
	// Binary is the entente that runs the agencies.
	Binary string
	// Out is where it is told, in colour if Color. Live: Out is a terminal, on which a line may be written over.
	Out         io.Writer
	Color, Live bool
}

// ErrUnexpected says that something came out otherwise than the demonstration expects.
var ErrUnexpected = errors.New("the demonstration came out otherwise than expected: see ✗ above")

// Run runs the demonstration. It leaves no process behind, and no file unless asked to keep them.
func Run(ctx context.Context, o Options) error { return run(ctx, o, script) }

func run(ctx context.Context, o Options, script []step) (err error) {
	started := time.Now()
	s, err := newStage(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.strike()) }()
	s.out.title("Three agencies, one agreement", "Nothing leaves this machine: the people are synthetic, the agencies are processes on loopback.")
	if err := s.build(ctx); err != nil {
		return s.failed(ctx, err)
	}
	if err := s.play(ctx, script); err != nil {
		return s.failed(ctx, err)
	}
	s.out.note("%s, in %s.", s.out.summary(), time.Since(started).Round(100*time.Millisecond))
	if s.out.wrong > 0 {
		return ErrUnexpected
	}
	if o.Keep {
		s.invite()
		return s.wait(ctx)
	}
	return nil
}

// stage is where the demonstration happens.
type stage struct {
	Options
	root     string
	agencies []*agency
	out      *printer
	troupe   *troupe
	people   map[string]*client // one analyst at each agency
	// disclosure is the one that the last step looks up in both logs.
	disclosure string
}

func newStage(o Options) (*stage, error) {
	s := &stage{Options: o, agencies: cast(), out: &printer{w: o.Out, color: o.Color, live: o.Live}, people: map[string]*client{}}
	var err error
	if o.Dir == "" {
		s.root, err = os.MkdirTemp("", "entente-demo-")
	} else {
		s.root, err = emptyFolder(o.Dir)
	}
	if err != nil {
		return nil, err
	}
	s.troupe = newTroupe()
	for _, a := range s.agencies {
		a.dir = filepath.Join(s.root, a.Name)
	}
	return s, nil
}

// emptyFolder makes the folder, or takes it if it is empty: a demonstration does not write among somebody's files.
func emptyFolder(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("%s is not empty: name a folder that is, or one that does not exist yet", dir)
	}
	return dir, nil
}

// strike stops what runs and clears up.
func (s *stage) strike() error {
	err := s.troupe.stop()
	if s.Dir == "" && !s.Keep {
		err = errors.Join(err, os.RemoveAll(s.root))
	}
	return err
}

// failed adds what the agencies' own logs say last, unless somebody stopped the demonstration.
func (s *stage) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("stopped")
	}
	for _, a := range s.agencies {
		s.out.logTail(a.Name, filepath.Join(a.dir, ".entente", "standalone.log"))
	}
	return err
}

func (s *stage) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		s.out.note("\nStopping. The files stay in %s.", s.root)
		return nil
	case err := <-s.troupe.died:
		return err
	}
}

func (s *stage) agency(name string) *agency {
	for _, a := range s.agencies {
		if a.Name == name {
			return a
		}
	}
	panic("no agency " + name)
}

func (a *agency) folder() standalone.Folder { return standalone.Folder{ConfigDir: a.dir} }
