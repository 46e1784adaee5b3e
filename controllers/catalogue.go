package controllers

import (
	"cmp"
	"context"
	"sync"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/vault"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source/postgres"
)

// VaultCatalogue reads catalogues with users that Vault makes for it: they can log in, and read no record.
type VaultCatalogue struct {
	Vault *vault.Client

	mu sync.Mutex
	// turns by connection: a probe ends every user of the connection's probe role.
	turns map[string]chan struct{}
}

// Columns implements Catalogue.
func (c *VaultCatalogue) Columns(ctx context.Context, d *v1alpha1.Dataset) ([]string, error) {
	pg := d.Spec.Source.PostgreSQL
	turn := c.turn(pg.VaultConnection)
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	credential, err := c.Vault.ProbeCredential(ctx, pg.VaultConnection)
	if err != nil {
		return nil, err
	}
	columns, err := postgres.Columns(ctx, route.PostgreSQL{
		Host: pg.Host, Port: cmp.Or(pg.Port, 5432), Database: pg.Database, SSLMode: cmp.Or(pg.SSLMode, "verify-full"), CABundle: pg.CABundle,
	}, postgres.Credential{Username: credential.Username, Password: credential.Password, Expires: credential.Expires}, d.Spec.Relation)
	// Whatever came of it. A user that stays all the same may read nothing, and ends after five minutes.
	_ = c.Vault.RevokeProbe(context.WithoutCancel(ctx), pg.VaultConnection)
	return columns, err
}

func (c *VaultCatalogue) turn(connection string) chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turns == nil {
		c.turns = map[string]chan struct{}{}
	}
	if c.turns[connection] == nil {
		c.turns[connection] = make(chan struct{}, 1)
	}
	return c.turns[connection]
}
