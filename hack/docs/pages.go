package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// page is one Markdown file. Its path is that in the repository, with slashes.
type page struct {
	path, title string
	source      []byte
	root        ast.Node
	anchors     map[string]bool
}

var markdown = goldmark.New(goldmark.WithExtensions(extension.GFM))

// folders that may have pages.
var folders = []string{"docs", "charts", "config", "hack", "api", "cmd", "controllers", "gateway", "internal"}

// readPages reads every Markdown file, by its path.
func readPages(root string) (map[string]*page, error) {
	files, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		err := filepath.WalkDir(filepath.Join(root, f), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".md") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	pages := map[string]*page{}
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		relative, err := filepath.Rel(root, f)
		if err != nil {
			return nil, err
		}
		p := parse(filepath.ToSlash(relative), source)
		pages[p.path] = p
	}
	return pages, nil
}

func parse(path string, source []byte) *page {
	p := &page{path: path, title: path, source: source, anchors: map[string]bool{}}
	ids := &anchorIDs{taken: p.anchors}
	p.root = markdown.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(ids))))
	// goldmark gives ids when it is asked to; the text of a heading is whole only now.
	_ = ast.Walk(p.root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if h, ok := n.(*ast.Heading); ok && entering {
			words := plain(h, source)
			if h.Level == 1 {
				p.title = words
			}
			h.SetAttributeString("id", ids.next(words))
		}
		return ast.WalkContinue, nil
	})
	return p
}

// plain is the text of a node, without marks.
func plain(n ast.Node, source []byte) string {
	var b bytes.Buffer
	_ = ast.Walk(n, func(c ast.Node, entering bool) (ast.WalkStatus, error) {
		switch c := c.(type) {
		case *ast.Text:
			if entering {
				b.Write(c.Segment.Value(source))
			}
		case *ast.String:
			if entering {
				b.Write(c.Value)
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// anchorIDs names headings as Git hosts do.
type anchorIDs struct{ taken map[string]bool }

var dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

func (a *anchorIDs) next(heading string) string {
	id := strings.ReplaceAll(strings.ToLower(dropped.ReplaceAllString(heading, "")), " ", "-")
	unique := id
	for i := 1; a.taken[unique]; i++ {
		unique = id + "-" + strconv.Itoa(i)
	}
	a.taken[unique] = true
	return unique
}

// Generate and Put implement parser.IDs, which is not used.
func (a *anchorIDs) Generate([]byte, ast.NodeKind) []byte { return nil }
func (a *anchorIDs) Put([]byte)                           {}

// target is where a link of a page leads: a path in the repository, and an anchor there. outside: to another site.
func target(p *page, destination string) (to, anchor string, outside bool, err error) {
	u, err := url.Parse(destination)
	if err != nil {
		return "", "", false, err
	}
	if u.Scheme != "" || u.Host != "" {
		return "", "", true, nil
	}
	if u.Path == "" {
		return p.path, u.Fragment, false, nil
	}
	if path.IsAbs(u.Path) {
		return "", "", false, errors.New("is no relative path")
	}
	to = path.Join(path.Dir(p.path), u.Path)
	if strings.HasPrefix(to, "..") {
		return "", "", false, errors.New("leaves the repository")
	}
	return to, u.Fragment, false, nil
}

// mentioned are paths of this repository that a page names without a link.
var mentioned = regexp.MustCompile(`^(docs|charts|config|hack)/[-._/A-Za-z0-9]+$`)

// check finds links that lead nowhere.
func check(root string, pages map[string]*page) error {
	var wrong []error
	for _, name := range sorted(pages) {
		p := pages[name]
		fault := func(format string, args ...any) {
			wrong = append(wrong, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
		}
		_ = ast.Walk(p.root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			if !entering {
				return ast.WalkContinue, nil
			}
			var destination string
			switch n := n.(type) {
			case *ast.Link:
				destination = string(n.Destination)
			case *ast.Image:
				destination = string(n.Destination)
			case *ast.CodeSpan:
				if path := strings.TrimSuffix(plain(n, p.source), "/..."); mentioned.MatchString(path) && !exists(root, path) {
					fault("there is no %s", path)
				}
				return ast.WalkContinue, nil
			default:
				return ast.WalkContinue, nil
			}
			to, anchor, outside, err := target(p, destination)
			switch {
			case err != nil:
				fault("the link %s %v", destination, err)
			case outside:
			case !exists(root, to):
				fault("there is no %s", destination)
			case anchor != "" && pages[to] == nil:
				fault("%s has no anchors", destination)
			case anchor != "" && !pages[to].anchors[anchor]:
				fault("%s has no heading #%s", to, anchor)
			}
			return ast.WalkContinue, nil
		})
	}
	return errors.Join(wrong...)
}

func exists(root, path string) bool {
	_, err := os.Stat(filepath.Join(root, filepath.FromSlash(path)))
	return err == nil
}

func sorted(pages map[string]*page) []string {
	names := make([]string, 0, len(pages))
	for n := range pages {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
