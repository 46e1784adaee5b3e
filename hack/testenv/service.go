package testenv

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
)

// Service passes TCP connections on to one of several servers in turn, as a Service of Kubernetes does: a server that is removed gets
// no new connection, and keeps those that it has.
type Service struct {
	port     port
	listener net.Listener

	mu      sync.Mutex
	targets []string
	next    int
}

// NewService listens on a free port of 127.0.0.1.
func NewService(targets ...string) (*Service, error) {
	p, err := freePort()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", p.addr())
	if err != nil {
		return nil, errors.Join(err, p.release())
	}
	s := &Service{port: p, listener: l, targets: targets}
	go s.accept()
	return s, nil
}

// Addr is the host and port to connect to.
func (s *Service) Addr() string { return s.port.addr() }

// Add lets a server have connections.
func (s *Service) Add(target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.targets, target) {
		s.targets = append(s.targets, target)
	}
}

// Remove lets a server have no new connections.
func (s *Service) Remove(target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets = slices.DeleteFunc(slices.Clone(s.targets), func(t string) bool { return t == target })
}

// Stop takes no more connections.
func (s *Service) Stop() error { return errors.Join(s.listener.Close(), s.port.release()) }

func (s *Service) accept() {
	for {
		client, err := s.listener.Accept()
		if err != nil {
			return
		}
		go s.serve(client)
	}
}

// target is the one whose turn it is; "" when there is none.
func (s *Service) target() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.targets) == 0 {
		return ""
	}
	s.next++
	return s.targets[s.next%len(s.targets)]
}

func (s *Service) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", s.target())
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
	}
	both.Go(func() { pass(server, client) })
	both.Go(func() { pass(client, server) })
	both.Wait()
}
