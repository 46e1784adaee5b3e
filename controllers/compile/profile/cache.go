package profile

import (
	"crypto/sha256"
	"encoding/json"
	"sync"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// maxCached bounds how many profiles a cache keeps. An agency has a handful; more of them are more editions of the same.
const maxCached = 64

// Cache compiles each profile once, whichever object it comes in. It is safe for concurrent use, and the nil Cache
// compiles each time.
type Cache struct {
	mu sync.Mutex
	// entries by digest of name and spec; guarded by mu.
	entries map[[sha256.Size]byte]entry
	// renewals by their text; guarded by mu.
	renewals map[string]renewalEntry
}

type renewalEntry struct {
	renewal *Renewal
	err     error
}

type entry struct {
	profile *Profile
	faults  []string
}

// NewCache makes an empty cache.
func NewCache() *Cache {
	return &Cache{entries: map[[sha256.Size]byte]entry{}, renewals: map[string]renewalEntry{}}
}

// Compile is the function Compile, remembered.
func (c *Cache) Compile(name string, spec *v1alpha1.AgreementProfileSpec) (*Profile, []string) {
	if c == nil {
		return Compile(name, spec)
	}
	text, err := json.Marshal(struct {
		Name string
		Spec *v1alpha1.AgreementProfileSpec
	}{name, spec})
	if err != nil {
		return Compile(name, spec)
	}
	key := sha256.Sum256(text)
	c.mu.Lock()
	defer c.mu.Unlock() // held while compiling: whoever waits wants the same profile
	e, ok := c.entries[key]
	if !ok {
		if len(c.entries) >= maxCached {
			clear(c.entries)
		}
		e.profile, e.faults = Compile(name, spec)
		c.entries[key] = e
	}
	return e.profile, e.faults
}

// maxRenewals bounds how many renewals a cache keeps. People use the same few expressions for many agreements.
const maxRenewals = 256

// Renewal is the function CompileRenewal, remembered.
func (c *Cache) Renewal(spec *v1alpha1.Renewals) (*Renewal, error) {
	if c == nil {
		return CompileRenewal(spec)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return CompileRenewal(spec)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.renewals[string(text)]
	if !ok {
		if len(c.renewals) >= maxRenewals {
			clear(c.renewals)
		}
		e.renewal, e.err = CompileRenewal(spec)
		c.renewals[string(text)] = e
	}
	return e.renewal, e.err
}
