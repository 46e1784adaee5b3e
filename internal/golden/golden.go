// Package golden holds generated pages against what they should say. Only tests use it.
package golden

import (
	"os"
	"path/filepath"
	"testing"
)

// Page fails the test when the page at path, from the test's folder, is not as wanted. With update it is written first, as `make generate`
// has it.
func Page(t testing.TB, path, want string, update bool) {
	t.Helper()
	if update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale: run make generate", path)
	}
}
