package testenv

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// workDir is where one server keeps its logs and files.
type workDir struct {
	path string
	temp bool // ours to remove
}

// newWorkDir makes dir, or a folder for temporary files if it is empty.
func newWorkDir(dir, server string) (workDir, error) {
	if dir == "" {
		temp, err := os.MkdirTemp("", "entente-"+server+"-")
		if err != nil {
			return workDir{}, fmt.Errorf("testenv: folder of %s: %w", server, err)
		}
		return workDir{path: temp, temp: true}, nil
	}
	abs, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(abs, 0o755)
	}
	if err != nil {
		return workDir{}, fmt.Errorf("testenv: folder of %s: %w", server, err)
	}
	return workDir{path: abs}, nil
}

func (d workDir) file(name string) string { return filepath.Join(d.path, name) }

// write makes a file that only this user reads.
func (d workDir) write(name string, data []byte) (string, error) {
	path := d.file(name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", fmt.Errorf("testenv: %w", err)
	}
	return path, nil
}

func (d workDir) remove() error {
	if !d.temp {
		return nil
	}
	return os.RemoveAll(d.path)
}

// progress tells w how long a step took.
func progress(w io.Writer, began time.Time, format string, args ...any) {
	if w != nil {
		fmt.Fprintf(w, "%s (%.1f s)\n", fmt.Sprintf(format, args...), time.Since(began).Seconds())
	}
}
