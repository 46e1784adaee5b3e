package main

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// TestLinks: every link of every page leads to a file that is there, and to a heading of it.
func TestLinks(t *testing.T) {
	pages, err := readPages(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) < 50 || pages["README.md"] == nil || pages["docs/install.md"] == nil {
		t.Fatalf("only %d pages", len(pages))
	}
	if err := check(root, pages); err != nil {
		t.Error(err)
	}
}

// TestCheckFinds what is wrong.
func TestCheckFinds(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "README.md"), []byte("# A `b` c: d\n\n## Twice\n\n## Twice\n\n[1](#a-b-c-d) [2](#twice-1) [3](#twice-2) [4](none.md) [5](/etc) [6](../x) [7](https://example.com/none) `docs/none.md` [8](README.md#none)\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	pages, err := readPages(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = check(dir, pages)
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, want := range []string{"no heading #twice-2", "no none.md", "/etc is no relative path", "../x leaves the repository", "no docs/none.md", "no heading #none"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %q", err, want)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 6 {
		t.Errorf("%d faults: %v", n, err)
	}
}

// TestSite: every link of the site that is made leads somewhere in it.
func TestSite(t *testing.T) {
	out := filepath.Join(t.TempDir(), "site")
	if err := run(root, out); err != nil {
		t.Fatal(err)
	}
	href := regexp.MustCompile(`href="([^"]+)"`)
	id := regexp.MustCompile(`id="([^"]+)"`)
	texts := map[string]string{}
	err := filepath.WalkDir(out, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, rerr := os.ReadFile(path)
			texts[path], err = string(b), rerr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for path, text := range texts {
		for _, m := range href.FindAllStringSubmatch(text, -1) {
			u, err := url.Parse(strings.ReplaceAll(m[1], "&amp;", "&"))
			if err != nil || u.Scheme != "" {
				continue
			}
			links++
			to := path
			if u.Path != "" {
				to = filepath.Join(filepath.Dir(path), u.Path)
			}
			target, ok := texts[to]
			if !ok {
				t.Errorf("%s: there is no %s", path, m[1])
				continue
			}
			if u.Fragment == "" {
				continue
			}
			found := false
			for _, i := range id.FindAllStringSubmatch(target, -1) {
				found = found || i[1] == u.Fragment
			}
			if !found {
				t.Errorf("%s: %s has no such heading", path, m[1])
			}
		}
	}
	if links < 500 {
		t.Errorf("only %d links", links)
	}
	// Where prometheusRule.runbookURL leads.
	for _, page := range []string{"index.html", "install.html", "operations/index.html", "operations/EntenteLogUnhealthy.html", "repository/charts/entente/index.html"} {
		if !strings.Contains(texts[filepath.Join(out, page)], "<h1") {
			t.Errorf("there is no %s", page)
		}
	}
}
