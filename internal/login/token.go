package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Token is what was got for a context.
type Token struct {
	// Bearer is what the gateway is shown.
	Bearer string `json:"bearer,omitempty"`
	// Expires is its end; the zero time: nobody knows.
	Expires time.Time `json:"expires,omitzero"`
	// Refresh gets another; empty: only another login does.
	Refresh string `json:"refresh,omitempty"`
	// ClientSecret of an application that was given without a file of its own.
	ClientSecret string `json:"clientSecret,omitempty"`
}

// early is how long before its end a token is not used any more: a call takes some time, and clocks differ.
const early = 30 * time.Second

func (t *Token) good(now time.Time) bool {
	return t.Bearer != "" && (t.Expires.IsZero() || now.Add(early).Before(t.Expires))
}

func (s Store) tokenPath(name string) string { return filepath.Join(s.Tokens, name+".json") }

// LoadToken reads the token of a context; an empty one when there is none.
func (s Store) LoadToken(name string) (*Token, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	text, err := readPrivate(s.tokenPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return &Token{}, nil
	}
	if err != nil {
		return nil, err
	}
	t := &Token{}
	if err := json.Unmarshal(text, t); err != nil {
		return nil, fmt.Errorf("%s does not parse: entente login --context %s", s.tokenPath(name), name)
	}
	return t, nil
}

// SaveToken writes the token of a context.
func (s Store) SaveToken(name string, t *Token) error {
	if err := CheckName(name); err != nil {
		return err
	}
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return writePrivate(s.tokenPath(name), text)
}

// RemoveToken forgets the token of a context.
func (s Store) RemoveToken(name string) error {
	err := os.Remove(s.tokenPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ErrLogin: only another login gets a token.
var ErrLogin = errors.New("you are not logged in, or the login has ended")

// Bearer gives the token that the gateway is shown in a context, renewed if it has ended; "": the context has none.
func (s Store) Bearer(ctx context.Context, c *Context, now time.Time) (string, error) {
	switch {
	case c.TokenFile != "":
		text, err := os.ReadFile(c.TokenFile)
		return strings.TrimSpace(string(text)), err
	case c.OIDC == nil && c.ServiceAccount == nil:
		return "", nil
	}
	t, err := s.LoadToken(c.Name)
	if err != nil {
		return "", err
	}
	if t.good(now) {
		return t.Bearer, nil
	}
	next, err := c.renew(ctx, t, now)
	if err != nil {
		// Another process may have renewed it, by a refresh token that serves once.
		if again, e := s.LoadToken(c.Name); e == nil && again.good(now) {
			return again.Bearer, nil
		}
		if errors.Is(err, ErrLogin) {
			return "", fmt.Errorf("%w: entente login --context %s", err, c.Name)
		}
		return "", err
	}
	return next.Bearer, s.SaveToken(c.Name, next)
}

// renew gets another token without a person.
func (c *Context) renew(ctx context.Context, t *Token, now time.Time) (*Token, error) {
	switch {
	case c.ServiceAccount != nil:
		return c.ServiceAccount.Token(ctx)
	case c.OIDC.Application:
		secret, err := c.OIDC.secret(t)
		if err != nil {
			return nil, err
		}
		next, err := c.OIDC.asApplication(ctx, secret)
		if err == nil {
			next.ClientSecret = t.ClientSecret
		}
		return next, err
	case t.Refresh == "":
		return nil, ErrLogin
	}
	return c.OIDC.refresh(ctx, t.Refresh)
}
