package bootstrap

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	gwvault "github.com/entente-dev/entente/gateway/vault"
)

// Options say what an agency's Vault must have.
type Options struct {
	Agency      string
	TrustDomain string
	Mounts      gwvault.Mounts

	// PKIExisting: leave the PKI engine and its authority alone; only roles are written to it.
	PKIExisting bool
	// GatewayNames are DNS names and IP addresses by which local clients reach the gateway.
	GatewayNames []string

	// Namespace of the operator and the gateway in Kubernetes, and their service accounts.
	Namespace              string
	OperatorServiceAccount string
	GatewayServiceAccount  string
	// Audience of the projected service account tokens.
	Audience string
	// Kubernetes is who signs service account tokens; nil: no JWT auth is set up.
	Kubernetes *Kubernetes

	Databases []Database

	DryRun bool
}

// Kubernetes is the token issuer of a cluster.
type Kubernetes struct {
	// Issuer, the iss of service account tokens.
	Issuer string
	// JWKSURL where Vault fetches the keys, and the PEM authority it trusts for that; or
	JWKSURL, JWKSCA string
	// PublicKeys, PEM, fixed.
	PublicKeys []string
}

// Database is a connection of the database engine: a PostgreSQL database of the agency.
type Database struct {
	// Name that Datasets refer to as vaultConnection.
	Name string
	// URL with {{username}} and {{password}} in it.
	URL string
	// Username and Password of a user that may create roles (CREATEROLE), end sessions (member of pg_signal_backend) and
	// grant SELECT on what is shared. It needs not be superuser.
	Username, Password string
	// CA, PEM, that the server's certificate is verified against.
	CA string
	// RotateRoot makes Vault replace the password when the connection is created, so that nobody else knows it.
	RotateRoot bool
}

// Lifetimes. A token's greatest age bounds the leases made with it; sessions log in again before.
const (
	tokenTTL    = time.Hour
	tokenMaxTTL = 24 * time.Hour
	identityTTL = 24 * time.Hour
	rootTTL     = 10 * 365 * 24 * time.Hour
)

// Defaults of Options.
const (
	DefaultAudience               = "vault"
	DefaultOperatorServiceAccount = "entente-operator"
	DefaultGatewayServiceAccount  = "entente-gateway"
)

var (
	agencyRE      = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)
	trustDomainRE = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,253}[a-z0-9])?$`)
	prefixRE      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*/?$`)
	connectionRE  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$`)
	nameRE        = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
	accountRE     = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
)

func (o *Options) complete() error {
	if o.Audience == "" {
		o.Audience = DefaultAudience
	}
	if o.OperatorServiceAccount == "" {
		o.OperatorServiceAccount = DefaultOperatorServiceAccount
	}
	if o.GatewayServiceAccount == "" {
		o.GatewayServiceAccount = DefaultGatewayServiceAccount
	}
	if !agencyRE.MatchString(o.Agency) {
		return fmt.Errorf("agency %q: at most 40 lower-case letters, digits and hyphens", o.Agency)
	}
	if !trustDomainRE.MatchString(o.TrustDomain) {
		return fmt.Errorf("trust domain %q: lower-case letters, digits, dots, underscores and hyphens, such as police.example.gov", o.TrustDomain)
	}
	if o.Mounts.Prefix != "" && !prefixRE.MatchString(o.Mounts.Prefix) {
		return fmt.Errorf("mount prefix %q is not a path", o.Mounts.Prefix)
	}
	for _, n := range o.GatewayNames {
		if net.ParseIP(n) == nil && !nameRE.MatchString(n) {
			return fmt.Errorf("gateway name %q is neither a DNS name nor an IP address", n)
		}
	}
	if k := o.Kubernetes; k != nil {
		if !accountRE.MatchString(o.Namespace) || !accountRE.MatchString(o.OperatorServiceAccount) || !accountRE.MatchString(o.GatewayServiceAccount) {
			return fmt.Errorf("namespace %q and service accounts %q and %q are needed to let the cluster's pods log in", o.Namespace, o.OperatorServiceAccount, o.GatewayServiceAccount)
		}
		if k.Issuer == "" || (k.JWKSURL == "") == (len(k.PublicKeys) == 0) {
			return errors.New("the cluster's token issuer is needed, and either the URL of its keys or the keys themselves")
		}
	}
	seen := map[string]bool{}
	for _, d := range o.Databases {
		switch {
		case !connectionRE.MatchString(d.Name):
			return fmt.Errorf("database name %q: letters, digits, hyphens and underscores", d.Name)
		case seen[d.Name]:
			return fmt.Errorf("database %s is given twice", d.Name)
		case !strings.Contains(d.URL, "{{username}}") || !strings.Contains(d.URL, "{{password}}"):
			return fmt.Errorf("database %s: its URL must have {{username}} and {{password}} in place of the user and the password, which are given apart", d.Name)
		case d.Username == "":
			return fmt.Errorf("database %s: username is missing", d.Name)
		}
		seen[d.Name] = true
	}
	slices.SortFunc(o.Databases, func(a, b Database) int { return strings.Compare(a.Name, b.Name) })
	return nil
}
