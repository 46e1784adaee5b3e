package vault

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Credential opens a source system until Expires. It prints and logs without its password.
type Credential struct {
	Username string
	Password string `json:"-"`
	Expires  time.Time
}

// String names the user and nothing else.
func (c Credential) String() string { return c.Username }

// GoString as String.
func (c Credential) GoString() string { return c.Username }

// LogValue as String.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.Username) }

// SourceCredential makes a new user of the source system with the rights of a database role. Each call makes another user,
// which lives until Expires, until the role is revoked, or until the session ends: ask once for a pool, not for a connection.
//
// A lease dies with the token that made it. Expires is therefore never after the end of the session's token as known now,
// although that token will usually be renewed.
func (s *Session) SourceCredential(ctx context.Context, role string) (Credential, error) {
	path := s.cfg.Mounts.Database() + "/creds/" + role
	at := time.Now()
	secret, err := s.Read(ctx, path)
	if err != nil {
		return Credential{}, err
	}
	c := Credential{Expires: at.Add(time.Duration(secret.LeaseDuration) * time.Second)}
	c.Username, _ = secret.Data["username"].(string)
	c.Password, _ = secret.Data["password"].(string)
	if c.Username == "" || c.Password == "" {
		return Credential{}, &Error{Op: "read", Path: path, Kind: ErrInvalid, Err: errors.New("the answer has no username and password")}
	}
	if end := s.Status().Expires; !end.IsZero() && end.Before(c.Expires) {
		c.Expires = end
	}
	return c, nil
}

// HTTPSecret reads the members of the secret for the HTTP service that a dataset is bound to, at <kv>/sources/<dataset>. Errors name the
// path and quote nothing.
func (s *Session) HTTPSecret(ctx context.Context, dataset string) (map[string]string, error) {
	path := s.cfg.Mounts.KV() + "/data/sources/" + dataset
	secret, err := s.Read(ctx, path)
	if err != nil {
		return nil, err
	}
	data, ok := secret.Data["data"].(map[string]any)
	if !ok || len(data) == 0 {
		return nil, &Error{Op: "read", Path: path, Kind: ErrInvalid, Err: errors.New("there is no secret of a key-value engine of version 2")}
	}
	out := make(map[string]string, len(data))
	for name, value := range data {
		if out[name], ok = value.(string); !ok {
			return nil, &Error{Op: "read", Path: path, Kind: ErrInvalid, Err: errors.New("a member of the secret is no string")}
		}
	}
	return out, nil
}
