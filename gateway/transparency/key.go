package transparency

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Key signs notes: an Ed25519 key that is made where it is used and stays there.
type Key struct {
	// Name is the origin of the log, or the name of the witness.
	Name string
	// Secret is the key in the encoding of golang.org/x/mod/sumdb/note.
	Secret string
	// Public is its verifier key (C2SP signed-note).
	Public string
}

// ErrNoKey is the error of OpenKey when there is none and none may be made.
var ErrNoKey = errors.New("the signing key is missing")

// OpenKey reads the key in a file, or makes it when create says so; its public part is written beside it, as file.pub. It
// insists on the name.
func OpenKey(file, name string, create bool, random io.Reader) (Key, error) {
	b, err := os.ReadFile(file)
	switch {
	case err == nil:
		return parseKey(strings.TrimSpace(string(b)), name, file)
	case !errors.Is(err, fs.ErrNotExist):
		return Key{}, err
	case !create:
		return Key{}, fmt.Errorf("%w: %s", ErrNoKey, file)
	}
	secret, public, err := note.GenerateKey(random, name)
	if err != nil {
		return Key{}, err
	}
	if _, err := note.NewSigner(secret); err != nil {
		return Key{}, fmt.Errorf("%q cannot be the name of a key: want no spaces and no +", name)
	}
	if err := WriteFile(file+".pub", []byte(public+"\n"), 0o644); err != nil {
		return Key{}, err
	}
	return Key{name, secret, public}, WriteFile(file, []byte(secret+"\n"), 0o600)
}

// parseKey never repeats the key in an error.
func parseKey(secret, name, file string) (Key, error) {
	signer, err := note.NewSigner(secret)
	if err != nil {
		return Key{}, fmt.Errorf("%s is not a signing key", file)
	}
	if signer.Name() != name {
		return Key{}, fmt.Errorf("%s is the key of %q, not of %q: a key belongs to one name", file, signer.Name(), name)
	}
	// PRIVATE+KEY+name+hash+key; the base64 of the key may have a plus of its own.
	raw, err := base64.StdEncoding.DecodeString(strings.SplitN(secret, "+", 5)[4])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return Key{}, fmt.Errorf("%s is not an Ed25519 signing key", file)
	}
	public, err := note.NewEd25519VerifierKey(name, ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey))
	return Key{name, secret, public}, err
}

// WriteFile writes in one durable step.
func WriteFile(name string, content []byte, mode os.FileMode) (err error) {
	f, err := os.OpenFile(name+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".tmp", name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
