package testenv

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// Proxy passes TCP connections on to a server until it is told to refuse them or to let them hang, so that a server can be
// away without forgetting what it holds in memory. Put one before whatever a test wants to take away.
type Proxy struct {
	target string
	port   port

	mu       sync.Mutex
	listener net.Listener  // nil while down
	gate     chan struct{} // closed while bytes may pass
	hanging  bool
	conns    map[*proxyConn]struct{}
}

// NewProxy listens on a free port of 127.0.0.1 and passes connections on to target, a host and port.
func NewProxy(target string) (*Proxy, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, port: port, gate: make(chan struct{}), hanging: true, conns: map[*proxyConn]struct{}{}}
	if err := p.Up(); err != nil {
		return nil, errors.Join(err, port.release())
	}
	return p, nil
}

// Addr is the host and port to connect to. It stays the same.
func (p *Proxy) Addr() string { return p.port.addr() }

// Down cuts all connections and refuses new ones.
func (p *Proxy) Down() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.listener != nil {
		err = p.listener.Close()
		p.listener = nil
	}
	for c := range p.conns {
		c.close()
	}
	return err
}

// Hang keeps connections open and accepts new ones, but lets nothing through.
func (p *Proxy) Hang() error {
	if err := p.Up(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate, p.hanging = make(chan struct{}), true
	return nil
}

// Up ends Down and Hang: what hangs goes on, what was cut stays cut.
func (p *Proxy) Up() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		l, err := listenAgain(p.port.addr())
		if err != nil {
			return fmt.Errorf("testenv: proxy to %s: %w", p.target, err)
		}
		p.listener = l
		go p.accept(l)
	}
	if p.hanging {
		close(p.gate)
		p.hanging = false
	}
	return nil
}

// listenAgain listens on a port that was just given up. A process that is being started has the files of its parent for a moment, a
// listener that was closed meanwhile among them.
func listenAgain(address string) (net.Listener, error) {
	for try := 0; ; try++ {
		l, err := net.Listen("tcp", address)
		if err == nil || try == 100 || !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Stop is Down for good.
func (p *Proxy) Stop() error { return errors.Join(p.Down(), p.port.release()) }

func (p *Proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go p.serve(l, client)
	}
}

func (p *Proxy) serve(l net.Listener, client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		client.Close()
		return
	}
	c := &proxyConn{client: client, server: server, done: make(chan struct{})}
	p.mu.Lock()
	if p.listener != l { // went down meanwhile
		p.mu.Unlock()
		c.close()
		return
	}
	p.conns[c] = struct{}{}
	p.mu.Unlock()

	var both sync.WaitGroup
	both.Go(func() { p.copy(c, server, client) })
	both.Go(func() { p.copy(c, client, server) })
	both.Wait()
	c.close()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// copy passes bytes in one direction, and then the end of the stream.
func (p *Proxy) copy(c *proxyConn, to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		gate := p.gate
		p.mu.Unlock()
		select {
		case <-gate:
		case <-c.done:
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				c.close()
				return
			}
		}
		if err != nil {
			if t, ok := to.(*net.TCPConn); ok {
				_ = t.CloseWrite()
			}
			return
		}
	}
}

// proxyConn is a client's connection with the one to the server that belongs to it.
type proxyConn struct {
	client, server net.Conn
	once           sync.Once
	done           chan struct{}
}

func (c *proxyConn) close() {
	c.once.Do(func() {
		close(c.done)
		c.client.Close()
		c.server.Close()
	})
}
