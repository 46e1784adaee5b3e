package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/vault"
)

// Roles are the credentials' roles in Vault.
type Roles interface {
	// Ensure makes sure that the role of a credential is written as it must be.
	Ensure(ctx context.Context, c compile.Credential) error
	// RolePath is where a credential's role is, for people.
	RolePath(c compile.Credential) string
	// RevokeAgreementRole and RevokeSourceRole end a role and what it issued. They are idempotent.
	RevokeAgreementRole(ctx context.Context, role string) error
	RevokeSourceRole(ctx context.Context, role string) error
	// ListRoles lists the roles of all agreements.
	ListRoles(ctx context.Context) (vault.Roles, error)
}

var _ Roles = (*vault.Client)(nil)

// roleKey is one role in Vault.
type roleKey struct {
	source bool // a database role; else a PKI role
	role   string
}

func keyOf(c compile.Credential) roleKey { return roleKey{c.Source != nil, c.Role} }

// inventory knows which roles there may be in Vault: what was listed and what was written since. A role in it that is gone
// does no harm, since ending it again is nothing.
type inventory struct {
	mu     sync.Mutex
	loaded time.Time
	// roles by agreement id; false: what is left of one that is gone are the users that it made.
	roles map[string]map[roleKey]bool
}

func newInventory() *inventory { return &inventory{roles: map[string]map[roleKey]bool{}} }

// load lists what is in Vault.
func (i *inventory) load(ctx context.Context, from Roles) (there map[roleKey]bool, err error) {
	began := time.Now()
	listed, err := from.ListRoles(ctx)
	if err != nil {
		return nil, fmt.Errorf("list roles: %w", err)
	}
	there = make(map[roleKey]bool, len(listed.Agreement)+len(listed.Source))
	for _, role := range listed.Agreement {
		there[roleKey{false, role}] = true
	}
	for _, role := range listed.Source {
		there[roleKey{true, role}] = true
	}
	for _, role := range listed.Gone {
		there[roleKey{true, role}] = false
	}
	for k, is := range there {
		i.note(k, is)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.loaded = began
	return there, nil
}

// isLoaded says whether Vault was ever listed.
func (i *inventory) isLoaded() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return !i.loaded.IsZero()
}

// add notes a role that is there, or is about to be.
func (i *inventory) add(k roleKey) { i.note(k, true) }

func (i *inventory) note(k roleKey, there bool) {
	id, _, _ := strings.Cut(k.role, ".")
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.roles[id] == nil {
		i.roles[id] = map[roleKey]bool{}
	}
	i.roles[id][k] = there
}

func (i *inventory) remove(k roleKey) {
	id, _, _ := strings.Cut(k.role, ".")
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.roles[id], k)
	if len(i.roles[id]) == 0 {
		delete(i.roles, id)
	}
}

// has says whether a role is there, as far as is known.
func (i *inventory) has(k roleKey) bool {
	id, _, _ := strings.Cut(k.role, ".")
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.roles[id][k]
}

// of lists the roles of an agreement: PKI roles first, since ending them takes no time.
func (i *inventory) of(id string) []roleKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.SortedFunc(maps.Keys(i.roles[id]), func(a, b roleKey) int {
		if a.source != b.source {
			if b.source {
				return -1
			}
			return 1
		}
		return strings.Compare(a.role, b.role)
	})
}

func (i *inventory) ids() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Sorted(maps.Keys(i.roles))
}
