package gateway

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"
)

// TestSilentConnectionsMakeRoom: those that are silent go, the one that talks stays.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const places = 4
	l := newBounded(tcp, "test", places, time.Second, slog.New(slog.DiscardHandler))
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
	talk := func(c net.Conn) error {
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
	dial := func() net.Conn {
		c, err := net.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	talker := dial()
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			case <-time.After(5 * time.Millisecond):
				if err := talk(talker); err != nil {
					stopped <- err
					return
				}
			}
		}
	}()
	for range 3 * places {
		c := dial() // and then it is silent
		if err := talk(c); err != nil {
			t.Fatalf("a new connection gets no place: %v", err)
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Errorf("the connection that talks was closed: %v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.open); n > places {
		t.Errorf("%d open connections", n)
	}
}
