// Package login keeps how a person or an application reaches their agency's gateway: contexts, as kubectl has them, and the tokens that
// were got for them. Both are files that only their owner reads.
package login

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/internal/files"
)

// File has the contexts.
type File struct {
	CurrentContext string    `json:"currentContext,omitempty"`
	Contexts       []Context `json:"contexts,omitempty"`
}

// Context is one gateway, and who one is there. At most one of ClientCertificate, TokenFile, OIDC and ServiceAccount is set. Paths are
// absolute.
type Context struct {
	Name string `json:"name"`
	// Server is the gRPC address of the gateway, host:port.
	Server string `json:"server"`
	// CertificateAuthority is a PEM file of the authorities that vouch for the gateway; empty: the system's.
	CertificateAuthority string `json:"certificateAuthority,omitempty"`
	// TLSServerName that the gateway's certificate must have; empty: the host of Server.
	TLSServerName string `json:"tlsServerName,omitempty"`

	ClientCertificate string          `json:"clientCertificate,omitempty"`
	ClientKey         string          `json:"clientKey,omitempty"`
	TokenFile         string          `json:"tokenFile,omitempty"`
	OIDC              *OIDC           `json:"oidc,omitempty"`
	ServiceAccount    *ServiceAccount `json:"serviceAccount,omitempty"`
}

// OIDC is a client at the agency's OpenID Connect provider.
type OIDC struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"clientID"`
	// Scopes asked for besides openid; empty: offline_access, so that the login lasts.
	Scopes []string `json:"scopes,omitempty"`
	// CertificateAuthority is a PEM file of the authorities that vouch for the provider; empty: the system's.
	CertificateAuthority string `json:"certificateAuthority,omitempty"`
	// Application: the client itself asks, by client credentials (RFC 6749 section 4.4), and no person.
	Application bool `json:"application,omitempty"`
	// ClientSecretFile has the client's secret; empty: the client has none, or it is kept with the tokens.
	ClientSecretFile string `json:"clientSecretFile,omitempty"`
}

// ServiceAccount of a Kubernetes cluster, whose tokens the cluster issues on request.
type ServiceAccount struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Audience  string `json:"audience"`
	// Kubeconfig and Context of whoever may ask for its tokens; empty: as kubectl finds them.
	Kubeconfig string `json:"kubeconfig,omitempty"`
	Context    string `json:"context,omitempty"`
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// CheckName refuses what cannot name a context, which names a file, too.
func CheckName(name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%q cannot name a context: letters, digits, and . _ - inside, at most 63", name)
	}
	return nil
}

// Store is where contexts and tokens are kept.
type Store struct {
	// Path of the file of contexts, and folder of the tokens.
	Path, Tokens string
}

// DefaultStore follows the XDG base directories; ENTENTE_CONFIG names another file of contexts, beside which its tokens are.
func DefaultStore(env func(string) string) (Store, error) {
	if path := env("ENTENTE_CONFIG"); path != "" {
		return Store{Path: path, Tokens: path + ".tokens"}, nil
	}
	home := env("HOME")
	base := func(name, fallback string) (string, error) {
		if dir := env(name); filepath.IsAbs(dir) {
			return filepath.Join(dir, "entente"), nil
		}
		if home == "" {
			return "", fmt.Errorf("neither %s nor HOME says where contexts are kept: set ENTENTE_CONFIG", name)
		}
		return filepath.Join(home, fallback, "entente"), nil
	}
	config, err := base("XDG_CONFIG_HOME", ".config")
	if err != nil {
		return Store{}, err
	}
	state, err := base("XDG_STATE_HOME", ".local/state")
	return Store{Path: filepath.Join(config, "client.yaml"), Tokens: filepath.Join(state, "tokens")}, err
}

// Load reads the contexts; none when there is no file.
func (s Store) Load() (*File, error) {
	text, err := readPrivate(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{}, nil
	}
	if err != nil {
		return nil, err
	}
	f := &File{}
	if err := yaml.UnmarshalStrict(text, f); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Path, err)
	}
	return f, nil
}

// Save writes the contexts.
func (s Store) Save(f *File) error {
	text, err := yaml.Marshal(f)
	if err != nil {
		return err
	}
	return writePrivate(s.Path, text)
}

// Find gives a context by its name; an empty one is the current. nil: there is none, and none was named.
func (f *File) Find(name string) (*Context, error) {
	wanted := name
	if wanted == "" {
		wanted = f.CurrentContext
	}
	i := slices.IndexFunc(f.Contexts, func(c Context) bool { return c.Name == wanted })
	switch {
	case i >= 0 && wanted != "":
		return &f.Contexts[i], nil
	case wanted == "":
		return nil, nil
	}
	return nil, fmt.Errorf("there is no context %q: entente login --context %s", wanted, wanted)
}

// Put adds a context in the place of one of its name, and makes it the current one.
func (f *File) Put(c Context) {
	f.Remove(c.Name)
	f.Contexts = append(f.Contexts, c)
	slices.SortFunc(f.Contexts, func(a, b Context) int { return compare(a.Name, b.Name) })
	f.CurrentContext = c.Name
}

// Remove takes a context away.
func (f *File) Remove(name string) {
	f.Contexts = slices.DeleteFunc(f.Contexts, func(c Context) bool { return c.Name == name })
	if f.CurrentContext == name {
		f.CurrentContext = ""
	}
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// readPrivate reads a file that nobody else may read or write: whoever could write it would choose where one's tokens go.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s may be read or written by others (%#o): chmod 600 %s", path, mode, path)
	}
	return os.ReadFile(path)
}

// writePrivate writes a file in one step, for its owner only, and the folder that it is in.
func writePrivate(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return files.Replace(path, content, 0o600)
}
