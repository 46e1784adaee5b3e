// Package secret keeps the small keys that a gateway makes for itself on its volume.
package secret

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Size of a key in bytes.
const Size = 32

// LoadOrCreate reads the key in the file, or makes one when there is no file. It refuses a file that others may read and
// one of another size: going on with a fresh key would break every token made with the old one.
func LoadOrCreate(path string) ([]byte, error) {
	key, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := create(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return Load(path)
}

// Load reads the key in the file. It refuses a file that others may read and one of another size.
func Load(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: mode is %04o; a key is for its owner only: chmod 600", path, info.Mode().Perm())
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(key) != Size {
		return nil, fmt.Errorf("%s: has %d bytes, a key has %d", path, len(key), Size)
	}
	return key, nil
}

// create writes the whole key under another name first: a crash leaves a key or none, never half a one.
func create(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".key-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	key := make([]byte, Size)
	rand.Read(key)
	_, err = f.Write(key)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	// Link, unlike Rename, does not replace a key that another process made meanwhile.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
