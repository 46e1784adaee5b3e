package audit

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeyRing wraps the data keys that seal payloads, under a key that it never gives away. Its methods are called in the
// background and by readers, never on the way of a record, and are safe for concurrent use.
type KeyRing interface {
	// Wrap returns a data key in a form that may be kept in the clear. bound says which key of which log it is.
	Wrap(ctx context.Context, key, bound []byte) (string, error)
	// Unwrap undoes Wrap; it fails when bound is not what it was.
	Unwrap(ctx context.Context, wrapped string, bound []byte) ([]byte, error)
}

const dataKeySize = 32 // AES-256

// LocalKeys is a KeyRing over a key in a file, for an agency without Vault: who reads the file reads the log.
type LocalKeys struct{ aead cipher.AEAD }

const (
	localKeyPrefix = "entente-log-key:v1:" // of the file
	localPrefix    = "local:v1:"           // of a wrapped key
)

// LocalKeyFile is where the local key of the log in dir is when no KeyRing is given: beside the folder, so that the folder can
// be copied without it.
func LocalKeyFile(dir string) string { return filepath.Clean(dir) + ".key" }

// ReadLocalKeys reads the key in the file at path; fs.ErrNotExist when there is none.
func ReadLocalKeys(path string) (*LocalKeys, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text, ok := strings.CutPrefix(strings.TrimSuffix(string(b), "\n"), localKeyPrefix)
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if !ok || err != nil || len(key) != dataKeySize {
		return nil, &CorruptError{File: path, Reason: "it does not hold a key"}
	}
	aead, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	return &LocalKeys{aead}, nil
}

// openLocalKeys is ReadLocalKeys that makes the key, durably, when there is none.
func openLocalKeys(fsys FS, path string, random io.Reader) (*LocalKeys, error) {
	k, err := ReadLocalKeys(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	key := make([]byte, dataKeySize)
	if _, err := io.ReadFull(random, key); err != nil {
		return nil, fmt.Errorf("randomness: %w", err)
	}
	if err := writeFile(fsys, path, []byte(localKeyPrefix+base64.StdEncoding.EncodeToString(key)+"\n")); err != nil {
		return nil, err
	}
	return ReadLocalKeys(path)
}

// Wrap implements KeyRing.
func (k *LocalKeys) Wrap(_ context.Context, key, bound []byte) (string, error) {
	return localPrefix + base64.StdEncoding.EncodeToString(k.aead.Seal(nil, nil, key, bound)), nil
}

// Unwrap implements KeyRing.
func (k *LocalKeys) Unwrap(_ context.Context, wrapped string, bound []byte) ([]byte, error) {
	text, ok := strings.CutPrefix(wrapped, localPrefix)
	if !ok {
		return nil, errors.New("it is not wrapped under a local key: give the key that it is wrapped under")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errors.New("it is not base64")
	}
	key, err := k.aead.Open(nil, nil, b, bound)
	if err != nil {
		return nil, errors.New("the local key is another one than it was wrapped under")
	}
	return key, nil
}

// newGCM is AES-256-GCM with a random nonce in front of the ciphertext (NIST SP 800-38D 8.2.2: at most 2^32 uses of a key).
func newGCM(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(b)
}

// writeFile makes a file with its content, durably and in one step.
func writeFile(fsys FS, path string, content []byte) error {
	tmp := path + ".tmp"
	f, err := fsys.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, path); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}
