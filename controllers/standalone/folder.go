package standalone

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// contents is what a folder of resources says at one moment.
type contents struct {
	// documents of the files that can be read, by id.
	documents map[string]document
	// unreadable files by name.
	unreadable map[string]unreadable
}

// unreadable is a file that cannot be read as resources.
type unreadable struct {
	err error
	// text as it stands, and as it stood when it could last be read: the agreements that either mentions are withheld.
	text, last []byte
	// before are the documents that it last held.
	before []document
}

// err joins the errors of the unreadable files, each with its file's name.
func (c *contents) err() error {
	var errs []error
	for _, name := range sortedKeys(c.unreadable) {
		errs = append(errs, fmt.Errorf("%s: %w", name, c.unreadable[name].err))
	}
	return errors.Join(errs...)
}

// mentions says which unreadable file mentions the name, now or when it could last be read; "" when none does.
func (c *contents) mentions(name string) (file string) {
	for _, file := range sortedKeys(c.unreadable) {
		u := c.unreadable[file]
		if bytes.Contains(u.text, []byte(name)) || bytes.Contains(u.last, []byte(name)) {
			return file
		}
	}
	return ""
}

// folder reads a folder again and again, and remembers what each file last held.
type folder struct {
	dir  string
	good map[string]file // by name; the last readable content
}

type file struct {
	text      []byte
	documents []document
}

func newFolder(dir string) *folder { return &folder{dir: dir, good: map[string]file{}} }

// counts says whether a file is one of resources: *.yaml and *.yml, hidden ones (editors' swap files) left out.
func counts(name string) bool {
	ext := filepath.Ext(name)
	return (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(name, ".")
}

// names lists the files that count.
func (f *folder) names() ([]string, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a folder that was removed holds nothing
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && counts(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// read reads the folder as it stands. Only a folder that cannot be listed is an error; a file that cannot be read is part
// of the answer.
func (f *folder) read() (*contents, error) {
	names, err := f.names()
	if err != nil {
		return nil, err
	}
	c := &contents{documents: map[string]document{}, unreadable: map[string]unreadable{}}
	owner := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(f.dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // gone since it was listed
		}
		before := f.good[name]
		var documents []document
		switch {
		case err != nil:
		case before.documents != nil && bytes.Equal(text, before.text):
			documents = before.documents
		default:
			documents, err = parse(text)
		}
		if err == nil {
			err = twice(documents, owner)
		}
		if err != nil {
			c.unreadable[name] = unreadable{err: err, text: text, last: before.text, before: before.documents}
			continue
		}
		f.good[name] = file{text, documents}
		for _, d := range documents {
			d.file = name
			c.documents[d.id()] = d
			owner[d.id()] = name
		}
	}
	for name := range f.good {
		if !slices.Contains(names, name) {
			delete(f.good, name)
		}
	}
	return c, nil
}

// twice refuses a resource that stands in the folder already: one of them would be silently dropped.
func twice(documents []document, owner map[string]string) error {
	seen := map[string]bool{}
	for _, d := range documents {
		if file, ok := owner[d.id()]; ok {
			return fmt.Errorf("%s stands in %s already", d.id(), file)
		}
		if seen[d.id()] {
			return fmt.Errorf("%s stands twice", d.id())
		}
		seen[d.id()] = true
	}
	return nil
}
