package vault

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	gwvault "github.com/entente-dev/entente/gateway/vault"
)

// written remembers what a role was last seen to be.
type written struct {
	content digest
	at      time.Time
}

// digest stands for the fields of a role: of ten thousand agreements they would be more than all else that is kept of them.
type digest [sha256.Size]byte

// trustWritten is how long a role is believed to be as it was last seen. After that, and at the first sight of it, it is read.
const trustWritten = 10 * time.Minute

// ensureRole makes a role exactly what it should be: a write replaces the whole role, so fields has every field. It writes
// nothing when the stored role is already so.
func (c *Client) ensureRole(ctx context.Context, path string, fields map[string]any) error {
	content := digest(sha256.Sum256([]byte(canonical(fields))))
	c.mu.Lock()
	w, ok := c.written[path]
	missing := !ok && c.listed
	c.mu.Unlock()
	if ok && w.content == content && time.Since(w.at) < trustWritten {
		return nil
	}
	if missing {
		return c.writeRole(ctx, path, fields, content)
	}
	stored, err := c.Read(ctx, path)
	switch {
	case errors.Is(err, gwvault.ErrNotFound):
	case err != nil:
		return err
	case len(Differences(fields, stored.Data)) == 0:
		c.remember(path, content)
		return nil
	}
	return c.writeRole(ctx, path, fields, content)
}

func (c *Client) writeRole(ctx context.Context, path string, fields map[string]any, content digest) error {
	if _, err := c.Write(ctx, path, fields); err != nil {
		c.forget(path)
		return err
	}
	c.remember(path, content)
	return nil
}

func (c *Client) remember(path string, content digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written[path] = written{content: content, at: time.Now()}
}

func (c *Client) forget(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.written, path)
}

// foundRoles notes which roles there are. Of the others nothing is believed any more, and one that is not there need not be read
// before it is written.
func (c *Client) foundRoles(paths map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for path := range c.written {
		if !paths[path] {
			delete(c.written, path)
		}
	}
	for path := range paths {
		if _, ok := c.written[path]; !ok {
			c.written[path] = written{} // somebody's, to be read
		}
	}
	c.listed = true
}

// Differences names the fields that are stored otherwise than wanted, sorted. What is stored beside them does not count.
func Differences(want, stored map[string]any) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if canonicalValue(want[name]) != canonicalValue(stored[name]) {
			out = append(out, name)
		}
	}
	return out
}

func canonical(fields map[string]any) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		b.WriteString(name)
		b.WriteByte(0)
		b.WriteString(canonicalValue(fields[name]))
		b.WriteByte(1)
	}
	return b.String()
}

// canonicalValue makes a value as it is written and as Vault gives it back comparable: an empty list is the empty string, a list
// of one is its element, and 3600s is 3600.
func canonicalValue(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		if !mayBeDuration(v) {
			return v
		}
		if d, err := time.ParseDuration(v); err == nil {
			return strconv.FormatInt(int64(d/time.Second), 10)
		}
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	case []string:
		return strings.Join(v, "\x00")
	case []any:
		parts := make([]string, 0, len(v))
		for _, e := range v {
			parts = append(parts, canonicalValue(e))
		}
		return strings.Join(parts, "\x00")
	case map[string]any:
		if len(v) == 0 {
			return ""
		}
		return canonical(v)
	case map[string]string:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = e
		}
		return canonicalValue(m)
	default:
		return fmt.Sprint(v)
	}
}

// mayBeDuration keeps long texts from being parsed.
func mayBeDuration(s string) bool {
	return len(s) > 1 && len(s) < 24 && s[0] >= '0' && s[0] <= '9' && strings.ContainsRune("smh", rune(s[len(s)-1]))
}
