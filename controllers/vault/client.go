// Package vault keeps an agency's keys and credentials in Vault: it signs agreements and routes, issues agreement
// credentials, and makes and ends the roles behind them. Private keys never leave Vault.
package vault

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/keys"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

// MaxCredentialTTL is the longest life of an agreement credential and of a source credential.
const MaxCredentialTTL = time.Hour

// Config says whose keys and credentials they are.
type Config struct {
	// Agency is the local agency's name.
	Agency string
	// TrustDomain is the local agency's SPIFFE trust domain.
	TrustDomain string
	// ConnectionLimit of a source credential at its database: the connections that one gateway replica may have open
	// for one agreement and dataset; 0: 16.
	ConnectionLimit int
}

// Client keeps the keys and credentials of one agency. Its methods are safe for concurrent use.
type Client struct {
	*gwvault.Session
	cfg    Config
	mounts gwvault.Mounts

	mu      sync.Mutex
	written map[string]written // role path → what was last seen to be stored
	listed  bool               // written has every role that there was when they were last listed
}

var (
	_ keys.AgreementSigner = (*Client)(nil)
	_ keys.RouteSigner     = (*Client)(nil)
	_ keys.Issuer          = (*Client)(nil)
)

// New makes a client on a session.
func New(s *gwvault.Session, cfg Config) (*Client, error) {
	if !nameRE.MatchString(cfg.Agency) {
		return nil, fmt.Errorf("vault: agency name %q: at most 40 lower-case letters, digits and hyphens", cfg.Agency)
	}
	if !trustDomainRE.MatchString(cfg.TrustDomain) {
		return nil, fmt.Errorf("vault: trust domain %q is not one", cfg.TrustDomain)
	}
	if cfg.ConnectionLimit <= 0 {
		cfg.ConnectionLimit = 16
	}
	return &Client{Session: s, cfg: cfg, mounts: s.Mounts(), written: map[string]written{}}, nil
}

// ErrName: a name that should have been refused long before; nothing was sent to Vault.
var ErrName = errors.New("vault: name not allowed")

var (
	nameRE        = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)
	trustDomainRE = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,253}[a-z0-9])?$`)
	roleRE        = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?\.[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)
	connectionRE  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$`)
	relationRE    = regexp.MustCompile(`^(?:([A-Za-z_][A-Za-z0-9_$]{0,62})\.)?([A-Za-z_][A-Za-z0-9_$]{0,62})$`)
	columnRE      = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]{0,62}$`)
)

// Ensure makes sure that the role of a credential is written as it must be.
func (c *Client) Ensure(ctx context.Context, cred compile.Credential) error {
	if cred.Source != nil {
		return c.EnsureSourceRole(ctx, cred)
	}
	return c.EnsureAgreementRole(ctx, cred)
}

// RolePath is where a credential's role is, for people: status shows it.
func (c *Client) RolePath(cred compile.Credential) string {
	if cred.Source != nil {
		return c.sourceRolePath(cred.Role)
	}
	return c.agreementRolePath(cred.Role)
}

func (c *Client) agreementRolePath(role string) string { return c.mounts.PKI() + "/roles/" + role }
func (c *Client) sourceRolePath(role string) string    { return c.mounts.Database() + "/roles/" + role }
