package route

import (
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/entente-dev/entente/gateway/claims"
)

// Ten thousand agreements are between few agencies, over few schemas, for few purposes: what routes have in common is kept once. A route
// is never changed once it is decoded, so nobody can tell.
var (
	bundles    memo[string]
	peers      memo[Peer]
	recipients memo[[]Recipient]
	schemas    memo[Schema]
	columns    memo[map[string]string]
	lists      memo[[]string]
	patterns   memo[*regexp.Regexp]
	attributes memo[*claims.Expression]
)

// maxShared bounds each memo; when it is full it begins anew, and what was shared goes with the routes that have it.
const maxShared = 4096

// memo remembers values by a key.
type memo[V any] struct {
	mu   sync.Mutex
	held map[string]V
}

// get gives the value of a key, made if there is none. A value that cannot be made is not remembered.
func (m *memo[V]) get(key string, create func() (V, error)) (V, error) {
	m.mu.Lock()
	v, ok := m.held[key]
	m.mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := create()
	if err != nil {
		return v, err
	}
	m.put(key, v)
	return v, nil
}

func (m *memo[V]) put(key string, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil || len(m.held) >= maxShared {
		m.held = make(map[string]V)
	}
	m.held[strings.Clone(key)] = v
}

// same gives what is held under the key if it equals v, and else v, which is held from then on.
func (m *memo[V]) same(key string, v V) V {
	m.mu.Lock()
	old, ok := m.held[key]
	m.mu.Unlock()
	if ok && reflect.DeepEqual(old, v) {
		return old
	}
	m.put(key, v)
	return v
}

// share replaces what the route has in common with others.
func (r *Route) share() {
	for i := range r.Versions {
		for j := range r.Versions[i].Clauses {
			c := &r.Versions[i].Clauses[j]
			c.Source = peers.same(c.Source.Agency, c.Source)
			if len(c.Recipients) > 0 {
				c.Recipients = recipients.same(c.Recipients[0].Agency+"\x00"+strconv.Itoa(len(c.Recipients)), c.Recipients)
			}
			// The digest alone would do if nobody ever signed a wrong one; what differs is not shared.
			c.Schema = schemas.same(c.Schema.Name+"\x00"+c.Schema.Digest, c.Schema)
			for k := range c.Datasets {
				c.Datasets[k].share(c)
			}
			for _, list := range []*[]string{&c.Purposes, &c.Fields, &c.FilterFields, &c.SubjectRoles, &c.Jurisdictions} {
				*list = shareList(*list)
			}
			for k := range c.RequireSelectors {
				c.RequireSelectors[k] = shareList(c.RequireSelectors[k])
			}
		}
	}
}

func (d *Dataset) share(c *Clause) {
	if len(d.Columns) > 0 {
		key := append([]string{d.Name}, c.Fields...)
		d.Columns = columns.same(strings.Join(append(key, c.FilterFields...), "\x00"), d.Columns)
	}
	if d.PostgreSQL != nil {
		d.PostgreSQL.CABundle = bundles.same(d.PostgreSQL.CABundle, d.PostgreSQL.CABundle)
	}
}

func shareList(list []string) []string {
	if len(list) == 0 {
		return list
	}
	return lists.same(strings.Join(list, "\x00"), list)
}
