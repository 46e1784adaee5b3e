package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BuildEntente builds the binary of this work tree into a folder, unless ENTENTE_BIN names one, and gives its path.
func BuildEntente(ctx context.Context, dir string) (string, error) {
	if binary := os.Getenv("ENTENTE_BIN"); binary != "" {
		return binary, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "entente")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/entente")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/entente: %w: %s", err, out)
	}
	return binary, nil
}

// RequireEntente is BuildEntente for a test, whose folder goes with it.
func RequireEntente(t testing.TB) string {
	t.Helper()
	binary, err := BuildEntente(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return binary
}
