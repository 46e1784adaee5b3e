package main

import (
	"bufio"
	"context"
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

	"github.com/google/uuid"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
)

// target is a server to load.
type target struct {
	Name    string
	Address string
	// Users: it serves users, by QueryService; otherwise peers, by SourceService.
	Users bool
	// Chain and Key (PKCS #8) of the caller; Authority of the server.
	Chain, Key, Authority []byte
}

func newTarget(name, address string, users bool, own *tls.Certificate, authority *x509.Certificate) (target, error) {
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	return target{Name: name, Address: address, Users: users, Chain: own.Certificate[0], Key: key, Authority: authority.Raw}, err
}

// order is one segment of load; reply is what came of it.
type order struct {
	Target  string
	Callers int
	Time    time.Duration
}

type reply struct {
	Lookups       int
	Elapsed       time.Duration
	P50, P90, P99 time.Duration
	CPU           time.Duration // of the child
	Error         string
}

// load is the child's end: it reads targets and orders, and answers each order.
func load() error {
	in, out := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)
	var targets []target
	if err := in.Decode(&targets); err != nil {
		return err
	}
	asks := map[string]func(int64) error{}
	for _, t := range targets {
		ask, err := t.ask()
		if err != nil {
			return err
		}
		asks[t.Name] = ask
	}
	for {
		var o order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := out.Encode(drive(asks[o.Target], o)); err != nil {
			return err
		}
	}
}

// lookups goes on from segment to segment, so that a filter is not asked again soon.
var lookups atomic.Int64

// drive asks from so many callers at once, each as soon as it has its answer.
func drive(ask func(int64) error, o order) reply {
	took := make([][]time.Duration, o.Callers)
	errs := make([]error, o.Callers)
	cpu := cpuTime()
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
	r := reply{Elapsed: time.Since(began), CPU: cpuTime() - cpu}
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

// cpuTime of this process, in user and kernel.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (t *target) ask() (func(int64) error, error) {
	key, err := x509.ParsePKCS8PrivateKey(t.Key)
	if err != nil {
		return nil, err
	}
	authority, err := x509.ParseCertificate(t.Authority)
	if err != nil {
		return nil, err
	}
	conn, err := dial(t.Address, &tls.Certificate{Certificate: [][]byte{t.Chain}, PrivateKey: key}, authority, t.Users)
	if err != nil {
		return nil, err
	}
	fields := []string{"person_number", "birth_date"}
	why := &gatewayv1.Justification{CaseReference: "SP-2026-1"}
	filter := func(i int64) string { return fmt.Sprintf(`person_number == "P%06d"`, i*7919%people) }
	if t.Users {
		c := gatewayv1.NewQueryServiceClient(conn)
		return func(i int64) error {
			stream, err := c.Query(context.Background(), &gatewayv1.QueryRequest{Schema: "person", Filter: filter(i), Fields: fields, Purpose: purpose, Justification: why})
			if err != nil {
				return err
			}
			records := 0
			for {
				f, err := stream.Recv()
				if err == io.EOF {
					break
				}
				if err != nil {
					return err
				}
				if s := f.GetSource(); s != nil && s.GetOutcome() != gatewayv1.Outcome_OUTCOME_OK {
					return fmt.Errorf("%v", s)
				}
				records += len(f.GetRecords().GetRecords())
			}
			if records != 1 {
				return fmt.Errorf("%d records", records)
			}
			return nil
		}, nil
	}
	c := gatewayv1.NewSourceServiceClient(conn)
	return func(i int64) error {
		stream, err := c.Retrieve(context.Background(), &gatewayv1.RetrieveRequest{
			DisclosureId: uuid.Must(uuid.NewV7()).String(), Agreement: agreement, Version: 1, Clause: "persons", Schema: "person.v1",
			Filter: filter(i), Fields: fields, Granularity: gatewayv1.Granularity_GRANULARITY_RECORDS,
			Purpose: purpose, Justification: why, User: "AAAAAAAAAAAAAAAAAAAAAA",
		})
		if err != nil {
			return err
		}
		f, err := stream.Recv()
		if err != nil {
			return err
		}
		if len(f.GetRecords().GetRecords()) != 1 {
			return fmt.Errorf("%v", f.GetResult())
		}
		return ended(stream.Recv())
	}, nil
}

// ended wants the end of a stream.
func ended(_ *gatewayv1.RetrieveResponse, err error) error {
	switch {
	case err == nil:
		return errors.New("more than one frame")
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

// firstLookup asks the source's gateway once.
func firstLookup(w *world) error {
	t, err := newTarget("governed", w.source.addrs.Peer, false, w.credential, w.source.ca.certificate)
	if err != nil {
		return err
	}
	ask, err := t.ask()
	if err != nil {
		return err
	}
	return ask(0)
}

// child is the other end of load.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

const childArgument = "load"

func startChild(targets []target) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self, childArgument)}
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

func (c *child) run(o order) (r reply, err error) {
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

// stop ends the child, which ends with its input.
func (c *child) stop() error { return errors.Join(c.in.Close(), c.cmd.Wait()) }
