package vault

import (
	"context"
	"encoding/base64"
	"errors"
)

// LogKeys wraps the data keys of an agency's logs with a transit key that never leaves Vault. It is an audit.KeyRing.
type LogKeys struct {
	Session *Session
	Agency  string
}

// Wrap implements audit.KeyRing: what it returns starts with vault:v and the version of the transit key.
func (k LogKeys) Wrap(ctx context.Context, key, bound []byte) (string, error) {
	return k.ask(ctx, "encrypt", "ciphertext", map[string]any{
		"plaintext": base64.StdEncoding.EncodeToString(key), "associated_data": base64.StdEncoding.EncodeToString(bound),
	})
}

// Unwrap implements audit.KeyRing.
func (k LogKeys) Unwrap(ctx context.Context, wrapped string, bound []byte) ([]byte, error) {
	text, err := k.ask(ctx, "decrypt", "plaintext", map[string]any{
		"ciphertext": wrapped, "associated_data": base64.StdEncoding.EncodeToString(bound),
	})
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(text)
}

func (k LogKeys) ask(ctx context.Context, op, member string, data map[string]any) (string, error) {
	path := k.Session.cfg.Mounts.Transit() + "/" + op + "/" + LogKey(k.Agency)
	secret, err := k.Session.Write(ctx, path, data)
	if err != nil {
		return "", err
	}
	if secret != nil {
		if text, _ := secret.Data[member].(string); text != "" {
			return text, nil
		}
	}
	return "", &Error{Op: "write", Path: path, Kind: ErrInvalid, Err: errors.New("the answer has no " + member)}
}
