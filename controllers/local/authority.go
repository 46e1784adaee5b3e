package local

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"time"
)

const (
	// authorityLife is long: replacing an authority means that every peer imports the agency anew.
	authorityLife = 10 * 365 * 24 * time.Hour
	// backdate forgives clocks that are a little behind.
	backdate = time.Minute
)

// authority is a certificate authority with a key on disk. It never signs another authority.
type authority struct {
	key         crypto.Signer
	certificate *x509.Certificate
	now         func() time.Time
}

// openAuthority reads <base>.key.pem and <base>.pem, or makes them.
func openAuthority(base, name, uri string, now func() time.Time) (*authority, error) {
	key, err := loadOrMake(base+".key.pem", newP256)
	if err != nil {
		return nil, err
	}
	a := &authority{key: key, now: now}
	der, err := readBlock(base+".pem", blockCertificate)
	if errors.Is(err, os.ErrNotExist) {
		// Also when an earlier start ended between the two files: the key has signed nothing then.
		if der, err = a.selfSign(name, uri); err == nil {
			err = writeFile(base+".pem", encodeCertificates(der), 0o644)
		}
	}
	if err != nil {
		return nil, err
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("%s.pem: %w", base, err)
	}
	if !publicEqual(a.certificate.PublicKey, key.Public()) {
		return nil, fmt.Errorf("%s.pem is not the certificate of %s.key.pem", base, base)
	}
	return a, nil
}

func publicEqual(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

func (a *authority) selfSign(name, uri string) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := a.now()
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	if uri != "" {
		u, err := url.Parse(uri)
		if err != nil {
			return nil, err
		}
		t.URIs = []*url.URL{u}
	}
	return x509.CreateCertificate(rand.Reader, t, t, a.key.Public(), a.key)
}

// sign completes the template as an end entity's and signs it for the public key.
func (a *authority) sign(t *x509.Certificate, public crypto.PublicKey, notAfter time.Time) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	if notAfter.After(a.certificate.NotAfter) {
		notAfter = a.certificate.NotAfter
	}
	t.SerialNumber = serial
	t.NotBefore = a.now().Add(-backdate)
	t.NotAfter = notAfter
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.BasicConstraintsValid = true
	return x509.CreateCertificate(rand.Reader, t, a.certificate, public, a.key)
}

func (a *authority) bundle() string { return string(encodeCertificates(a.certificate.Raw)) }

func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}
