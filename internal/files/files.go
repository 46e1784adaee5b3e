// Package files writes files that somebody may read, or a crash may hit, at any time.
package files

import (
	"os"
	"path/filepath"
)

// Replace writes a file of that mode in one step, whatever was there before, and whatever mode that had. Until then nobody but its owner reads
// what is written.
func Replace(path string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
