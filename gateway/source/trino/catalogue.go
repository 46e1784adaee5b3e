package trino

import (
	"context"
	"errors"
	"strings"

	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// Columns reads from Trino's information schema which columns the dataset's relation has, in lower case as Trino has them, and of what types. A relation
// that is not there, or that the login may not see, has none.
func (s *Source) Columns(ctx context.Context, d *route.Dataset) (map[string]string, error) {
	q := source.Query{Dataset: d, Schema: &route.Schema{}}
	if err := check(q); err != nil {
		return nil, err
	}
	schema, table, ok := strings.Cut(d.Relation, ".")
	if !ok {
		return nil, errors.New("trino: the relation is not SCHEMA.NAME")
	}
	columns := map[string]string{}
	const sql = "SELECT CAST(column_name AS varchar), CAST(data_type AS varchar) FROM information_schema.columns WHERE table_schema = ? AND table_name = ?"
	err := s.run(ctx, q, sql, []any{strings.ToLower(schema), strings.ToLower(table)}, []string{"varchar", "varchar"}, func(row []any) error {
		name, isName := row[0].(string)
		kind, isKind := row[1].(string)
		if !isName || !isKind {
			return fault(q, errShape)
		}
		columns[strings.ToLower(name)] = kind
		return nil
	})
	return columns, err
}
