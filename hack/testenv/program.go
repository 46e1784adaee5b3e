package testenv

import (
	"context"
	"os"
	"syscall"
	"time"
)

// Program is a process of what is tested. It ends with Stop, and when this process dies.
type Program struct{ process *process }

// StartProgram starts a program whose output is appended to a file. env nil: this process's.
func StartProgram(path string, args, env []string, logFile string) (*Program, error) {
	p := &process{path: path, args: args, env: env, logFile: logFile, orphaned: syscall.SIGKILL}
	if err := p.start(); err != nil {
		return nil, err
	}
	return &Program{p}, nil
}

// LogFile is where its output is.
func (p *Program) LogFile() string { return p.process.logFile }

// Running says whether it has not ended.
func (p *Program) Running() bool { return p.process.running() }

// WaitReady calls ready until it succeeds, and fails when the program ends or does not get ready, with the end of its log.
func (p *Program) WaitReady(ctx context.Context, ready func(context.Context) error) error {
	return p.process.waitReady(ctx, ready)
}

// Stop asks it to end, and kills it when it has not ended after the grace.
func (p *Program) Stop(grace time.Duration) error { return p.process.stop(syscall.SIGTERM, grace) }

// Kill ends it without asking.
func (p *Program) Kill() error { return p.process.stop(os.Kill, time.Second) }

// Restart starts it again, after it has ended, with the same arguments.
func (p *Program) Restart() error { return p.process.start() }

// Addr is a host and port of 127.0.0.1 that nobody else who uses this package gets until release.
func Addr() (addr string, release func() error, err error) {
	p, err := freePort()
	if err != nil {
		return "", nil, err
	}
	return p.addr(), p.release, nil
}
