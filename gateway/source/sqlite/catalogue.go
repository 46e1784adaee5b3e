package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/entente-dev/entente/gateway/source"
)

// Columns reads the names of the columns of a relation (NAME or SCHEMA.NAME), in its order. A relation that is not there is
// an error that wraps source.ErrNoRelation; a file that cannot be read, one that wraps source.ErrUnavailable.
func Columns(ctx context.Context, path, relation string) ([]string, error) {
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	schema, name, ok := strings.Cut(relation, ".")
	if !ok {
		schema, name = "main", relation
	}
	rows, err := db.QueryContext(ctx, "SELECT name FROM pragma_table_info(?, ?) ORDER BY cid LIMIT 2000", name, schema)
	if err != nil {
		return nil, explain(ctx, relation, err)
	}
	defer func() { _ = rows.Close() }()
	var columns []string
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			return nil, explain(ctx, relation, err)
		}
		columns = append(columns, column)
	}
	if err := rows.Err(); err != nil {
		return nil, explain(ctx, relation, err)
	}
	if len(columns) == 0 {
		return nil, fmt.Errorf("%w: %s", source.ErrNoRelation, relation)
	}
	return columns, nil
}
