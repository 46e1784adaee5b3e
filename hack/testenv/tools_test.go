package testenv_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/entente-dev/entente/hack/testenv"
)

// servers.sh stamps the version into kubectl and kube-apiserver, whose module cannot say it.
func TestKubeVersion(t *testing.T) {
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	version := func(file, pattern string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(pattern).FindSubmatch(text)
		if m == nil {
			t.Fatalf("%s does not match %s", file, pattern)
		}
		return string(m[1])
	}
	script := version("hack/tools/servers.sh", `(?m)^kube_version=(\S+)`)
	module := version("hack/tools/kube/go.mod", `(?m)^\s+k8s.io/kubernetes (\S+)`)
	if script != module {
		t.Errorf("hack/tools/servers.sh says kube_version=%s, hack/tools/kube/go.mod requires %s: make them equal", script, module)
	}
}

func TestToolsUnknown(t *testing.T) {
	if _, err := testenv.Tools(t.Context(), "mainframe"); err == nil {
		t.Error("there are tools for an unknown server")
	}
}
