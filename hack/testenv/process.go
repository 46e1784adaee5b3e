package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one server process, which can be started several times. Its output is appended to a file.
type process struct {
	path    string
	args    []string
	env     []string // nil: the parent's
	dir     string   // working directory
	logFile string
	user    *syscall.Credential // nil: the parent's
	// orphaned is what the process gets when this one dies: a kill, unless it has children to take along.
	orphaned os.Signal

	cmd  *exec.Cmd
	done chan struct{} // closed after the process has ended
	err  error         // how it ended
}

func (p *process) name() string { return filepath.Base(p.path) }

func (p *process) start() error {
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("testenv: log of %s: %w", p.name(), err)
	}
	defer log.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env, cmd.Dir = p.env, p.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = withDeathSignal(p.orphaned, p.user)
	if err := onStarter(cmd.Start); err != nil {
		return fmt.Errorf("testenv: start %s: %w", p.path, err)
	}
	p.cmd, p.done = cmd, make(chan struct{})
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return nil
}

func (p *process) running() bool {
	if p == nil || p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop sends the signal, and a kill if the process has not ended after the grace. It returns when the process has ended.
func (p *process) stop(sig os.Signal, grace time.Duration) error {
	if !p.running() {
		return nil
	}
	err := p.cmd.Process.Signal(sig)
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
	}
	err = errors.Join(err, p.cmd.Process.Kill())
	select {
	case <-p.done:
		return nil
	case <-time.After(time.Minute):
		return fmt.Errorf("testenv: %s (process %d) does not end: %w", p.name(), p.cmd.Process.Pid, err)
	}
}

func (p *process) signal(sig os.Signal) error {
	if !p.running() {
		return fmt.Errorf("testenv: %s is not running", p.name())
	}
	return p.cmd.Process.Signal(sig)
}

// waitReady calls ready until it succeeds. It fails when the process ends, or in time, with the end of the log.
func (p *process) waitReady(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var last error
	for {
		if err := ready(ctx); err == nil {
			return nil
		} else if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-p.done:
			return fmt.Errorf("testenv: %s ended (%v) before it was ready; the end of %s:\n%s", p.name(), p.err, p.logFile, tail(p.logFile, 20))
		case <-ctx.Done():
			return fmt.Errorf("testenv: %s is not ready: %w: %w; the end of %s:\n%s", p.name(), ctx.Err(), last, p.logFile, tail(p.logFile, 20))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tail is the last lines of a file, for error messages.
func tail(file string, lines int) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// starter is one goroutine that keeps its thread for ever. Linux sends the signal for a parent's death when the *thread* that
// started the child ends, and Go ends threads.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

func onStarter(f func() error) error {
	result := make(chan error, 1)
	starter() <- func() { result <- f() }
	return <-result
}
