package vault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// Config says how to reach Vault and how to log in. What is left empty is taken from the environment as Vault's own
// command takes it: VAULT_ADDR, VAULT_CACERT, VAULT_CAPATH, VAULT_NAMESPACE, VAULT_TLS_SERVER_NAME, and so on.
type Config struct {
	// Address of Vault; empty: VAULT_ADDR.
	Address string
	// CACert is a PEM file; empty: VAULT_CACERT, else the system's.
	CACert string
	// Namespace (Vault Enterprise); empty: VAULT_NAMESPACE.
	Namespace string

	Mounts Mounts

	// Role to log in as, at auth/<Mounts.JWT()>, with the token in JWTPath: a projected service account token, read
	// again at each login.
	Role    string
	JWTPath string

	// TokenPath is a file with a Vault token, Token a token itself; without either and without JWTPath: VAULT_TOKEN.
	// For development and for people.
	TokenPath string
	Token     string

	// MaxInFlight bounds the requests that this process has open at Vault; 0: 8.
	MaxInFlight int
	// Timeout of one request, retries included; 0: 15 s.
	Timeout time.Duration

	// Log gets logins, renewals that failed, and ends of sessions; nil: slog.Default().
	Log *slog.Logger
}

const (
	defaultMaxInFlight = 8
	defaultTimeout     = 15 * time.Second
)

// client makes a client that carries no token.
func (c Config) client() (*api.Client, error) {
	conf := api.DefaultConfig()
	if conf.Error != nil {
		return nil, fmt.Errorf("vault: environment: %w", conf.Error)
	}
	if c.Address != "" {
		conf.Address = c.Address
	}
	if c.CACert != "" {
		if err := conf.ConfigureTLS(&api.TLSConfig{CACert: c.CACert}); err != nil {
			return nil, fmt.Errorf("vault: certificate authority %s: %w", c.CACert, err)
		}
	}
	conf.Timeout = c.timeout()
	conf.MaxRetries = 2
	conf.CheckRetry = checkRetry
	conf.MinRetryWait = 100 * time.Millisecond
	conf.MaxRetryWait = time.Second
	cl, err := api.NewClient(conf)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	cl.ClearToken()
	if c.Namespace != "" {
		cl.SetNamespace(c.Namespace)
	}
	return cl, nil
}

// checkRetry repeats what Vault did not get or could not look at. A 500 is an answer: a database that refuses to make a user
// refuses it again, and each try costs it one.
func checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if err == nil && resp != nil && resp.StatusCode == http.StatusInternalServerError {
		return false, nil
	}
	return api.DefaultRetryPolicy(ctx, resp, err)
}

func (c Config) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return defaultTimeout
}

// staticToken is the token of a session that does not log in by JWT.
func (c Config) staticToken() (string, error) {
	if c.TokenPath != "" {
		b, err := os.ReadFile(c.TokenPath)
		if err != nil {
			return "", fmt.Errorf("vault token: %w", err)
		}
		if t := strings.TrimSpace(string(b)); t != "" {
			return t, nil
		}
		return "", fmt.Errorf("vault token: %s is empty", c.TokenPath)
	}
	if c.Token != "" {
		return c.Token, nil
	}
	if t := os.Getenv(api.EnvVaultToken); t != "" {
		return t, nil
	}
	return "", errors.New("vault token: give a service account token file and a role, a token file, or VAULT_TOKEN")
}
