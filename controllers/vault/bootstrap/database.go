package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	vault "github.com/entente-dev/entente/controllers/vault"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

// usernameTemplate keeps the agreement and most of the dataset readable in pg_roles, within PostgreSQL's 63 bytes.
const usernameTemplate = `{{ printf "entente-%s" .RoleName | truncate 50 }}-{{ random 12 | lowercase }}`

// allowedRoles are names with a dot, as all roles of Entente have.
const allowedRoles = "*.*"

// connection is a connection of the database engine. Its password is written when it is created, and later only if Vault
// cannot log in without: after a rotation nobody but Vault knows it.
func (b *bootstrapper) connection(d Database) step {
	path := b.mounts.Database() + "/config/" + d.Name
	details := map[string]any{
		"connection_url":          d.URL,
		"username":                d.Username,
		"username_template":       usernameTemplate,
		"password_authentication": "scram-sha-256", // so that no statement log has a password
		"max_open_connections":    8,
	}
	if d.CA != "" {
		details["tls_ca"] = d.CA
	}
	return step{
		kind: "database connection", path: path,
		inspect: func(ctx context.Context) (Action, []string, error) {
			stored, err := b.session.Read(ctx, path)
			if errors.Is(err, gwvault.ErrNotFound) {
				if d.Password == "" {
					return "", nil, fmt.Errorf("%w: the connection is new and needs the password of %s", ErrConflict, d.Username)
				}
				return Create, nil, nil
			}
			if err != nil {
				return "", nil, err
			}
			have, _ := stored.Data["connection_details"].(map[string]any)
			differs := vault.Differences(details, have)
			differs = append(differs, vault.Differences(map[string]any{"plugin_name": pluginName, "allowed_roles": []string{allowedRoles}}, stored.Data)...)
			if len(differs) > 0 {
				return Change, differs, nil
			}
			return Unchanged, nil, nil
		},
		apply: func(ctx context.Context, a Action) error {
			write := func(password string) error {
				req := maps.Clone(details)
				req["plugin_name"] = pluginName
				req["allowed_roles"] = []string{allowedRoles}
				req["verify_connection"] = true
				if password != "" {
					req["password"] = password
				}
				_, err := b.session.WriteSlowly(ctx, path, req, time.Minute)
				return err
			}
			if a == Change {
				err := write("")
				if err == nil || d.Password == "" {
					return err
				}
			}
			if err := write(d.Password); err != nil {
				return err
			}
			if a == Create && d.RotateRoot {
				if _, err := b.session.WriteSlowly(ctx, b.mounts.Database()+"/rotate-root/"+d.Name, nil, time.Minute); err != nil {
					return fmt.Errorf("rotating the password of %s: %w", d.Username, err)
				}
			}
			return nil
		},
	}
}

const pluginName = "postgresql-database-plugin"
