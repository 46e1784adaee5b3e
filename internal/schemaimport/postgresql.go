package schemaimport

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/entente-dev/entente/api/v1alpha1"
)

var postgresTypes = map[string]v1alpha1.FieldType{
	"text": v1alpha1.TypeString, "varchar": v1alpha1.TypeString, "bpchar": v1alpha1.TypeString, "citext": v1alpha1.TypeString, "uuid": v1alpha1.TypeString, "name": v1alpha1.TypeString,
	"int2": v1alpha1.TypeInt, "int4": v1alpha1.TypeInt, "int8": v1alpha1.TypeInt, "numeric": v1alpha1.TypeDecimal, "bool": v1alpha1.TypeBool,
	"date": v1alpha1.TypeDate, "timestamptz": v1alpha1.TypeTimestamp, "timestamp": v1alpha1.TypeTimestamp,
}

// PostgreSQL translates a table or view (NAME of schema public, or SCHEMA.NAME): its columns' types, enumerations, arrays and comments. The
// dataset has its unique and other indexes as selectors, and the address that conn is at. Only the catalogue is read.
func PostgreSQL(ctx context.Context, conn *pgx.Conn, relation, name string, version int64) (*Result, error) {
	namespace, table, ok := strings.Cut(relation, ".")
	if !ok {
		namespace, table = "public", relation
	}
	r := newResult(name, version, "")
	rows, err := conn.Query(ctx, `SELECT a.attname::text, coalesce(e.typname, t.typname)::text, t.typcategory = 'A', coalesce(col_description(c.oid, a.attnum), ''),
		coalesce((SELECT array_agg(l.enumlabel::text ORDER BY l.enumsortorder) FROM pg_catalog.pg_enum l WHERE l.enumtypid = coalesce(e.oid, t.oid)), '{}')
		FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_type t ON t.oid = a.atttypid LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
		WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, namespace, table)
	if err != nil {
		return nil, err
	}
	config := conn.Config()
	d := &v1alpha1.Dataset{}
	d.APIVersion, d.Kind, d.Name = v1alpha1.GroupVersion.String(), "Dataset", strings.ReplaceAll(fieldName(table), "_", "-")
	d.Spec.Schema = v1alpha1.SchemaVersion{Name: name, Version: version}
	d.Spec.Source.PostgreSQL = &v1alpha1.PostgreSQLSource{Host: config.Host, Port: int32(config.Port), Database: config.Database, VaultConnection: "CHANGE-ME"}
	d.Spec.Relation = relation
	fields := map[string]string{}
	var column, kind, comment string
	var array bool
	var labels []string
	if _, err := pgx.ForEachRow(rows, []any{&column, &kind, &array, &comment, &labels}, func() error {
		f := v1alpha1.SchemaField{Name: fieldName(column), Type: postgresTypes[kind], Repeated: array, Description: cut(plain(comment), 1000)}
		switch {
		case len(labels) > 0 && len(labels) <= 256:
			f.Type, f.Codes = v1alpha1.TypeCode, append([]string(nil), labels...)
		case kind == "float4" || kind == "float8":
			r.note("%s: left out: floating-point numbers are not exact; map it by an expression over a numeric column or view", column)
			return nil
		case kind == "json" || kind == "jsonb":
			r.note("%s: left out: JSON; add a field of type record with its members, and map this column to it", column)
			return nil
		case f.Type == "":
			r.note("%s: left out: its type %s has no counterpart", column, kind)
			return nil
		case kind == "timestamp":
			r.note("%s: a timestamp without time zone is read as UTC", column)
		}
		if r.add(f) {
			fields[column] = f.Name
			d.Spec.Fields = append(d.Spec.Fields, v1alpha1.FieldMapping{Field: f.Name, Column: column})
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if len(d.Spec.Fields) == 0 && len(r.Notes) == 0 {
		return nil, fmt.Errorf("there is no table or view %s in database %s, or it has no columns", relation, config.Database)
	}
	indexes, err := conn.Query(ctx, `SELECT array(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(n, at) JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n ORDER BY k.at)
		FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL ORDER BY i.indisprimary DESC, i.indexrelid`, namespace, table)
	if err != nil {
		return nil, err
	}
	var columns []string
	_, err = pgx.ForEachRow(indexes, []any{&columns}, func() error {
		var set []string
		for _, c := range columns {
			if fields[c] == "" {
				return nil
			}
			set = append(set, fields[c])
		}
		d.Spec.Selectors = append(d.Spec.Selectors, set)
		return nil
	})
	if len(d.Spec.Selectors) > 0 && len(d.Spec.Selectors[0]) == 1 {
		r.note("Dataset %s: set subjectKey to the field that identifies a person, if there is one", d.Name)
	}
	r.note("Dataset %s: set vaultConnection, and host if this is not how gateways reach the database", d.Name)
	r.Dataset = d
	return r, err
}
