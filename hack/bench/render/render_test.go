package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRendered: the page says what the results say.
func TestRendered(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	files, err := rendered(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || string(got) != want {
			t.Errorf("%s is not what hack/bench/results says (%v): go run ./hack/bench/render", name, err)
		}
	}
}

// TestBarChart: a picture parses, and says in words what it shows.
func TestBarChart(t *testing.T) {
	svg := barChart("a <b>", "ms", []bar{{"one & two", 3, 5, "3 ms"}, {"nothing", 0, 0, "0 ms"}})
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"<desc id=\"d\">one &amp; two: 3 ms. nothing: 0 ms.</desc>", `class="mark"`} {
		if !strings.Contains(svg, want) {
			t.Errorf("without %q: %s", want, svg)
		}
	}
}
