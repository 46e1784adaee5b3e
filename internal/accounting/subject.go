package accounting

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/entente-dev/entente/gateway/disclosure"
)

// Identifier names a person: the value of a dataset's subject key.
type Identifier struct{ Schema, Field, Value string }

var identifierForm = regexp.MustCompile(`^([a-z0-9][a-z0-9-]*)\.([A-Za-z_][A-Za-z0-9_]*)=(.+)$`)

// maxIdentifiers bounds what one person is known by.
const maxIdentifiers = 1000

// ReadIdentifiers reads lines of the form SCHEMA.FIELD=VALUE. Blank lines and lines that begin with # are passed over. Errors
// name the line and never the value.
func ReadIdentifiers(r io.Reader) ([]Identifier, error) {
	var out []Identifier
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		m := identifierForm.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("line %d: want SCHEMA.FIELD=VALUE, for example person.document_number=AB123456", n)
		}
		if len(out) == maxIdentifiers {
			return nil, fmt.Errorf("line %d: more than %d values: ask about one person at a time", n, maxIdentifiers)
		}
		out = append(out, Identifier{m[1], m[2], strings.TrimSpace(m[3])})
	}
	if err := lines.Err(); err != nil {
		return nil, errors.New("the identifying values cannot be read: a line is too long, or the input broke off")
	}
	if len(out) == 0 {
		return nil, errors.New("no identifying value: want lines SCHEMA.FIELD=VALUE, with the subjectKey of a dataset")
	}
	return out, nil
}

// Check refuses identifiers that no dataset goes by: the answer about them would be empty, and mean nothing.
func (d *Directory) Check(ids []Identifier) error {
	if d.SubjectKeys == nil {
		return nil
	}
	var known []string
	for schema, fields := range d.SubjectKeys {
		for _, f := range fields {
			known = append(known, schema+"."+f)
		}
	}
	slices.Sort(known)
	for _, id := range ids {
		if !slices.Contains(d.SubjectKeys[id.Schema], id.Field) {
			return fmt.Errorf("no dataset has the subjectKey %s.%s: use one of %s", id.Schema, id.Field, strings.Join(known, ", "))
		}
	}
	return nil
}

// tokens gives the tokens of the identifiers in each log, by the log's id. A gateway keeps its key beside its log; keyFile,
// when it is not empty, is used instead for every log.
func tokens(logs []Log, ids []Identifier, keyFile string) (map[string]map[string]bool, error) {
	out := map[string]map[string]bool{}
	for _, l := range logs {
		path := keyFile
		if path == "" {
			path = filepath.Join(l.Dir, "..", "subject.key")
		}
		subjects, err := disclosure.ReadSubjects(path)
		if err != nil {
			return nil, fmt.Errorf("the key of subject tokens of %s: %w (it is the file subject.key in the gateway's state folder)", l.Dir, err)
		}
		set := map[string]bool{}
		for _, id := range ids {
			set[subjects.Token(id.Schema, id.Field, id.Value)] = true
		}
		out[l.ID] = set
	}
	return out, nil
}
