package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/peer"
	"github.com/entente-dev/entente/gateway/route"
)

type credentialFlags struct {
	agreement, exchange, agencyFile string
	identityCert, identityKey       string
	certOut, keyOut                 string
	timeout                         time.Duration
}

func newCredentialCommand() *cobra.Command {
	f := &credentialFlags{}
	request := &cobra.Command{
		Use:   "request --agreement ID --agency-file FILE --identity-cert FILE --identity-key FILE",
		Short: "Get an agreement credential from a source agency's exchange, for a recipient without a gateway",
		Long: `Makes a key, has the source agency certify it for one agreement, and writes both. The key is made here and never leaves.
The certificate is for client authentication at the source's gateway and lives at most an hour.

The identity is the recipient agency's own: a certificate for spiffe://<trust domain>/gateway or /operator.`,
		Example: `  entente credential request --agreement anvil --agency-file border-service.yaml \
    --identity-cert gateway.crt --identity-key gateway.key --cert-out anvil.crt --key-out anvil.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			expires, err := f.request(cmd.Context())
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s and %s written; valid until %s\n", f.certOut, f.keyOut, expires.UTC().Format(time.RFC3339))
			return nil
		},
	}
	fl := request.Flags()
	fl.StringVar(&f.agreement, "agreement", "", "id of the agreement (required)")
	fl.StringVar(&f.agencyFile, "agency-file", "", "what the source agency prints with `entente agency export` (required)")
	fl.StringVar(&f.exchange, "exchange", "", "host:port of the source's exchange (default: as the agency file says)")
	fl.StringVar(&f.identityCert, "identity-cert", "", "PEM file of the recipient agency's own certificate (required)")
	fl.StringVar(&f.identityKey, "identity-key", "", "PEM file of its key (required)")
	fl.StringVar(&f.certOut, "cert-out", "agreement.crt", "file to write the certificate chain to")
	fl.StringVar(&f.keyOut, "key-out", "agreement.key", "file to write the key to")
	fl.DurationVar(&f.timeout, "timeout", 15*time.Second, "bound on the whole")
	for _, name := range []string{"agreement", "agency-file", "identity-cert", "identity-key"} {
		_ = request.MarkFlagRequired(name)
	}
	cmd := &cobra.Command{Use: "credential", Short: "Agreement credentials for recipients without a gateway"}
	cmd.AddCommand(request)
	return cmd
}

// fileIdentity is an identity whose certificate is in files.
type fileIdentity struct{ certificate tls.Certificate }

func (i fileIdentity) Certificate(context.Context) (*tls.Certificate, error) {
	return &i.certificate, nil
}

func (i fileIdentity) TrustBundle(context.Context) (string, error) {
	return "", errors.New("a file identity has no trust bundle")
}

var _ identity.Own = fileIdentity{}

func (f *credentialFlags) request(ctx context.Context) (expires time.Time, err error) {
	source, err := f.source()
	if err != nil {
		return time.Time{}, err
	}
	own, err := tls.LoadX509KeyPair(f.identityCert, f.identityKey)
	if err != nil {
		return time.Time{}, fmt.Errorf("own identity: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return time.Time{}, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return time.Time{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	chain, err := peer.Exchange{Own: fileIdentity{own}}.IssueCertificate(ctx, source, f.agreement, csr)
	if err != nil {
		if s, ok := status.FromError(err); ok {
			return time.Time{}, fmt.Errorf("the exchange of %s answers %s: %s", source.Agency, s.Code(), s.Message())
		}
		return time.Time{}, err
	}
	if len(chain) == 0 {
		return time.Time{}, fmt.Errorf("the exchange of %s answered without a certificate", source.Agency)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return time.Time{}, err
	}
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return time.Time{}, fmt.Errorf("the exchange of %s certified another key", source.Agency)
	}
	return leaf.NotAfter, f.write(key, chain)
}

// source is the agency that issues, as its file pins it.
func (f *credentialFlags) source() (route.Peer, error) {
	text, err := os.ReadFile(f.agencyFile)
	if err != nil {
		return route.Peer{}, err
	}
	var a v1alpha1.Agency
	if err := yaml.UnmarshalStrict(text, &a); err != nil {
		return route.Peer{}, fmt.Errorf("%s: %w", f.agencyFile, err)
	}
	p := route.Peer{
		Party:       route.Party{Agency: a.Name, TrustDomain: a.Spec.TrustDomain},
		Exchange:    cmp.Or(f.exchange, a.Spec.Endpoints.Exchange),
		TrustBundle: a.Spec.TrustBundle,
	}
	if p.Exchange == "" {
		return route.Peer{}, fmt.Errorf("%s names no exchange endpoint: give --exchange", f.agencyFile)
	}
	return p, nil
}

func (f *credentialFlags) write(key *ecdsa.PrivateKey, chain [][]byte) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.keyOut, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	var out bytes.Buffer
	for _, c := range chain {
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c}); err != nil {
			return err
		}
	}
	return os.WriteFile(f.certOut, out.Bytes(), 0o644)
}
