package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/entente-dev/entente/gateway/source"
)

// explain turns an error of the driver into one that is safe to log and to answer with. The server's words are left out,
// because they quote values (`invalid input syntax for type integer: "…"`); its SQLSTATE says the same to an
// administrator. badLogin says that the login is not to be used again.
func explain(ctx context.Context, dataset string, err error) (safe error, badLogin bool) {
	if errors.Is(err, source.ErrUnavailable) {
		return err, false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return explainState(ctx, dataset, pg.Code)
	}
	unavailable := func(what string) error {
		return fmt.Errorf("%w: dataset %s: %s", source.ErrUnavailable, dataset, what)
	}
	if e := ctx.Err(); e != nil {
		if errors.Is(e, context.DeadlineExceeded) {
			return fmt.Errorf("%w: dataset %s: the database did not answer in time: %w", source.ErrUnavailable, dataset, e), false
		}
		return e, false
	}
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &authority):
		return unavailable("the database's certificate is not from an authority in caBundle"), false
	case errors.As(err, &name):
		return unavailable("the database's certificate is not for the host that the dataset names"), false
	case errors.As(err, &invalid):
		return unavailable("the database's certificate is not valid"), false
	case errors.As(err, &alert):
		return unavailable("TLS with the database failed"), false
	case errors.As(err, &connect):
		return unavailable("the database cannot be reached"), false
	default:
		// Reset, closed, timed out: whatever it was, the connection is gone.
		return unavailable("the connection to the database broke"), false
	}
}

// explainState explains an SQLSTATE, a code of five characters of the SQL standard.
func explainState(ctx context.Context, dataset, state string) (safe error, badLogin bool) {
	unavailable := func(what string) error {
		return fmt.Errorf("%w: dataset %s: %s (SQLSTATE %s)", source.ErrUnavailable, dataset, what, state)
	}
	if len(state) != 5 {
		return fmt.Errorf("%w: dataset %s: the database refused", source.ErrUnavailable, dataset), false
	}
	switch class := state[:2]; {
	case state == "57014": // query_canceled: by the statement's timeout, or by the patience that ran out
		if e := ctx.Err(); e != nil && !errors.Is(e, context.DeadlineExceeded) {
			return e, false
		}
		return unavailable("the database did not answer in time"), false
	case state == "57P01" || state == "57P02" || state == "57P05":
		return unavailable("the database ended the session"), true
	case class == "28":
		return unavailable("the database does not accept the login"), true
	case state == "42501":
		return unavailable("the login may not read what the dataset names"), true
	case class == "08" || class == "53" || class == "57" || class == "58" || class == "XX" || class == "3D":
		return unavailable("the database is out of order"), false
	case class == "42" || class == "3F":
		return fmt.Errorf("postgres: dataset %s: its relation, columns or their types are not as the dataset says (SQLSTATE %s)", dataset, state), false
	case class == "22":
		return fmt.Errorf("postgres: dataset %s: a column holds values that are not of its field's type (SQLSTATE %s)", dataset, state), false
	default:
		return fmt.Errorf("postgres: dataset %s: the database refused the query (SQLSTATE %s)", dataset, state), false
	}
}
