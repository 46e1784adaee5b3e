package filter

import (
	"container/list"
	"sync"

	"github.com/entente-dev/entente/gateway/route"
)

// Cache keeps the filters compiled last, so that a query asked again is not parsed again. It is safe for concurrent use.
// Its memory is bounded by its size and the limits of a filter.
type Cache struct {
	mu      sync.Mutex
	size    int
	entries map[cacheKey]*list.Element
	recent  *list.List // of *cacheEntry, the one used last in front
}

type cacheKey struct {
	schema string // digest
	text   string
}

type cacheEntry struct {
	key    cacheKey
	filter *Filter
}

// NewCache makes a cache of at most size filters, at least one.
func NewCache(size int) *Cache {
	return &Cache{size: max(1, size), entries: map[cacheKey]*list.Element{}, recent: list.New()}
}

// Compile is the function Compile, remembered by the schema's digest and the text. Errors are not remembered: they must
// not push out what works. A schema without a digest is compiled each time.
func (c *Cache) Compile(schema *route.Schema, text string) (*Filter, error) {
	if f := direct(schema, text); f != nil {
		return f, nil // in less time than it takes to keep it
	}
	if schema.Digest == "" || len(text) > MaxTextBytes {
		return Compile(schema, text)
	}
	key := cacheKey{schema.Digest, text}
	c.mu.Lock()
	if e, ok := c.entries[key]; ok {
		c.recent.MoveToFront(e)
		c.mu.Unlock()
		return e.Value.(*cacheEntry).filter, nil
	}
	c.mu.Unlock()

	f, err := Compile(schema, text)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[key]; ok { // compiled meanwhile by another
		return e.Value.(*cacheEntry).filter, nil
	}
	c.entries[key] = c.recent.PushFront(&cacheEntry{key, f})
	for c.recent.Len() > c.size {
		oldest := c.recent.Back()
		c.recent.Remove(oldest)
		delete(c.entries, oldest.Value.(*cacheEntry).key)
	}
	return f, nil
}

// Len is the number of filters kept.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recent.Len()
}
