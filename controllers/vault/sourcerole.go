package vault

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/entente-dev/entente/controllers/compile"
)

// EnsureSourceRole writes the database role whose users may read exactly the agreed columns of one relation.
func (c *Client) EnsureSourceRole(ctx context.Context, cred compile.Credential) error {
	s := cred.Source
	if s == nil || !nameRE.MatchString(cred.Agreement) || !nameRE.MatchString(s.Dataset) || cred.Role != compile.SourceRole(cred.Agreement, s.Dataset) {
		return fmt.Errorf("%w: database role %q of agreement %q", ErrName, cred.Role, cred.Agreement)
	}
	if !connectionRE.MatchString(s.Connection) {
		return fmt.Errorf("%w: database connection %q", ErrName, s.Connection)
	}
	create, err := creationStatements(append([]compile.Grant{{Relation: s.Relation, Columns: s.Columns}}, s.Consents...), c.cfg.ConnectionLimit)
	if err != nil {
		return fmt.Errorf("database role %s: %w", cred.Role, err)
	}
	return c.ensureRole(ctx, c.sourceRolePath(cred.Role), databaseRoleFields(s.Connection, create, MaxCredentialTTL))
}

// databaseRoleFields is every field of a database role.
func databaseRoleFields(connection string, creation []string, ttl time.Duration) map[string]any {
	return map[string]any{
		"db_name":               connection,
		"credential_type":       "password",
		"creation_statements":   creation,
		"revocation_statements": []string{revocationStatement},
		"rollback_statements":   []string{revocationStatement},
		"renew_statements":      []string{},
		"default_ttl":           ttl.String(),
		"max_ttl":               ttl.String(),
	}
}

// loginStatements make a user that can log in, and nothing else. Each is one SQL statement, since Vault splits at semicolons
// what it does not know to be one.
func loginStatements(connectionLimit int) []string {
	return []string{
		fmt.Sprintf(`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' CONNECTION LIMIT %d`, connectionLimit),
		`ALTER ROLE "{{name}}" SET default_transaction_read_only = on`,
	}
}

// creationStatements make a user that may read those columns of those relations.
func creationStatements(grants []compile.Grant, connectionLimit int) ([]string, error) {
	out := loginStatements(connectionLimit)
	for i, g := range grants {
		if slices.ContainsFunc(grants[:i], func(o compile.Grant) bool { return o.Relation == g.Relation }) {
			return nil, fmt.Errorf("%w: relation %q stands twice", ErrName, g.Relation) // the second would be more than the first agreed
		}
		statements, err := grantStatements(g.Relation, g.Columns)
		if err != nil {
			return nil, err
		}
		out = append(out, statements...)
	}
	return out, nil
}

// grantStatements let a user read the columns of a relation. A relation without a schema is in public.
func grantStatements(relation string, columns []string) ([]string, error) {
	m := relationRE.FindStringSubmatch(relation)
	if m == nil {
		return nil, fmt.Errorf("%w: relation %q", ErrName, relation)
	}
	schema, table := m[1], m[2]
	if schema == "" {
		schema = "public"
	}
	if len(columns) == 0 {
		return nil, fmt.Errorf("%w: no columns of %s", ErrName, relation)
	}
	columns = slices.Compact(slices.Sorted(slices.Values(columns)))
	quoted, literals := make([]string, len(columns)), make([]string, len(columns))
	for i, col := range columns {
		if !columnRE.MatchString(col) {
			return nil, fmt.Errorf("%w: column %q of %s", ErrName, col, relation)
		}
		quoted[i], literals[i] = quoteIdent(col), quoteLiteral(col)
	}
	qualified := quoteIdent(schema) + "." + quoteIdent(table)
	r := strings.NewReplacer(
		"@schema", quoteLiteral(schema),
		"@relation", quoteLiteral(qualified),
		"@columns", "ARRAY["+strings.Join(literals, ", ")+"]",
	)
	return []string{
		fmt.Sprintf(`GRANT SELECT (%s) ON %s TO "{{name}}"`, strings.Join(quoted, ", "), qualified),
		r.Replace(admission),
	}, nil
}

// admission completes a user and refuses to make one for which the database would not keep its promise: one that can read less
// than was agreed (PostgreSQL only warns when whoever grants may not grant), or more (because everybody may read the relation).
const admission = `DO $entente$
DECLARE
  agreed   text[] := @columns;
  relation oid := @relation::regclass;
  col      text;
BEGIN
  IF NOT has_database_privilege('{{name}}', current_database(), 'CONNECT') THEN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), '{{name}}');
  END IF;
  IF NOT has_schema_privilege('{{name}}', @schema, 'USAGE') THEN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', @schema, '{{name}}');
  END IF;
  FOREACH col IN ARRAY agreed LOOP
    IF NOT has_column_privilege('{{name}}', relation, col, 'SELECT') THEN
      RAISE EXCEPTION 'entente: % may not grant SELECT (%) on %', current_user, col, relation::regclass
        USING HINT = 'Make it the owner, or GRANT SELECT ... WITH GRANT OPTION to it.';
    END IF;
  END LOOP;
  FOR col IN SELECT attname FROM pg_attribute
      WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped AND attname <> ALL (agreed)
        AND has_column_privilege('{{name}}', relation, attnum, 'SELECT') LOOP
    RAISE EXCEPTION 'entente: column % of % can be read by every user of the database', col, relation::regclass
      USING HINT = 'REVOKE SELECT on it FROM PUBLIC, otherwise no grant can keep it from anybody.';
  END LOOP;
END
$entente$`

// revocationStatement ends a user: it takes its login, what it was granted, and its sessions with their open transactions,
// and drops it. It works for a non-superuser that has CREATEROLE and is a member of pg_signal_backend, and needs nothing of the
// relation, which may be gone. Where the user holds something that only others can take away, it stays, without login,
// password and sessions: that is better than to roll everything back and leave it able to log in.
const revocationStatement = `DO $entente$
DECLARE
  target oid := (SELECT oid FROM pg_roles WHERE rolname = '{{name}}');
  held   record;
BEGIN
  IF target IS NULL THEN
    RETURN;
  END IF;
  ALTER ROLE "{{name}}" NOLOGIN PASSWORD NULL;
  FOR held IN SELECT DISTINCT classid, objid FROM pg_shdepend
      WHERE refclassid = 'pg_authid'::regclass AND refobjid = target AND deptype = 'a'
        AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) LOOP
    BEGIN
      CASE held.classid
        WHEN 'pg_class'::regclass THEN
          EXECUTE format('REVOKE ALL ON %s FROM %I', held.objid::regclass, '{{name}}');
        WHEN 'pg_namespace'::regclass THEN
          EXECUTE format('REVOKE ALL ON SCHEMA %s FROM %I', held.objid::regnamespace, '{{name}}');
        WHEN 'pg_database'::regclass THEN
          EXECUTE format('REVOKE ALL ON DATABASE %I FROM %I', (SELECT datname FROM pg_database WHERE oid = held.objid), '{{name}}');
        ELSE
          NULL;
      END CASE;
    EXCEPTION WHEN insufficient_privilege THEN
      NULL;
    END;
  END LOOP;
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = target;
  PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usesysid = target;
  BEGIN
    DROP ROLE "{{name}}";
  EXCEPTION WHEN dependent_objects_still_exist THEN
    RAISE WARNING 'entente: role % stays, without login: it holds something that % cannot take away', '{{name}}', current_user;
  END;
  PERFORM pg_stat_clear_snapshot();
  PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usesysid = target;
END
$entente$`

func quoteIdent(s string) string   { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
func quoteLiteral(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }
