package local

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// userLife is the life of a local user's certificate: there is no revocation list, so it is short.
const userLife = 30 * 24 * time.Hour

var userForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// User is a local user's credential in PEM, to be handed to that person and kept nowhere else.
type User struct {
	Key, Certificate []byte
	Expires          time.Time
}

// IssueUser makes a key and a client certificate, whose common name is the user's name, whose organisations are the user's groups and
// whose organisational units are the units; conditions of agreements may read all three.
func (s *Store) IssueUser(name string, groups, units []string) (*User, error) {
	if !userForm.MatchString(name) {
		return nil, fmt.Errorf("%q is not a user name: letters, digits, and . _ @ - inside, at most 64", name)
	}
	for _, unit := range slices.Concat(groups, units) {
		if !userForm.MatchString(unit) {
			return nil, fmt.Errorf("%q is not a group or unit: letters, digits, and . _ @ - inside, at most 64", unit)
		}
	}
	key, err := newP256()
	if err != nil {
		return nil, err
	}
	expires := s.now().Add(userLife)
	der, err := s.users.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name, Organization: groups, OrganizationalUnit: units},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key.Public(), expires)
	if err != nil {
		return nil, err
	}
	text, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return &User{Key: text, Certificate: encodeCertificates(der), Expires: expires}, nil
}

// UsersBundle is the PEM bundle that vouches for the agency's local users, for the gateway's local listeners.
func (s *Store) UsersBundle() string { return s.users.bundle() }
