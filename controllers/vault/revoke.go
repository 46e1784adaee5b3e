package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrLeases: a role is gone but Vault could not end all users that it made, usually because the database is away. They
// cannot be had any more, Vault goes on trying, and they end at the latest after MaxCredentialTTL. Revoke again.
var ErrLeases = errors.New("vault: credentials remain after revocation")

// revokeTimeout bounds one synchronous revocation: Vault ends every user at the database before it answers.
const revokeTimeout = 60 * time.Second

// RevokeAgreementRole deletes the PKI role of an agreement and recipient: from then on nothing is signed. Certificates
// that were signed before live on for at most MaxCredentialTTL and are refused by the route. It is idempotent.
func (c *Client) RevokeAgreementRole(ctx context.Context, role string) error {
	if !roleRE.MatchString(role) {
		return fmt.Errorf("%w: PKI role %q", ErrName, role)
	}
	path := c.agreementRolePath(role)
	c.forget(path)
	return c.Delete(ctx, path)
}

// RevokeSourceRole ends a database role and every user it made. When it returns nil, the database has ended their sessions with
// their open transactions and dropped them, the role is gone, and no lease of it is left. It is idempotent.
//
// Order: end what is there; delete the role, so that nothing more is made, even where the first step failed; end again what
// may have been made in between; look.
func (c *Client) RevokeSourceRole(ctx context.Context, role string) error {
	if !roleRE.MatchString(role) {
		return fmt.Errorf("%w: database role %q", ErrName, role)
	}
	first := c.revokeLeases(ctx, role)
	path := c.sourceRolePath(role)
	c.forget(path)
	if err := c.Delete(ctx, path); err != nil {
		return errors.Join(err, first)
	}
	if err := c.revokeLeases(ctx, role); err != nil {
		return fmt.Errorf("%w: role %s: %w", ErrLeases, role, err)
	}
	left, err := c.leases(ctx, role)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("%w: role %s: %d", ErrLeases, role, len(left))
	}
	return nil
}

func (c *Client) revokeLeases(ctx context.Context, role string) error {
	_, err := c.WriteSlowly(ctx, "sys/leases/revoke-prefix/"+c.mounts.Database()+"/creds/"+role+"/", map[string]any{"sync": true}, revokeTimeout)
	return err
}

func (c *Client) leases(ctx context.Context, role string) ([]string, error) {
	return c.List(ctx, "sys/leases/lookup/"+c.mounts.Database()+"/creds/"+role+"/")
}

// Roles are the names of the roles that Vault has for agreements.
type Roles struct {
	// Agreement: PKI roles, <agreement>.<recipient>.
	Agreement []string
	// Source: database roles, <agreement>.<dataset>, and those that are gone but have leases left.
	Source []string
	// Gone: those of Source that have only leases left.
	Gone []string
}

// ListRoles lists the roles that Entente made for agreements, so that whoever knows which must exist can end the others. Sorted.
func (c *Client) ListRoles(ctx context.Context) (Roles, error) {
	pki, err := c.List(ctx, c.mounts.PKI()+"/roles/")
	if err != nil {
		return Roles{}, err
	}
	db, err := c.List(ctx, c.mounts.Database()+"/roles/")
	if err != nil {
		return Roles{}, err
	}
	there := make(map[string]bool, len(pki)+len(db))
	for _, role := range pki {
		there[c.agreementRolePath(role)] = true
	}
	for _, role := range db {
		there[c.sourceRolePath(role)] = true
	}
	c.foundRoles(there)
	leased, err := c.List(ctx, "sys/leases/lookup/"+c.mounts.Database()+"/creds/")
	if err != nil {
		return Roles{}, err
	}
	var gone []string
	for _, l := range leased {
		if role := strings.TrimSuffix(l, "/"); !there[c.sourceRolePath(role)] {
			gone = append(gone, role)
		}
	}
	return Roles{Agreement: agreementRoles(pki), Source: agreementRoles(append(db, gone...)), Gone: agreementRoles(gone)}, nil
}

func agreementRoles(names []string) []string {
	var out []string
	for _, n := range names {
		if roleRE.MatchString(n) && !isProbeRole(n) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
