package witness

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sys/unix"

	"github.com/entente-dev/entente/gateway/transparency"
)

// Options of a Witness.
type Options struct {
	// Name of the witness, for example oversight.example/witness. It is bound to the key.
	Name string
	// LogsFile has the keys of the logs to witness (ParseLogs). It is read again when it changes.
	LogsFile string
	// Rand is where the key comes from; nil: crypto/rand.
	Rand   io.Reader
	Logger *slog.Logger
}

// Result is how a request ended.
type Result string

const (
	Cosigned  Result = "cosigned"
	Malformed Result = "malformed"
	Unknown   Result = "unknown"  // log
	Unsigned  Result = "unsigned" // by the log's key
	Behind    Result = "behind"   // not from where the witness is: asked anew, or rolled back
	Forked    Result = "forked"   // another history
	Unproven  Result = "unproven" // the consistency proof does not verify: another history, or a wrong proof
	Failed    Result = "failed"   // the witness could not write
)

// Results are all of them.
var Results = []Result{Cosigned, Malformed, Unknown, Unsigned, Behind, Forked, Unproven, Failed}

// Witness of other logs. Its methods are safe for concurrent use.
type Witness struct {
	o      Options
	dir    string
	key    string // verifier key, for cosignatures
	signer note.Signer
	lock   *os.File

	mu     sync.Mutex // also makes checking and keeping one step
	logs   map[string]note.Verifier
	read   time.Time // LogsFile as it was
	counts map[Result]uint64
	told   map[string]map[string]bool // of each log, what was reported since it was last cosigned
}

// Open opens the state of a witness in dir, or makes it. A second opener is refused: two would cosign two histories.
func Open(dir string, o Options) (*Witness, error) {
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o700); err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	lock, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("witness: %s is in use: %w", dir, err)
	}
	w := &Witness{o: o, dir: dir, lock: lock, counts: map[Result]uint64{}, told: map[string]map[string]bool{}}
	if err := w.open(); err != nil {
		lock.Close()
		return nil, fmt.Errorf("witness: %w", err)
	}
	return w, nil
}

func (w *Witness) open() error {
	entries, err := os.ReadDir(filepath.Join(w.dir, "logs"))
	if err != nil {
		return err
	}
	// A witness that lost its key is another witness; it does not take over what the first has seen.
	key, err := transparency.OpenKey(filepath.Join(w.dir, "key"), w.o.Name, len(entries) == 0, w.o.Rand)
	if err != nil {
		return err
	}
	if w.signer, err = fnote.NewSignerForCosignatureV1(key.Secret); err != nil {
		return err
	}
	if w.key, err = fnote.VKeyToCosignatureV1(key.Public); err != nil {
		return err
	}
	return w.readLogs()
}

// Close gives up the state. A nil Witness is closed.
func (w *Witness) Close() error {
	if w == nil {
		return nil
	}
	return w.lock.Close()
}

// VerifierKey is the witness's public key, for the policies of logs and of those who check them.
func (w *Witness) VerifierKey() string { return w.key }

// Count is how many requests ended so.
func (w *Witness) Count(r Result) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[r]
}

// readLogs reads the file of keys if it changed. w.mu is held, or nobody has w yet.
func (w *Witness) readLogs() error {
	st, err := os.Stat(w.o.LogsFile)
	if err != nil {
		return err
	}
	if st.ModTime().Equal(w.read) {
		return nil
	}
	b, err := os.ReadFile(w.o.LogsFile)
	if err != nil {
		return err
	}
	logs, err := ParseLogs(b)
	if err != nil {
		return fmt.Errorf("%s: %w", w.o.LogsFile, err)
	}
	w.logs, w.read = logs, st.ModTime()
	return nil
}

// file has the latest checkpoint that was cosigned of a log.
func (w *Witness) file(origin string) string {
	return filepath.Join(w.dir, "logs", fmt.Sprintf("%x", sha256.Sum256([]byte(origin))))
}

// latest is the latest checkpoint that was cosigned of a log; of size 0 and without Raw: none.
func (w *Witness) latest(v note.Verifier) (transparency.Checkpoint, error) {
	raw, err := os.ReadFile(w.file(v.Name()))
	if errors.Is(err, fs.ErrNotExist) {
		return transparency.Checkpoint{Root: rfc6962.DefaultHasher.EmptyRoot()}, nil
	}
	if err != nil {
		return transparency.Checkpoint{}, err
	}
	return transparency.ParseCheckpoint(raw, v)
}

