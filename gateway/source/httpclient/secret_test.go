package httpclient

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretSaysNothing(t *testing.T) {
	s, err := NewSecret(map[string]string{"token": "hush"})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "secret", s)
	if out := fmt.Sprintf("%v %+v %#v %s", s, s, s, b.String()); strings.Contains(out, "hush") {
		t.Error(out)
	}
}

func TestSecretRefused(t *testing.T) {
	for _, given := range []map[string]string{
		{"tokn": "hush"}, {"token": ""}, {"token": "hush\r\nX: y"}, {"username": "hush"}, {"password": "hush"}, {"username": "hu:sh", "password": "hush"},
		{"certificate": "hush"}, {"key": "hush"}, {"certificate": "hush", "key": "hush"},
	} {
		if _, err := NewSecret(given); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%v: %v", given, err)
		}
	}
}

func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ReadSecret(dir); err == nil || !strings.Contains(err.Error(), "there is no secret") {
		t.Error(err)
	}
	write("username", "u\n", 0o600)
	write("password", "p w\n", 0o600)
	if s, err := ReadSecret(dir); err != nil || s.username != "u" || s.password != "p w" {
		t.Error(err)
	}
	write("token", "t", 0o644)
	if _, err := ReadSecret(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Error(err)
	}
}
