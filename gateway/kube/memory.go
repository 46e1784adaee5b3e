package kube

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// memory is what the gateway keeps on its volume about routes: the operator's public keys and the highest sequence seen of each
// agreement. Whoever can write GatewayRoutes cannot bring back an older one, not even by way of a restart.
type memory struct {
	path string

	mu   sync.Mutex
	keys map[string]ed25519.PublicKey
	seen map[string]int64
	// dirty: something was noted since the last save.
	dirty bool
}

type memoryFile struct {
	Keys      map[string][]byte `json:"keys"`
	Sequences map[string]int64  `json:"sequences"`
}

func openMemory(dir string) (*memory, error) {
	m := &memory{path: filepath.Join(dir, "routes.json"), keys: map[string]ed25519.PublicKey{}, seen: map[string]int64{}}
	data, err := os.ReadFile(m.path)
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	var f memoryFile
	if err := json.Unmarshal(data, &f); err != nil {
		// Starting anew would let old routes back in: somebody must look.
		return nil, fmt.Errorf("%s cannot be read; restore it, or remove it to trust the routes of the cluster as they stand: %w", m.path, err)
	}
	for id, k := range f.Keys {
		if len(k) == ed25519.PublicKeySize {
			m.keys[id] = k
		}
	}
	for id, n := range f.Sequences {
		m.seen[id] = n
	}
	return m, nil
}

// routeKeys as last known.
func (m *memory) routeKeys() map[string]ed25519.PublicKey {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys
}

// setKeys replaces the keys by what the holder of the keys says.
func (m *memory) setKeys(keys map[string]ed25519.PublicKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	same := len(keys) == len(m.keys)
	for id, k := range keys {
		same = same && k.Equal(m.keys[id])
	}
	if same {
		return nil
	}
	m.keys = keys
	return m.save()
}

// admit refuses a sequence below the highest that was ever seen of the agreement.
func (m *memory) admit(agreement string, sequence int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if highest := m.seen[agreement]; sequence < highest {
		return fmt.Errorf("sequence %d is older than %d, which this gateway has served", sequence, highest)
	}
	return nil
}

// note keeps in mind that a sequence was served; flush makes that durable.
func (m *memory) note(agreement string, sequence int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if sequence > m.seen[agreement] {
		m.seen[agreement], m.dirty = sequence, true
	}
}

// flush writes what was noted; one write for many routes.
func (m *memory) flush() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirty {
		return nil
	}
	return m.save()
}

// save replaces the file in one step. It is called with mu held.
func (m *memory) save() error {
	f := memoryFile{Keys: make(map[string][]byte, len(m.keys)), Sequences: m.seen}
	for id, k := range m.keys {
		f.Keys[id] = k
	}
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := replaceFile(m.path, data); err != nil {
		return err
	}
	m.dirty = false
	return nil
}

// replaceFile writes data beside path, syncs it, and renames it over path.
func replaceFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".routes-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
