package audit

import (
	"context"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// dataKey seals the payloads of a day; only its wrapped form is ever written.
type dataKey struct {
	number uint32
	aead   cipher.AEAD
	made   time.Time // by the log's clock
	first  uint64    // the entry that was last when it was made: bounds how often it is used
	// inFlight counts records that were sealed and are not on disk yet: a key that has some is not destroyed.
	inFlight atomic.Int64
}

// keyJSON is the file of a data key.
type keyJSON struct {
	Format  int       `json:"format"`
	Number  uint32    `json:"number"`
	Made    time.Time `json:"made"`
	Wrapped string    `json:"wrapped"`
}

const keySuffix = ".key"

func keyPath(dir string, number uint32) string {
	return filepath.Join(dir, fmt.Sprintf("%010d", number)+keySuffix)
}

// listKeys lists the numbers of the data keys in dir, in order.
func listKeys(dir string) ([]uint32, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []uint32
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), keySuffix)
		if n, err := strconv.ParseUint(name, 10, 32); ok && err == nil && len(name) == 10 && n > 0 {
			out = append(out, uint32(n))
		}
	}
	return out, nil // ReadDir sorts by name, and the names have one length
}

// bound is what a data key is wrapped for: this one, of this log.
func (id *identity) bound(number uint32) []byte {
	return fmt.Appendf(nil, "entente.dev/audit/v2 data key\n%s/%d", hex.EncodeToString(id.id[:]), number)
}

// readKey reads the file of a data key; fs.ErrNotExist when there is none, or a crash ended its destruction.
func readKey(dir string, number uint32) (keyJSON, error) {
	path := keyPath(dir, number)
	b, err := os.ReadFile(path)
	if err != nil {
		return keyJSON{}, err
	}
	if isZero(b) {
		return keyJSON{}, fs.ErrNotExist
	}
	var k keyJSON
	switch err := decodeSummed(b, &k); {
	case err != nil:
		return k, &CorruptError{File: path, Reason: "data key " + err.Error()}
	case k.Format != 1:
		return k, &CorruptError{File: path, Reason: "data key is in a form that this version does not know"}
	case k.Number != number:
		return k, &CorruptError{File: path, Reason: "data key is another one"}
	}
	return k, nil
}

// removeKey destroys a data key: what it sealed cannot be opened any more.
func removeKey(fsys FS, dir string, number uint32) error {
	path := keyPath(dir, number)
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := fsys.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, st.Size()), 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Remove(path); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// opener opens sealed frames for one reader. Each data key is unwrapped when it is first needed. Without a key ring it only
// sees to it that the data keys are there.
type opener struct {
	ctx  context.Context
	dir  string
	id   identity
	ring KeyRing
	// local is the key beside the log; nil when there is none. It is for what is wrapped under it, whatever ring was given.
	local *LocalKeys
	keys  map[uint32]cipher.AEAD // nil values without a ring
	// known are the data keys that the process has already; nil: none. The key ring may be away.
	known *knownKeys
	buf   []byte
}

// open gives salt and record of the sealed frame of an entry, valid until the next call; nil without a key ring. A fault
// without a file is of the frame.
func (o *opener) open(f []byte, r *chainRecord) (salted []byte, fault *CorruptError, err error) {
	aead, fault, err := o.key(frameKey(f))
	if fault != nil || err != nil || aead == nil {
		return nil, fault, err
	}
	body := f[frameHead:]
	if o.buf, err = aead.Open(o.buf[:0], nil, body[sealHead:], body[:sealHead]); err != nil {
		return nil, &CorruptError{Reason: "payload cannot be opened with its data key"}, nil
	}
	if commit(o.buf) != r.commitment {
		return nil, &CorruptError{Reason: faultCommitment}, nil
	}
	return o.buf, nil, nil
}

func (o *opener) key(number uint32) (cipher.AEAD, *CorruptError, error) {
	if a, ok := o.keys[number]; ok {
		return a, nil, nil
	}
	k, err := readKey(o.dir, number)
	var damage *CorruptError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &CorruptError{File: keyPath(o.dir, number), Reason: "data key is missing"}, nil
	case errors.As(err, &damage):
		return nil, damage, nil
	case err != nil:
		return nil, nil, fmt.Errorf("audit: %w", err)
	}
	if o.keys == nil {
		o.keys = map[uint32]cipher.AEAD{}
	}
	if a := o.known.get(number); a != nil {
		o.keys[number] = a
		return a, nil, nil
	}
	ring := o.ring
	if o.local != nil && (ring == nil || strings.HasPrefix(k.Wrapped, localPrefix)) {
		ring = o.local
	}
	if ring == nil {
		o.keys[number] = nil
		return nil, nil, nil
	}
	bare, err := ring.Unwrap(o.ctx, k.Wrapped, o.id.bound(number))
	if err != nil {
		return nil, nil, fmt.Errorf("audit: data key %d of %s cannot be unwrapped: %w", number, k.Made.Format(time.DateOnly), err)
	}
	if len(bare) != dataKeySize {
		return nil, nil, fmt.Errorf("audit: data key %d has %d bytes, not %d", number, len(bare), dataKeySize)
	}
	aead, err := newGCM(bare)
	clear(bare)
	if err != nil {
		return nil, nil, err
	}
	o.keys[number] = aead
	o.known.put(number, aead)
	return aead, nil, nil
}

// knownKeys are the data keys that a Log has bare, in memory: those it made, and those it unwrapped to read. A nil one is empty.
type knownKeys struct {
	mu   sync.Mutex
	keys map[uint32]cipher.AEAD
}

func (k *knownKeys) get(number uint32) cipher.AEAD {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[number]
}

// put adds a key; nil takes it out.
func (k *knownKeys) put(number uint32, a cipher.AEAD) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case a == nil:
		delete(k.keys, number)
	case k.keys == nil:
		k.keys = map[uint32]cipher.AEAD{number: a}
	default:
		k.keys[number] = a
	}
}

// checkKeys finds data keys that are damaged.
func checkKeys(dir string) error {
	numbers, err := listKeys(dir)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if _, err := readKey(dir, n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// nextKey is the number after the greatest.
func nextKey(dir string) (uint32, error) {
	numbers, err := listKeys(dir)
	if err != nil || len(numbers) == 0 {
		return 1, err
	}
	return slices.Max(numbers) + 1, nil
}
