// Package floor is the least that makes records durable: one preallocated file, the same bytes for each record, one group
// commit by fdatasync, and no encoding, hash, salt, chain or encryption. Benchmarks compare the log with it.
package floor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// File is the group-committed file.
type File struct {
	f      *os.File
	record []byte
	mu     sync.Mutex
	n      int
	done   chan struct{}
	wake   chan struct{}
	end    chan error
}

const space = 1 << 30

// Create makes the file, for records of size bytes.
func Create(path string, size int) (*File, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(unix.Fallocate(int(f.Fd()), 0, 0, space), f.Sync()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	l := &File{
		f: f, record: bytes.Repeat([]byte{'x'}, size),
		done: make(chan struct{}), wake: make(chan struct{}, 1), end: make(chan error, 1),
	}
	go func() { l.end <- l.run() }()
	return l, nil
}

// Append returns when a record is durable.
func (l *File) Append() {
	l.mu.Lock()
	l.n++
	done := l.done
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	<-done
}

func (l *File) run() error {
	var offset int64
	var buf []byte
	for range l.wake {
		l.mu.Lock()
		n, done := l.n, l.done
		l.n, l.done = 0, make(chan struct{})
		l.mu.Unlock()
		buf = buf[:0]
		for range n {
			buf = append(buf, l.record...)
		}
		if _, err := l.f.WriteAt(buf, offset); err != nil {
			return err
		}
		offset = (offset + int64(len(buf))) % (space - 4<<20)
		if err := unix.Fdatasync(int(l.f.Fd())); err != nil {
			return err
		}
		close(done)
	}
	return nil
}

// Close ends it. Nobody may be appending.
func (l *File) Close() error {
	close(l.wake)
	return errors.Join(<-l.end, l.f.Close())
}
