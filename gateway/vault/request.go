package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/api"
)

// Read reads a path: ErrNotFound when nothing is there.
func (s *Session) Read(ctx context.Context, path string) (*api.Secret, error) {
	secret, err := s.do(ctx, "read", path, s.cfg.timeout(), func(ctx context.Context) (*api.Secret, error) {
		return s.client.Logical().ReadWithContext(ctx, path)
	})
	if err == nil && secret == nil {
		return nil, &Error{Op: "read", Path: path, Kind: ErrNotFound, Err: errors.New("nothing is there")}
	}
	return secret, err
}

// Write writes data at a path. The answer is nil where Vault has nothing to say.
func (s *Session) Write(ctx context.Context, path string, data map[string]any) (*api.Secret, error) {
	return s.do(ctx, "write", path, s.cfg.timeout(), func(ctx context.Context) (*api.Secret, error) {
		return s.client.Logical().WriteWithContext(ctx, path, data)
	})
}

// WriteSlowly is Write with a timeout of its own, for what Vault does in other systems before it answers.
func (s *Session) WriteSlowly(ctx context.Context, path string, data map[string]any, timeout time.Duration) (*api.Secret, error) {
	return s.do(ctx, "write", path, timeout, func(ctx context.Context) (*api.Secret, error) {
		return s.client.Logical().WriteWithContext(ctx, path, data)
	})
}

// List lists the names below a path; an empty list where nothing is.
func (s *Session) List(ctx context.Context, path string) ([]string, error) {
	secret, err := s.do(ctx, "list", path, s.cfg.timeout(), func(ctx context.Context) (*api.Secret, error) {
		return s.client.Logical().ListWithContext(ctx, path)
	})
	if errors.Is(err, ErrNotFound) || err == nil && (secret == nil || secret.Data["keys"] == nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	raw, ok := secret.Data["keys"].([]any)
	if !ok {
		return nil, &Error{Op: "list", Path: path, Kind: ErrUnavailable, Err: errors.New("the answer has no list of keys")}
	}
	keys := make([]string, 0, len(raw))
	for _, k := range raw {
		keys = append(keys, fmt.Sprint(k))
	}
	return keys, nil
}

// Delete deletes what is at a path; that nothing is there is no error.
func (s *Session) Delete(ctx context.Context, path string) error {
	_, err := s.do(ctx, "delete", path, s.cfg.timeout(), func(ctx context.Context) (*api.Secret, error) {
		return s.client.Logical().DeleteWithContext(ctx, path)
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// do sends one request as part of the session, at most MaxInFlight at a time. When Vault does not know the session's token any
// more (it was revoked, or Vault lost it), it logs in and sends the request once more.
func (s *Session) do(ctx context.Context, op, path string, timeout time.Duration, send func(context.Context) (*api.Secret, error)) (*api.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case s.inFlight <- struct{}{}:
		defer func() { <-s.inFlight }()
	case <-ctx.Done():
		return nil, wrap(op, path, fmt.Errorf("waiting for a turn: %w", context.Cause(ctx)))
	}
	token, err := s.token(ctx)
	if err != nil {
		return nil, wrap(op, path, err)
	}
	secret, err := send(ctx)
	if tokenIsDead(err) {
		if _, err := s.replace(ctx, token); err != nil {
			return nil, wrap(op, path, err)
		}
		secret, err = send(ctx)
	}
	return secret, wrap(op, path, err)
}
