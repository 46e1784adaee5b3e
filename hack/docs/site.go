package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html"
	"html/template"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/yuin/goldmark/ast"
)

// page.html is around every page.
//
//go:embed page.html
var frame string

var layout = template.Must(template.New("page").Parse(frame))

// entry of the navigation.
type entry struct {
	Title, Href string
	Here        bool
}

type section struct {
	Title   string
	Entries []entry
}

// address of a path of the repository in the site.
func address(to string) string {
	inside, ok := strings.CutPrefix(to, "docs/")
	if !ok {
		if to == "docs" {
			return "index.html"
		}
		inside = "repository/" + to
	}
	switch {
	case path.Base(inside) == "README.md":
		return path.Join(path.Dir(inside), "index.html")
	case strings.HasSuffix(inside, ".md"):
		return strings.TrimSuffix(inside, ".md") + ".html"
	}
	return inside + ".html"
}

// from is the relative link between two addresses.
func from(here, to string) string {
	relative, err := filepath.Rel(path.Dir(here), to)
	if err != nil {
		return to // both are relative
	}
	return filepath.ToSlash(relative)
}

// site is what is being made.
type site struct {
	root, out string
	pages     map[string]*page
	made      map[string]bool // paths of the repository
	todo      []string
}

// build makes every page, and one for each file and folder that a page links to.
func build(root, out string, pages map[string]*page) error {
	s := &site{root: root, out: out, pages: pages, made: map[string]bool{}}
	for _, name := range sorted(pages) {
		if strings.HasPrefix(name, "docs/") {
			s.want(name)
		}
	}
	for len(s.todo) > 0 {
		name := s.todo[0]
		s.todo = s.todo[1:]
		if err := s.make(name); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) want(name string) {
	if !s.made[name] {
		s.made[name] = true
		s.todo = append(s.todo, name)
	}
}

func (s *site) make(name string) error {
	if p := s.pages[name]; p != nil {
		return s.render(p)
	}
	info, err := os.Stat(filepath.Join(s.root, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	if info.IsDir() {
		if s.pages[name+"/README.md"] != nil {
			s.want(name + "/README.md")
			return s.write(address(name), name, template.HTML(`<meta http-equiv="refresh" content="0; url=`+html.EscapeString(from(address(name), address(name+"/README.md")))+`">`))
		}
		return s.list(name)
	}
	text, err := os.ReadFile(filepath.Join(s.root, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	return s.write(address(name), name, template.HTML("<h1>"+html.EscapeString(name)+"</h1>\n<pre>"+html.EscapeString(string(text))+"</pre>"))
}

// list makes a page of the files of a folder.
func (s *site) list(name string) error {
	entries, err := os.ReadDir(filepath.Join(s.root, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<h1>%s</h1>\n<ul>\n", html.EscapeString(name))
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		to := name + "/" + e.Name()
		s.want(to)
		fmt.Fprintf(&b, "<li><a href=\"%s\">%s</a></li>\n", html.EscapeString(from(address(name), address(to))), html.EscapeString(e.Name()))
	}
	b.WriteString("</ul>")
	return s.write(address(name), name, template.HTML(b.String()))
}

func (s *site) render(p *page) error {
	here := address(p.path)
	_ = ast.Walk(p.root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if link, ok := n.(*ast.Link); ok && entering {
			to, anchor, outside, err := target(p, string(link.Destination))
			if err != nil || outside {
				return ast.WalkContinue, nil // check has said so
			}
			s.want(to)
			href := ""
			if to != p.path {
				href = from(here, address(to))
			}
			if anchor != "" {
				href += "#" + anchor
			}
			link.Destination = []byte(href)
		}
		return ast.WalkContinue, nil
	})
	var b bytes.Buffer
	if err := markdown.Renderer().Render(&b, p.source, p.root); err != nil {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	return s.write(here, p.title, template.HTML(b.String()))
}

func (s *site) write(address, title string, body template.HTML) error {
	var b bytes.Buffer
	if err := layout.Execute(&b, map[string]any{"Title": title, "Body": body, "Sections": s.navigation(address), "Home": from(address, "index.html")}); err != nil {
		return err
	}
	file := filepath.Join(s.out, filepath.FromSlash(address))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}

// navigation lists the pages of docs by folder.
func (s *site) navigation(here string) []section {
	sections := []section{{Title: ""}, {Title: "Operations"}, {Title: "Reference"}, {Title: "Decisions"}}
	index := map[string]int{"docs": 0, "docs/operations": 1, "docs/reference": 2, "docs/adr": 3}
	for _, name := range sorted(s.pages) {
		i, ok := index[path.Dir(name)]
		// Alerts and decisions are many: their index is enough.
		if !ok || i == 3 && path.Base(name) != "README.md" || strings.HasPrefix(path.Base(name), "Entente") {
			continue
		}
		sections[i].Entries = append(sections[i].Entries, entry{s.pages[name].title, from(here, address(name)), address(name) == here})
	}
	return sections
}