// Latest is the latest checkpoint that was cosigned of a log, as the log signed it.
func (w *Witness) Latest(origin string) (raw []byte, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.logs[origin]
	if v == nil {
		return nil, false
	}
	c, err := w.latest(v)
	return c.Raw, err == nil && c.Raw != nil
}

// add decides on a request: the cosignature lines, or why not. size is that of the latest checkpoint, for Behind.
func (w *Witness) add(body []byte) (lines []byte, size uint64, result Result, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.counts[result]++ }()
	r, err := parse(body)
	if err != nil {
		return nil, 0, Malformed, err
	}
	if err := w.readLogs(); err != nil {
		w.report("", "the keys of the logs cannot be read; the earlier ones stand", "error", err)
	} else {
		delete(w.told, "")
	}
	v := w.logs[r.origin]
	if v == nil {
		return nil, 0, Unknown, errors.New("this witness does not know the log")
	}
	c, err := checkpoint(r, v)
	if err != nil {
		return nil, 0, Unsigned, errors.New("the checkpoint is not signed by the log's key")
	}
	if r.old > c.Size {
		return nil, 0, Malformed, errors.New("the old size is beyond the checkpoint's")
	}
	last, err := w.latest(v)
	if err != nil {
		w.report(r.origin, "what was cosigned of a log cannot be read", "log", r.origin, "error", err)
		return nil, 0, Failed, errors.New("the witness cannot read its state")
	}
	switch {
	case c.Size < last.Size:
		w.report(r.origin, "a log shows fewer entries than it had: rolled back, or an old checkpoint", "log", r.origin, "had", last.Size, "shows", c.Size)
		return nil, last.Size, Behind, errors.New("the log had more entries")
	case c.Size == last.Size && c.Size > 0 && !bytes.Equal(c.Root, last.Root):
		w.report(r.origin, "a log has two histories", "log", r.origin, "entries", c.Size)
		w.evidence(r.origin, "forked", c)
		return nil, last.Size, Forked, errors.New("the log has shown another tree of this size")
	case r.old != last.Size:
		return nil, last.Size, Behind, errors.New("the old size is not that of the latest checkpoint")
	}
	if err := consistent(last, c, r.hashes); err != nil {
		w.report(r.origin, "a log does not prove that it continues: another history, or a wrong proof", "log", r.origin, "had", last.Size, "shows", c.Size)
		w.evidence(r.origin, "unproven", c)
		return nil, 0, Unproven, errors.New("the consistency proof does not verify")
	}
	signed, err := note.Sign(&note.Note{Text: text(c.Raw)}, w.signer)
	if err == nil {
		err = writeFile(w.file(r.origin), c.Raw)
	}
	if err != nil {
		w.report(r.origin, "what is cosigned cannot be kept, so it is not", "error", err)
		return nil, 0, Failed, errors.New("the witness cannot write its state")
	}
	delete(w.told, r.origin)
	return signed[len(text(c.Raw))+1:], c.Size, Cosigned, nil
}

// consistent checks the proof that one checkpoint continues another.
func consistent(last, c transparency.Checkpoint, hashes [][]byte) error {
	if last.Size == 0 {
		if len(hashes) > 0 {
			return errors.New("a proof from the empty tree has no hashes")
		}
		return nil
	}
	return proof.VerifyConsistency(rfc6962.DefaultHasher, last.Size, c.Size, hashes, last.Root, c.Root)
}

// text is what is signed of a note: up to the empty line before the signatures.
func text(raw []byte) string {
	i := strings.LastIndex(string(raw), "\n\n")
	return string(raw[:i+1])
}

// report says something of a log once, until the log is cosigned again: anybody can have it said. w.mu is held.
func (w *Witness) report(origin, message string, args ...any) {
	if w.told[origin][message] {
		return
	}
	if w.told[origin] == nil {
		w.told[origin] = map[string]bool{}
	}
	w.told[origin][message] = true
	w.o.Logger.Error(message, args...)
}

// evidence keeps the first checkpoint of a kind that contradicts what was cosigned: with the latest one, both signed by the
// log, it is proof for anybody.
func (w *Witness) evidence(origin, kind string, c transparency.Checkpoint) {
	name := w.file(origin) + "." + kind
	if _, err := os.Stat(name); err == nil {
		return
	}
	if err := writeFile(name, c.Raw); err != nil {
		w.o.Logger.Error("evidence against a log cannot be kept", "log", origin, "error", err)
	}
}

func writeFile(name string, content []byte) error {
	return transparency.WriteFile(name, content, 0o600)
}
