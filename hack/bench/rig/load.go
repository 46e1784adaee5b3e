package rig

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Order is one segment of load.
type Order struct {
	Target  string
	Callers int
	Time    time.Duration
}

// Reply is what came of it.
type Reply struct {
	Lookups       int
	Elapsed       time.Duration
	P50, P90, P99 time.Duration
	CPU           time.Duration // of the child
	Error         string
}

// Load is the child's end: it reads targets and orders, and answers each order. ask connects to a target and gives what asks it once; its
// number goes on from segment to segment, so that nothing is asked again soon.
func Load[T any](ask func(T) (name string, ask func(int64) error, err error)) error {
	in, out := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)
	var targets []T
	if err := in.Decode(&targets); err != nil {
		return err
	}
	asks := map[string]func(int64) error{}
	for _, t := range targets {
		name, one, err := ask(t)
		if err != nil {
			return err
		}
		asks[name] = one
	}
	for {
		var o Order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := out.Encode(Drive(asks[o.Target], o)); err != nil {
			return err
		}
	}
}

// lookups goes on from segment to segment, so that a filter is not asked again soon.
var lookups atomic.Int64

// Drive asks from so many callers at once, each as soon as it has its answer.
func Drive(ask func(int64) error, o Order) Reply {
	took := make([][]time.Duration, o.Callers)
	errs := make([]error, o.Callers)
	cpu := CPUTime()
	began := time.Now()
	var wg sync.WaitGroup
	for c := range o.Callers {
		wg.Go(func() {
			for at := time.Now(); at.Sub(began) < o.Time; {
				if errs[c] = ask(lookups.Add(1)); errs[c] != nil {
					return
				}
				now := time.Now()
				took[c] = append(took[c], now.Sub(at))
				at = now
			}
		})
	}
	wg.Wait()
	r := Reply{Elapsed: time.Since(began), CPU: CPUTime() - cpu}
	if err := errors.Join(errs...); err != nil {
		r.Error = err.Error()
		return r
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	r.Lookups = len(all)
	r.P50, r.P90, r.P99 = all[len(all)/2], all[len(all)*9/10], all[len(all)*99/100]
	return r
}

// CPUTime of this process, in user and kernel.
func CPUTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Child is the other end of load.
type Child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// ChildArgument is the first argument of the program that is the child.
const ChildArgument = "load"

// StartChild starts this program again, with ChildArgument; targets are what Load decodes.
func StartChild(targets any) (*Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &Child{cmd: exec.Command(self, ChildArgument)}
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, json.NewEncoder(c.in).Encode(targets)
}

// Run has a target loaded.
func (c *Child) Run(o Order) (r Reply, err error) {
	if err := json.NewEncoder(c.in).Encode(o); err != nil {
		return r, err
	}
	if err := c.out.Decode(&r); err != nil {
		return r, err
	}
	if r.Error != "" {
		return r, fmt.Errorf("%s: %s", o.Target, r.Error)
	}
	return r, nil
}

// Stop ends the child, which ends with its input.
func (c *Child) Stop() error { return errors.Join(c.in.Close(), c.cmd.Wait()) }

// Dial connects with mutual TLS: to a gateway, whose certificate names no host, or to a server for users, which is
// 127.0.0.1.
func Dial(address string, own *tls.Certificate, authority *x509.Certificate, named bool) (*grpc.ClientConn, error) {
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	c := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*own}, RootCAs: roots}
	if !named {
		c.InsecureSkipVerify = true // the chain is verified below
		c.VerifyConnection = func(s tls.ConnectionState) error {
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots})
			return err
		}
	}
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(c)), grpc.WithDisableServiceConfig())
}
