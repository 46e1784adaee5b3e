package login_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/internal/login"
)

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

func TestContexts(t *testing.T) {
	dir := t.TempDir()
	store, err := login.DefaultStore(func(name string) string {
		return map[string]string{"HOME": dir, "XDG_CONFIG_HOME": "not absolute"}[name]
	})
	if err != nil || store.Path != filepath.Join(dir, ".config/entente/client.yaml") || store.Tokens != filepath.Join(dir, ".local/state/entente/tokens") {
		t.Fatalf("%+v %v", store, err)
	}
	f, err := store.Load()
	if err != nil || len(f.Contexts) != 0 {
		t.Fatalf("%+v %v", f, err)
	}
	if c, err := f.Find(""); c != nil || err != nil {
		t.Errorf("%+v %v", c, err)
	}
	f.Put(login.Context{Name: "police", Server: "a:1"})
	f.Put(login.Context{Name: "border", Server: "b:1"})
	f.Put(login.Context{Name: "police", Server: "c:1", TokenFile: "/t"})
	if err := store.Save(f); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{store.Path} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
	}
	again, err := store.Load()
	if err != nil || len(again.Contexts) != 2 || again.CurrentContext != "police" {
		t.Fatalf("%+v %v", again, err)
	}
	if c, err := again.Find(""); err != nil || c.Server != "c:1" {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := again.Find("coast"); err == nil || !strings.Contains(err.Error(), "entente login --context coast") {
		t.Errorf("%v", err)
	}
	again.Remove("police")
	if again.CurrentContext != "" {
		t.Error("a context that is gone is the current one")
	}

	// Who else could write it would choose where tokens go; what is misspelt is not passed over.
	if err := os.Chmod(store.Path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(store.Path, []byte("contexts:\n- name: a\n  sever: b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(store.Path, 0o600)
	if _, err := store.Load(); err == nil || !strings.Contains(err.Error(), "sever") {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"", "../x", "a/b", ".x", strings.Repeat("x", 64)} {
		if login.CheckName(name) == nil {
			t.Errorf("%q names a context", name)
		}
		if err := store.SaveToken(name, &login.Token{}); err == nil {
			t.Errorf("%q names a file", name)
		}
	}
}
