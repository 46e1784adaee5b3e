package testenv

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"
)

// Program is a process of what is tested, which can be started several times. It ends when this process dies.
type Program struct {
	// Path of the program, its arguments and environment (nil: this process's), and the folder that it runs in.
	Path string
	Args []string
	Env  []string
	Dir  string
	// LogFile gets its output, appended.
	LogFile string

	mu      sync.Mutex
	process *process
}

// Start starts it unless it runs.
func (p *Program) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process.running() {
		return nil
	}
	p.process = &process{path: p.Path, args: p.Args, env: p.Env, dir: p.Dir, logFile: p.LogFile, orphaned: syscall.SIGKILL}
	return p.process.start()
}

func (p *Program) current() *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process
}

// Running says whether it was started and has not ended.
func (p *Program) Running() bool { return p.current().running() }

// WaitReady calls ready until it succeeds, and fails when the program ends or does not get ready, with the end of its log.
func (p *Program) WaitReady(ctx context.Context, ready func(context.Context) error) error {
	return p.current().waitReady(ctx, ready)
}

// Stop asks it to end, and kills it when it has not ended after the grace.
func (p *Program) Stop(grace time.Duration) error { return p.current().stop(syscall.SIGTERM, grace) }

// Kill ends it without asking.
func (p *Program) Kill() error { return p.current().stop(os.Kill, time.Second) }

// LogTail is the end of its output.
func (p *Program) LogTail(lines int) string { return tail(p.LogFile, lines) }

// PID of the process that runs; 0: none does.
func (p *Program) PID() int {
	q := p.current()
	if !q.running() {
		return 0
	}
	return q.cmd.Process.Pid
}
