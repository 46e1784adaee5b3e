package testenv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// port is a TCP port of 127.0.0.1 that is ours until it is released, also while no server listens on it.
type port struct {
	number  int
	release func() error
}

func (p port) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.number)) }

// freePort picks below the range from which systems take the local ports of outgoing connections, so that no client can
// take the port of a server that is down for a while.
func freePort() (port, error) {
	var last error
	for range 200 {
		p := port{number: 15000 + rand.IntN(15000)}
		release, err := claimPort(p.number)
		if err != nil {
			last = err
			continue
		}
		l, err := net.Listen("tcp", p.addr())
		if err == nil {
			err = l.Close()
		}
		if err != nil {
			last = errors.Join(err, release())
			continue
		}
		p.release = release
		return p, nil
	}
	return port{}, fmt.Errorf("testenv: no free port between 15000 and 30000: %w", last)
}
