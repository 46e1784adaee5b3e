// Package vault is what a gateway needs of Vault, and no more: a session, its own X.509 identity, the public keys that
// verify routes, and credentials for its own source systems. The operator shares the session and the identity.
package vault

import "strings"

// DefaultPrefix is where an agency's mounts are when nothing else is configured.
const DefaultPrefix = "entente/"

// Mounts are the mount paths of one agency. Agencies that share a Vault (as tests do) each have their own prefix.
type Mounts struct {
	// Prefix of every mount, ending in a slash; empty: DefaultPrefix.
	Prefix string
}

func (m Mounts) prefix() string {
	p := strings.Trim(m.Prefix, "/")
	if p == "" {
		return DefaultPrefix
	}
	return p + "/"
}

// PKI is the mount of the PKI engine, without a slash at its end, as are the others.
func (m Mounts) PKI() string { return m.prefix() + "pki" }

// Transit is the mount of the transit engine.
func (m Mounts) Transit() string { return m.prefix() + "transit" }

// Database is the mount of the database engine.
func (m Mounts) Database() string { return m.prefix() + "database" }

// KV is the mount of the key-value engine (version 2) that has the secrets of the agency's HTTP services.
func (m Mounts) KV() string { return m.prefix() + "kv" }

// JWT is the mount of the JWT auth method, below auth/.
func (m Mounts) JWT() string { return m.prefix() + "jwt" }

// RouteKey names the transit key that signs an agency's gateway routes.
func RouteKey(agency string) string { return agency + "-routes" }

// AgreementKey names the transit key that signs an agency's agreements.
func AgreementKey(agency string) string { return agency + "-agreements" }

// LogKey names the transit key that wraps the data keys of an agency's logs.
func LogKey(agency string) string { return agency + "-log" }

// Roles, both of JWT auth and of PKI, of the two processes.
const (
	RoleGateway  = "gateway"
	RoleOperator = "operator"
)
