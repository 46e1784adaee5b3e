package secret

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestLoadOrCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "a.key")
	keys := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = LoadOrCreate(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if len(k) != Size || !bytes.Equal(k, keys[0]) {
			t.Fatalf("keys differ: %x %x", k, keys[0])
		}
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("%d files are left", len(entries))
	}
	os.Chmod(path, 0o640)
	if _, err := LoadOrCreate(path); err == nil {
		t.Error("a key that others may read was taken")
	}
	os.Chmod(path, 0o600)
	os.Truncate(path, 3)
	if _, err := LoadOrCreate(path); err == nil {
		t.Error("half a key was taken")
	}
}
