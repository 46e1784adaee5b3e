package vault

import (
	"context"
	"fmt"
	"strings"
	"time"

	gwvault "github.com/entente-dev/entente/gateway/vault"
)

// probePrefix has an underscore, which no agreement's id has: a probe's role can never be an agreement's.
const probePrefix = "entente_probe."

// probeTTL is time enough to read a catalogue.
const probeTTL = 5 * time.Minute

// ProbeRole names the database role by which the operator reads the catalogue of a connection.
func ProbeRole(connection string) string { return probePrefix + connection }

// EnsureProbeRole writes the database role whose users can log in to the database and nothing else: enough to read in pg_catalog which columns
// a relation has.
func (c *Client) EnsureProbeRole(ctx context.Context, connection string) error {
	if !connectionRE.MatchString(connection) {
		return fmt.Errorf("%w: database connection %q", ErrName, connection)
	}
	return c.ensureRole(ctx, c.sourceRolePath(ProbeRole(connection)), databaseRoleFields(connection, append(loginStatements(2), mayConnect), probeTTL))
}

// mayConnect lets a user into the database where not everybody may.
const mayConnect = `DO $entente$
BEGIN
  IF NOT has_database_privilege('{{name}}', current_database(), 'CONNECT') THEN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), '{{name}}');
  END IF;
END
$entente$`

// ProbeCredential makes a user of the probe's role. Revoke it with RevokeProbe when done; it ends by itself after five minutes.
func (c *Client) ProbeCredential(ctx context.Context, connection string) (gwvault.Credential, error) {
	if err := c.EnsureProbeRole(ctx, connection); err != nil {
		return gwvault.Credential{}, err
	}
	return c.SourceCredential(ctx, ProbeRole(connection))
}

// RevokeProbe ends every user of the probe's role.
func (c *Client) RevokeProbe(ctx context.Context, connection string) error {
	if !connectionRE.MatchString(connection) {
		return fmt.Errorf("%w: database connection %q", ErrName, connection)
	}
	return c.revokeLeases(ctx, ProbeRole(connection))
}

func isProbeRole(role string) bool { return strings.HasPrefix(role, probePrefix) }
