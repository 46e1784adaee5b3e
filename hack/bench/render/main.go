// Command render writes the tables and charts of docs/performance.md from hack/bench/results: each between two comments of the page,
// `<!-- results NAME -->` and `<!-- end -->`, with the command, the date, the versions and the class of machine above it.
//
//	go run ./hack/bench/render
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

// run renders the page of the repository whose root it is given.
func run(root string) error {
	files, err := rendered(root)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(root, charts), 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

const (
	page    = "docs/performance.md"
	charts  = "docs/performance"
	results = "hack/bench/results"
)

// place is where the results of one program stand in the page.
var place = regexp.MustCompile(`(?s)<!-- results ([a-z-]+) -->\n.*?<!-- end -->\n`)

// rendered gives every file that this command writes, by its path.
func rendered(root string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	var failed []error
	out[page] = place.ReplaceAllStringFunc(string(text), func(was string) string {
		name := place.FindStringSubmatch(was)[1]
		section, ok := sections[name]
		if !ok {
			failed = append(failed, fmt.Errorf("%s: there are no results %q", page, name))
			return was
		}
		s, err := section(filepath.Join(root, results, strings.SplitN(name, "-", 2)[0]+".json"))
		if err != nil {
			failed = append(failed, err)
			return was
		}
		body := s.text
		if s.svg != "" {
			file := filepath.Join(charts, name+".svg")
			out[file] = s.svg
			body += fmt.Sprintf("\n![%s](performance/%s.svg)\n", s.alt, name)
		}
		return fmt.Sprintf("<!-- results %s -->\n%s<!-- end -->\n", name, body)
	})
	return out, errors.Join(failed...)
}
