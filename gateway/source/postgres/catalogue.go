package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// Connect opens one connection as pools do: over TLS, for reading only, and with nothing of the environment. dataset is what errors
// name; they wrap source.ErrUnavailable, unless the target is none.
func Connect(ctx context.Context, target route.PostgreSQL, cred Credential, dataset string) (*pgx.Conn, error) {
	c, err := connConfig(Options{}.withDefaults(), target, cred, "entente catalogue")
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		err, _ = explain(ctx, dataset, err)
		return nil, err
	}
	return conn, nil
}

// Columns reads the names of a relation's columns from the database's catalogue, in the relation's order. relation is NAME
// (of schema public) or SCHEMA.NAME. It needs a login to the database and no right to the relation. A relation that is not
// there is an error that wraps source.ErrNoRelation; a database that cannot be asked, one that wraps source.ErrUnavailable.
// ctx bounds the whole.
func Columns(ctx context.Context, target route.PostgreSQL, cred Credential, relation string) ([]string, error) {
	conn, err := Connect(ctx, target, cred, relation)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	schema, name, ok := strings.Cut(relation, ".")
	if !ok {
		schema, name = "public", relation
	}
	// pg_catalog, unlike information_schema, shows columns without a right to them.
	rows, err := conn.Query(ctx, `SELECT a.attname::text FROM pg_catalog.pg_attribute a
		JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1::text AND c.relname = $2::text AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
		AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum LIMIT 2000`, schema, name)
	if err == nil {
		var columns []string
		columns, err = pgx.CollectRows(rows, pgx.RowTo[string])
		if err == nil && len(columns) == 0 {
			return nil, fmt.Errorf("%w: %s", source.ErrNoRelation, relation)
		}
		if err == nil {
			return columns, nil
		}
	}
	err, _ = explain(ctx, relation, err)
	return nil, err
}
