package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/api"
)

// Kinds of failure, for a caller that branches. Every error of a Session is one of these or the context's.
var (
	// ErrUnavailable: Vault cannot be reached or is sealed; the same request may succeed later.
	ErrUnavailable = errors.New("vault is unavailable")
	// ErrFailed: Vault is there but could not do it, usually because of what is behind it, such as a database.
	ErrFailed = errors.New("vault could not do it")
	// ErrNotLoggedIn: no login has succeeded yet, or the last session ended and a new login is refused or fails.
	ErrNotLoggedIn = errors.New("not logged in to vault")
	// ErrDenied: Vault's policies do not allow the request.
	ErrDenied = errors.New("vault denies permission")
	// ErrNotFound: there is nothing at the path.
	ErrNotFound = errors.New("not found in vault")
	// ErrInvalid: Vault refuses the request as it is; repeating it is useless.
	ErrInvalid = errors.New("vault refuses the request")
)

// Error is a request that failed. It never holds what was sent or received, only Vault's own messages.
type Error struct {
	// Op is read, write, list, delete or login; Path is where.
	Op, Path string
	// Kind is one of the Err… of this package.
	Kind error
	// Status is the HTTP status; 0 when there was no answer.
	Status int
	// Err is the cause.
	Err error
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s %s: %s", e.Kind, e.Op, e.Path, message(e.Err))
}

// Unwrap gives both the kind and the cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// Temporary says that the failure is not of what was sent: the same request may be answered another time, or once operators have mended
// what keeps Vault from it.
func (e *Error) Temporary() bool { return !errors.Is(e.Kind, ErrInvalid) }

// message is Vault's own words on one line; without them, the transport's.
func message(err error) string {
	var re *api.ResponseError
	if errors.As(err, &re) {
		if len(re.Errors) == 0 {
			return http.StatusText(re.StatusCode)
		}
		return strings.Join(strings.Fields(strings.Join(re.Errors, "; ")), " ")
	}
	if err == nil {
		return "no answer"
	}
	return err.Error()
}

func wrap(op, path string, err error) error {
	if err == nil {
		return nil
	}
	var already *Error
	if errors.As(err, &already) || errors.Is(err, context.Canceled) {
		return err
	}
	e := &Error{Op: op, Path: path, Kind: ErrUnavailable, Err: err}
	var re *api.ResponseError
	if errors.As(err, &re) {
		e.Status = re.StatusCode
		switch {
		case re.StatusCode == http.StatusForbidden:
			e.Kind = ErrDenied
		case re.StatusCode == http.StatusNotFound:
			e.Kind = ErrNotFound
		case re.StatusCode == http.StatusInternalServerError:
			e.Kind = ErrFailed
		case re.StatusCode == http.StatusPreconditionFailed, re.StatusCode == http.StatusTooManyRequests:
			e.Kind = ErrUnavailable
		case re.StatusCode >= 400 && re.StatusCode < 500:
			e.Kind = ErrInvalid
		}
	}
	return e
}

// tokenIsDead says that Vault did not know the token, as opposed to not letting it do something.
func tokenIsDead(err error) bool {
	var re *api.ResponseError
	if !errors.As(err, &re) || re.StatusCode != http.StatusForbidden {
		return false
	}
	for _, m := range re.Errors {
		if strings.Contains(m, "invalid token") || strings.Contains(m, "bad token") {
			return true
		}
	}
	return false
}
