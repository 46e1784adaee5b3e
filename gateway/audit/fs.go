package audit

import (
	"io"
	"os"
)

// FS is how the log reaches its files for writing, so that a test can make them fail. A nil FS is the operating system's.
type FS interface {
	OpenFile(name string, flag int, perm os.FileMode) (File, error)
	Remove(name string) error
	Rename(from, to string) error
	// SyncDir makes creations, renames and removals in the directory durable.
	SyncDir(name string) error
}

// File is an open file of the log.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	// Allocate reserves space for size bytes, so that a write inside them cannot find the disk full.
	Allocate(size int64) error
	// Sync makes written data durable, and the size where it changed.
	Sync() error
}

type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Remove(name string) error     { return os.Remove(name) }
func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

func (osFS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// osFile is a file with the two calls that differ between systems.
type osFile struct{ *os.File }

func (f osFile) Allocate(size int64) error { return allocate(f.File, size) }
func (f osFile) Sync() error               { return datasync(f.File) }
