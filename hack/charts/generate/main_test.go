package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is committed is what the generator writes.
func TestNothingIsStale(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	copied := t.TempDir()
	for _, dir := range []string{"charts", "config"} {
		if err := os.CopyFS(filepath.Join(copied, dir), os.DirFS(filepath.Join(root, dir))); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(copied); err != nil {
		t.Fatal(err)
	}
	have, want := files(t, filepath.Join(root, "charts")), files(t, filepath.Join(copied, "charts"))
	for name, text := range want {
		if have[name] != text {
			t.Errorf("charts/%s is stale: run make generate", name)
		}
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			t.Errorf("charts/%s should not be there: run make generate", name)
		}
	}
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		out[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTemplateEscapesAndKeeps(t *testing.T) {
	got, err := template("---\napiVersion: v1\nkind: X\nmetadata:\n  name: x\nspec:\n  a: '{{username}}'\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{{ "{{" }}username}}`, "helm.sh/resource-policy: keep", "\n  name: x\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\ndoes not have %s", got, want)
		}
	}
	if _, err := template("kind: X\n"); err == nil {
		t.Error("a document without metadata is taken")
	}
}

func TestEveryValueNeedsAComment(t *testing.T) {
	if _, err := valuesTable([]byte("# said\na: 1\nb:\n  # said\n  c: 1\n  d: 2\n")); err == nil || !strings.Contains(err.Error(), "b.d has no comment") {
		t.Errorf("%v", err)
	}
	table, err := valuesTable([]byte("# About the file.\n\n# -- whole\na:\n  b: 1\n# one | two\nc: x\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| `a` | whole | `{\"b\":1}` |", "| `c` | one \\| two | `\"x\"` |"} {
		if !strings.Contains(table, want) {
			t.Errorf("%s\ndoes not have %s", table, want)
		}
	}
}
