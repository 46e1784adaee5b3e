package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// troupe is the child processes. They end with this one, however it ends (on Linux, even when it is killed).
type troupe struct {
	died chan error // gets the first that ends by itself

	mu       sync.Mutex
	stopping bool
	running  []*child
}

type child struct {
	name   string
	cmd    *exec.Cmd
	done   chan struct{}
	killed bool // on purpose
}

func newTroupe() *troupe { return &troupe{died: make(chan error, 1)} }

// stopTime is what a child gets to end in good order.
const stopTime = 5 * time.Second

// start starts a child whose output goes to a file.
func (t *troupe) start(name, logPath, binary string, args ...string) error {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = childAttributes()
	c := &child{name: name, cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer log.Close()
		// The kernel ends a child when the thread that started it ends: so this thread does nothing else until then.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		close(c.done)
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.stopping && !c.killed {
			select {
			case t.died <- fmt.Errorf("%s ended by itself: %v; see %s", name, err, logPath):
			default:
			}
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = append(t.running, c)
	return nil
}

// kill ends a child as a crash does (kill -9), and waits until it is gone.
func (t *troupe) kill(name string) {
	t.mu.Lock()
	i := slices.IndexFunc(t.running, func(c *child) bool { return c.name == name })
	if i < 0 {
		t.mu.Unlock()
		return
	}
	c := t.running[i]
	c.killed = true
	t.running = slices.Delete(t.running, i, i+1)
	t.mu.Unlock()
	_ = c.cmd.Process.Kill()
	<-c.done
}

// stop ends the children: asked first, then killed.
func (t *troupe) stop() error {
	t.mu.Lock()
	t.stopping = true
	running := t.running
	t.running = nil
	t.mu.Unlock()
	for _, c := range running {
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	}
	var errs []error
	deadline := time.After(stopTime)
	for _, c := range running {
		select {
		case <-c.done:
		case <-deadline:
			errs = append(errs, fmt.Errorf("process %d did not stop within %s and was killed", c.cmd.Process.Pid, stopTime))
			_ = c.cmd.Process.Kill()
			<-c.done
			deadline = time.After(0)
		}
	}
	return errors.Join(errs...)
}

// command runs one entente command to its end and returns what it prints.
func (s *stage) command(ctx context.Context, args ...string) ([]byte, error) {
	return s.commandAs(ctx, nil, args...)
}

// commandAs runs it as somebody.
func (s *stage) commandAs(ctx context.Context, who *client, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.Binary, args...)
	cmd.SysProcAttr = childAttributes()
	if who != nil {
		cmd.Env = append(os.Environ(), who.env()...)
	}
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out, fmt.Errorf("entente %s: %w: %s", args[0], err, exit.Stderr)
	}
	return out, err
}
