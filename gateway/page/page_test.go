package page

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// ring wraps by saying what for; it counts how often it is asked.
type ring struct {
	name  string
	asked int
	down  bool
}

func (r *ring) Wrap(_ context.Context, key, bound []byte) (string, error) {
	if r.asked++; r.down {
		return "", errors.New("down")
	}
	return fmt.Sprintf("%s:%x:%s", r.name, key, bound), nil
}

func (r *ring) Unwrap(_ context.Context, wrapped string, bound []byte) ([]byte, error) {
	r.asked++
	var key []byte
	if n, err := fmt.Sscanf(wrapped, r.name+":%x:", &key); n != 1 || err != nil || !bytes.HasSuffix([]byte(wrapped), bound) {
		return nil, errors.New("no")
	}
	return key, nil
}

// TestReplicasShareKeys: what one replica protects, another one reads; nobody else does.
func TestReplicasShareKeys(t *testing.T) {
	ctx := context.Background()
	now := time.Now()
	clock := func() time.Time { return now }
	one, two := &ring{name: "a"}, &ring{name: "a"}
	first, second := NewKeys(one, "page tokens", clock), NewKeys(two, "page tokens", clock)
	key, err := first.Current(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := key.Seal([]byte("text that nobody reads"), []byte("alice"))
	if err != nil || bytes.Contains(sealed, []byte("text that nobody reads")) {
		t.Fatal(err)
	}
	other, err := second.Open(ctx, key.Wrapped)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := other.Unseal(sealed, []byte("alice")); err != nil || string(text) != "text that nobody reads" {
		t.Errorf("%q %v", text, err)
	}
	if _, err := other.Unseal(sealed, []byte("bob")); !errors.Is(err, ErrForged) {
		t.Errorf("for another user: %v", err)
	}
	sealed[3] ^= 1
	if _, err := other.Unseal(sealed, []byte("alice")); !errors.Is(err, ErrForged) {
		t.Errorf("altered: %v", err)
	}
	if sum := key.Sum([]byte("x")); !other.Holds([]byte("x"), sum) || other.Holds([]byte("y"), sum) || other.Holds([]byte("x"), sum[:8]) || other.Holds([]byte("x"), nil) {
		t.Error("sums")
	}
	if _, err := NewKeys(two, "positions in pages", clock).Open(ctx, key.Wrapped); !errors.Is(err, ErrForged) {
		t.Errorf("for another use: %v", err)
	}
	if _, err := NewKeys(&ring{name: "b"}, "page tokens", clock).Open(ctx, key.Wrapped); !errors.Is(err, ErrForged) {
		t.Errorf("of another agency: %v", err)
	}

	// The ring is asked once for a key, and not at all for those that are too large.
	for range 100 {
		_, _ = first.Current(ctx)
		_, _ = second.Open(ctx, key.Wrapped)
		_, _ = second.Open(ctx, make([]byte, maxWrapped+1))
		_, _ = second.Open(ctx, nil)
	}
	if one.asked != 1 || two.asked != 2 {
		t.Errorf("asked %d and %d times", one.asked, two.asked)
	}
	// Inventions do not keep it busy.
	for i := range 1000 {
		if _, err := second.Open(ctx, fmt.Append(nil, "invented", i)); err == nil {
			t.Fatal("an invention is taken")
		}
	}
	if two.asked > 200 {
		t.Errorf("asked %d times", two.asked)
	}

	now = now.Add(keyLife)
	if next, err := first.Current(ctx); err != nil || bytes.Equal(next.Wrapped, key.Wrapped) {
		t.Errorf("no new key: %v", err)
	}
	one.down = true
	now = now.Add(keyLife)
	if _, err := first.Current(ctx); err == nil {
		t.Error("a key without the ring")
	}
}

// TestKeyKeepsNoToken: a key is remembered for long, and the token that it came with is not.
func TestKeyKeepsNoToken(t *testing.T) {
	made, err := NewKeys(&ring{name: "a"}, "page tokens", time.Now).Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token := append(bytes.Clone(made.Wrapped), make([]byte, 1<<10)...)
	key, err := NewKeys(&ring{name: "a"}, "page tokens", time.Now).Open(t.Context(), token[:len(made.Wrapped)])
	if err != nil {
		t.Fatal(err)
	}
	if clear(token); !bytes.Equal(key.Wrapped, made.Wrapped) {
		t.Error("the key is a part of the token")
	}
}

// away is the error of a ring that does not answer.
type away struct{ error }

func (away) Temporary() bool { return true }

type ringAway struct{ ring }

func (ringAway) Unwrap(context.Context, string, []byte) ([]byte, error) {
	return nil, fmt.Errorf("unwrap: %w", away{errors.New("sealed")})
}

// TestRingAway: that the ring does not answer is not held against whoever handed the key in.
func TestRingAway(t *testing.T) {
	if _, err := NewKeys(&ringAway{}, "page tokens", time.Now).Open(t.Context(), []byte("a:00:")); err == nil || errors.Is(err, ErrForged) {
		t.Errorf("%v", err)
	}
}
