package testenv

import (
	"fmt"
	"os"
	"path/filepath"
)

// Users is a certificate authority for people and applications, such as an agency has for its own staff.
type Users struct {
	authority *authority
	caFile    string
}

// NewUsers makes an authority and writes its certificate to a file.
func NewUsers(caFile string) (*Users, error) {
	a, err := newAuthority("entente-testenv-users")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(caFile, a.pem, 0o644); err != nil {
		return nil, fmt.Errorf("testenv: %w", err)
	}
	return &Users{authority: a, caFile: caFile}, nil
}

// CAFile is the PEM file of the authority's certificate.
func (u *Users) CAFile() string { return u.caFile }

// Issue writes DIR/cert.pem and DIR/key.pem for a user (the common name) in groups (the organisations).
func (u *Users) Issue(dir, user string, groups ...string) (certFile, keyFile string, err error) {
	cert, key, err := u.authority.client(user, groups...)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := os.WriteFile(certFile, cert, 0o644); err != nil {
		return "", "", fmt.Errorf("testenv: %w", err)
	}
	if err := os.WriteFile(keyFile, key, 0o600); err != nil {
		return "", "", fmt.Errorf("testenv: %w", err)
	}
	return certFile, keyFile, nil
}
