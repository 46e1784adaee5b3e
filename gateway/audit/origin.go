package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
)

const originFile = "origin"

// ErrOrigin is the error of Open when the directory holds another log than the one asked for.
var ErrOrigin = errors.New("audit: the directory holds another log")

// identity is what makes a log that log: its name, and a random id made with it.
type identity struct {
	origin  string
	id      [16]byte
	created time.Time
	raw     []byte // the file; the chain starts from every byte of it
}

type originJSON struct {
	Format  int       `json:"format"`
	Origin  string    `json:"origin"`
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
}

// checkOrigin keeps to what is also the name of a key in a signed note, so that a log can later be published by its name.
func checkOrigin(name string) error {
	bad := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '+' }
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("audit: origin %q: want 1 to 255 printable characters without spaces or +", name)
	}
	return nil
}

// readOrigin reads the identity of the log in dir; fs.ErrNotExist when there is none.
func readOrigin(dir string) (identity, error) {
	path := filepath.Join(dir, originFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return identity{}, err
	}
	var o originJSON
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		return identity{}, &CorruptError{File: path, Reason: "origin file does not parse"}
	}
	id := identity{origin: o.Origin, created: o.Created, raw: b}
	if n, err := hex.Decode(id.id[:], []byte(o.ID)[:min(len(o.ID), 32)]); o.Format != 1 || err != nil || n != 16 || len(o.ID) != 32 || checkOrigin(o.Origin) != nil {
		return identity{}, &CorruptError{File: path, Reason: "origin file is in a form that this version does not know"}
	}
	return id, nil
}

// createOrigin makes the identity of a new log durable. A directory that has segments and no origin is not a new log.
func createOrigin(fsys FS, dir, name string, random io.Reader, now time.Time) (identity, error) {
	segs, err := listSegments(dir)
	if err != nil {
		return identity{}, err
	}
	path := filepath.Join(dir, originFile)
	if len(segs) > 0 {
		return identity{}, &CorruptError{File: path, Reason: "the log has segments and its origin file is missing"}
	}
	id := identity{origin: name, created: now.UTC()}
	if _, err := io.ReadFull(random, id.id[:]); err != nil {
		return identity{}, fmt.Errorf("audit: randomness: %w", err)
	}
	b, err := json.Marshal(originJSON{Format: 1, Origin: name, ID: hex.EncodeToString(id.id[:]), Created: id.created})
	if err != nil {
		return identity{}, err
	}
	id.raw = append(b, '\n')
	return id, writeFile(fsys, path, id.raw)
}

// openOrigin reads the identity of the log in dir, or makes it, and insists on the name.
func openOrigin(fsys FS, dir, name string, random io.Reader, now time.Time) (identity, error) {
	id, err := readOrigin(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return createOrigin(fsys, dir, name, random, now)
	}
	if err == nil && id.origin != name {
		return id, fmt.Errorf("%w: it is %q, not %q; a log keeps its name, use another directory", ErrOrigin, id.origin, name)
	}
	return id, err
}
