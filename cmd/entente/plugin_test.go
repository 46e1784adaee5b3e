package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asCommand makes the test binary run as the command itself, so that a test can call it under another name.
const asCommand = "ENTENTE_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestPlugin: the same binary, found by kubectl under the plugin's name, speaks of itself as `kubectl entente`.
func TestPlugin(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		link := filepath.Join(t.TempDir(), name)
		if err := os.Symlink(self, link); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), link, args...)
		cmd.Env = append(os.Environ(), asCommand+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	help := run("kubectl-entente", "agreement", "diff", "--help")
	for _, want := range []string{"Usage:\n  kubectl entente agreement diff A [B] [flags]", "\n  kubectl entente agreement diff anvil.v2 "} {
		if !strings.Contains(help, want) {
			t.Errorf("kubectl-entente: no %q in\n%s", want, help)
		}
	}
	if root := run("kubectl-entente", "--help"); !strings.Contains(root, "\n  kubectl entente agreement --help") || !strings.Contains(root, "kubectl entente [command]") {
		t.Errorf("kubectl-entente --help:\n%s", root)
	}
	if help := run("entente", "agreement", "diff", "--help"); strings.Contains(help, "kubectl entente") || !strings.Contains(help, "  entente agreement diff A [B] [flags]") {
		t.Errorf("entente:\n%s", help)
	}
}
