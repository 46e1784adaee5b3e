package httpclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Secret is what a gateway proves itself with to one service of its agency. It prints and logs as nothing.
type Secret struct {
	token, username, password string
	certificate               *tls.Certificate
}

// String gives nothing away.
func (Secret) String() string { return "secret" }

// GoString as String.
func (Secret) GoString() string { return "secret" }

// LogValue as String.
func (Secret) LogValue() slog.Value { return slog.StringValue("secret") }

// members of a secret, as they are written in Vault and as files.
var members = []string{"token", "username", "password", "certificate", "key"}

// NewSecret makes a secret of its members: token; username and password; certificate and key (PEM). Errors name members and quote
// nothing.
func NewSecret(given map[string]string) (Secret, error) {
	for name, value := range given {
		if !slices.Contains(members, name) {
			return Secret{}, fmt.Errorf("the secret has a member that is not known: it has some of %s", strings.Join(members, ", "))
		}
		if value == "" {
			return Secret{}, fmt.Errorf("the secret's %s is empty", name)
		}
		if name != "certificate" && name != "key" && strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return Secret{}, fmt.Errorf("the secret's %s has control characters", name)
		}
	}
	s := Secret{token: given["token"], username: given["username"], password: given["password"]}
	if (s.username == "") != (s.password == "") || strings.Contains(s.username, ":") {
		return Secret{}, errors.New("the secret has no username and password that belong together")
	}
	if (given["certificate"] == "") != (given["key"] == "") {
		return Secret{}, errors.New("the secret has a certificate without its key, or the other way round")
	}
	if given["certificate"] != "" {
		c, err := tls.X509KeyPair([]byte(given["certificate"]), []byte(given["key"]))
		if err != nil {
			return Secret{}, errors.New("the secret's certificate and key are no PEM that belongs together")
		}
		s.certificate = &c
	}
	return s, nil
}

// covers says whether the secret has what the service asks for, and no more: what is not asked for is not shown.
func (s Secret) covers(authentication []string) error {
	for _, of := range []struct {
		name string
		have bool
	}{{"Bearer", s.token != ""}, {"Basic", s.username != ""}, {"Certificate", s.certificate != nil}} {
		switch asked := slices.Contains(authentication, of.name); {
		case asked && !of.have:
			return fmt.Errorf("the service asks for %s, which the secret does not have", of.name)
		case !asked && of.have:
			return fmt.Errorf("the secret has %s, which the dataset does not say that the service asks for", of.name)
		}
	}
	return nil
}

// maxSecretFile bounds a file of a secret.
const maxSecretFile = 64 << 10

// ReadSecret reads a secret from a folder with a file for each of its members, named as the member. It refuses files that others may
// read.
func ReadSecret(dir string) (Secret, error) {
	given := map[string]string{}
	for _, name := range members {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Secret{}, err
		}
		if info.Mode().Perm()&0o077 != 0 {
			return Secret{}, fmt.Errorf("%s: mode is %04o; a secret is for its owner only: chmod 600", path, info.Mode().Perm())
		}
		if info.Size() > maxSecretFile {
			return Secret{}, fmt.Errorf("%s: larger than %d bytes", path, maxSecretFile)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return Secret{}, err
		}
		given[name] = strings.TrimRight(string(text), "\r\n")
	}
	if len(given) == 0 {
		return Secret{}, fmt.Errorf("%s: there is no secret: write token, or username and password, or certificate and key there, a file each", dir)
	}
	return NewSecret(given)
}
