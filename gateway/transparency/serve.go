package transparency

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/tessera/api/layout"
)

// Prefix is where a gateway serves its log.
const Prefix = "/log/"

// Info is what is served at Prefix: how to name, reach and check the log.
type Info struct {
	Origin string `json:"origin"`
	// Key is the verifier key of C2SP signed-note.
	Key string `json:"key"`
	// Path under which checkpoint, tiles and proofs are: it has the log's id, so that behind one address for many replicas
	// nobody takes one log's tiles for another's.
	Path string `json:"path"`
	Size uint64 `json:"size"`
}

// InclusionProof is the answer of proof/inclusion: hashes and leaf in base64.
type InclusionProof struct {
	Seq        uint64   `json:"seq"`
	Index      uint64   `json:"index"`
	Size       uint64   `json:"size"`
	Leaf       []byte   `json:"leaf"`
	Hashes     [][]byte `json:"hashes"`
	Checkpoint string   `json:"checkpoint"`
}

// ConsistencyProof is the answer of proof/consistency.
type ConsistencyProof struct {
	From   uint64   `json:"from"`
	To     uint64   `json:"to"`
	Hashes [][]byte `json:"hashes"`
}

// Path is where Handler serves this log.
func (l *Log) Path() string { return Prefix + l.audit.Identity().ID + "/" }

// Handler serves the log, read-only, to anybody: C2SP tlog-tiles (checkpoint, tile/…) and proofs as JSON. It shows nothing
// that the latest checkpoint does not cover, and nothing personal.
//
//	GET /log/                                       Info
//	GET /log/<id>/checkpoint                        the latest checkpoint
//	GET /log/<id>/checkpoint/cosigned               the latest that a quorum of witnesses cosigned
//	GET /log/<id>/tile/<L>/<N>[.p/<W>]              a tile of hashes
//	GET /log/<id>/tile/entries/<N>[.p/<W>]          the leaves under it
//	GET /log/<id>/proof/inclusion?seq=&size=        InclusionProof; size: the latest checkpoint's
//	GET /log/<id>/proof/consistency?from=&to=       ConsistencyProof
//
// Strangers share a few places, so that they do not take the machine from those who ask for records.
func (l *Log) Handler() http.Handler {
	places := make(chan struct{}, 8)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			l.serve(w, r)
		case <-r.Context().Done():
		case <-time.After(time.Second):
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many ask at once", http.StatusServiceUnavailable)
		}
	})
}

func (l *Log) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the log is read-only: use GET", http.StatusMethodNotAllowed)
		return
	}
	if r.URL.Path == Prefix {
		writeJSON(w, Info{Origin: l.Origin(), Key: l.VerifierKey(), Path: l.Path(), Size: l.Latest().Size})
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, l.Path())
	switch {
	case !ok:
		http.Error(w, "this replica keeps another log: GET "+Prefix+" names it", http.StatusNotFound)
	case path == layout.CheckpointPath:
		l.serveCheckpoint(w, l.Latest().Raw)
	case path == "checkpoint/cosigned":
		l.serveCheckpoint(w, l.Cosigned().Raw)
	case path == "proof/inclusion":
		l.serveInclusion(w, r)
	case path == "proof/consistency":
		l.serveConsistency(w, r)
	default:
		l.serveTile(w, r, path)
	}
}

func (l *Log) serveCheckpoint(w http.ResponseWriter, raw []byte) {
	if raw == nil {
		http.Error(w, "there is none yet", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write(raw)
}

// serveTile takes a path apart and puts it together again from the numbers in it: nothing of a request reaches a file name.
func (l *Log) serveTile(w http.ResponseWriter, r *http.Request, path string) {
	rest, ok := strings.CutPrefix(path, "tile/")
	level, index, ok2 := strings.Cut(rest, "/")
	var file string
	var covered bool
	if size := l.Latest().Size; ok && ok2 && level == "entries" {
		n, p, err := layout.ParseTileIndexPartial(index)
		if file = layout.EntriesPath(n, p); err == nil && file == path {
			covered = within(0, n, p, size)
		}
	} else if ok && ok2 {
		l, n, p, err := layout.ParseTileLevelIndexPartial(level, index)
		if err == nil {
			file = layout.TilePath(l, n, p)
			covered = file == path && within(l, n, p, size)
		}
	}
	if !covered {
		http.Error(w, "no such tile", http.StatusNotFound)
		return
	}
	content, err := os.ReadFile(filepath.Join(l.treeDir(), filepath.FromSlash(file)))
	switch {
	case missing(err): // a partial tile whose full one has come
		http.Error(w, "no such tile", http.StatusNotFound)
		return
	case err != nil:
		http.Error(w, "the tile cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// within says whether a tile is part of the tree of a size.
func within(level, index uint64, partial uint8, size uint64) bool {
	if level > 7 { // a tree of more than 2^64 entries
		return false
	}
	width := uint64(layout.TileWidth)
	if partial > 0 {
		width = uint64(partial)
	}
	hashes := size >> (level * layout.TileHeight) // of that level
	return index <= hashes/layout.TileWidth && index*layout.TileWidth+width <= hashes
}

func (l *Log) serveInclusion(w http.ResponseWriter, r *http.Request) {
	latest := l.Latest()
	seq, err := number(r, "seq", 0)
	size, err2 := number(r, "size", latest.Size)
	if err = errors.Join(err, err2, l.covered(size, latest)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	leaf, hashes, err := Inclusion(r.Context(), files(l.audit.Dir()), seq, size)
	if proofError(w, err) {
		return
	}
	p := InclusionProof{Seq: seq, Index: seq - 1, Size: size, Leaf: leaf, Hashes: hashes}
	if size == latest.Size {
		p.Checkpoint = string(latest.Raw)
	}
	writeJSON(w, p)
}

func (l *Log) serveConsistency(w http.ResponseWriter, r *http.Request) {
	latest := l.Latest()
	from, err := number(r, "from", 0)
	to, err2 := number(r, "to", latest.Size)
	if err = errors.Join(err, err2, l.covered(to, latest)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	hashes, err := Consistency(r.Context(), files(l.audit.Dir()), from, to)
	if proofError(w, err) {
		return
	}
	writeJSON(w, ConsistencyProof{From: from, To: to, Hashes: hashes})
}

func (l *Log) covered(size uint64, latest Checkpoint) error {
	if size > latest.Size {
		return fmt.Errorf("the latest checkpoint is of %d entries", latest.Size)
	}
	return nil
}

func proofError(w http.ResponseWriter, err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, ErrRange):
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		http.Error(w, "the tree cannot be read", http.StatusInternalServerError)
	}
	return true
}

// number reads a query parameter.
func number(r *http.Request, name string, missing uint64) (uint64, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return missing, nil
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is not a number of entries", name)
	}
	return n, nil
}

func writeJSON(w http.ResponseWriter, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(b, '\n'))
}
