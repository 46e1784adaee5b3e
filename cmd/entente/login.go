package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/internal/login"
)

// loginTimeout is how long a person has to log in.
const loginTimeout = 5 * time.Minute

type loginFlags struct {
	context        login.Context
	oidc           login.OIDC
	account        login.ServiceAccount
	secretFile     string
	device, noOpen bool
	callback       string
}

func newLoginCommand() *cobra.Command {
	f := &loginFlags{}
	cmd := &cobra.Command{
		Use:   "login --server HOST:PORT",
		Short: "Set up the way to your agency's gateway, and log in",
		Long: `Keeps where the gateway is and who you are there as a context, which entente query, explain and datasets then use; log in again and
only --context is needed. Who you are is one of

  a person at the agency's OpenID Connect provider   --oidc-issuer, --oidc-client-id: in a browser (authorization code with PKCE), or on
                                                     another device with --device
  an application                                     with --client-secret-file, too ("-" reads it from standard input, or it is in
                                                     ENTENTE_CLIENT_SECRET): client credentials
  a client certificate                               --client-certificate, --client-key
  a Kubernetes service account                       --service-account, whose tokens you may create (--namespace, --audience)
  a token that others renew                          --token-file

Contexts are in $XDG_CONFIG_HOME/entente/client.yaml and tokens in $XDG_STATE_HOME/entente (ENTENTE_CONFIG names another file), readable by you only.
Tokens are renewed while the provider lets them. The ENTENTE_ variables of the flags of entente query win over a context: when they name
another gateway, nothing of the context is sent there.`,
		Example: `  entente login --server gateway.police.example.gov:8444 --certificate-authority ca.pem \
    --oidc-issuer https://login.police.example.gov --oidc-client-id entente
  entente login --server … --oidc-issuer … --oidc-client-id case-system --client-secret-file - < secret
  entente login --context police`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	fs := cmd.Flags()
	c := &f.context
	fs.StringVar(&c.Name, "context", os.Getenv("ENTENTE_CONTEXT"), "name of the context (default: the current one, else the gateway's host) [ENTENTE_CONTEXT]")
	fs.StringVar(&c.Server, "server", os.Getenv("ENTENTE_SERVER"), "gRPC address of the agency's gateway, host:port [ENTENTE_SERVER]")
	fs.StringVar(&c.CertificateAuthority, "certificate-authority", os.Getenv("ENTENTE_CERTIFICATE_AUTHORITY"), "PEM file of the authorities that vouch for the gateway; empty: the system's [ENTENTE_CERTIFICATE_AUTHORITY]")
	fs.StringVar(&c.TLSServerName, "tls-server-name", os.Getenv("ENTENTE_TLS_SERVER_NAME"), "name that the gateway's certificate must have [ENTENTE_TLS_SERVER_NAME]")
	fs.StringVar(&c.ClientCertificate, "client-certificate", os.Getenv("ENTENTE_CLIENT_CERTIFICATE"), "PEM file of your certificate [ENTENTE_CLIENT_CERTIFICATE]")
	fs.StringVar(&c.ClientKey, "client-key", os.Getenv("ENTENTE_CLIENT_KEY"), "PEM file of your key [ENTENTE_CLIENT_KEY]")
	fs.StringVar(&c.TokenFile, "token-file", os.Getenv("ENTENTE_TOKEN_FILE"), "file of a token that others renew [ENTENTE_TOKEN_FILE]")
	fs.StringVar(&f.oidc.Issuer, "oidc-issuer", "", "issuer URL of the agency's OpenID Connect provider")
	fs.StringVar(&f.oidc.ClientID, "oidc-client-id", "", "client at the provider: the gateway's --oidc-client-id")
	fs.StringSliceVar(&f.oidc.Scopes, "oidc-scopes", nil, "scopes to ask for besides openid (default offline_access)")
	fs.StringVar(&f.oidc.CertificateAuthority, "oidc-ca-file", "", "PEM file of the authorities that vouch for the provider (default: the system's)")
	fs.StringVar(&f.secretFile, "client-secret-file", "", `file of the client's secret, by which an application logs in; "-": standard input`)
	fs.BoolVar(&f.device, "device", false, "log in on another device")
	fs.BoolVar(&f.noOpen, "no-browser", false, "print the URL and open no browser")
	fs.StringVar(&f.callback, "callback-address", "127.0.0.1:0", "loopback address to which the browser comes back")
	fs.StringVar(&f.account.Name, "service-account", "", "Kubernetes service account")
	fs.StringVar(&f.account.Namespace, "namespace", "default", "its namespace")
	fs.StringVar(&f.account.Audience, "audience", "entente", "audience of its tokens: the gateway's --oidc-client-id")
	fs.StringVar(&f.account.Kubeconfig, "kubeconfig", "", "path of the kubeconfig file of who may create its tokens (default: as kubectl finds it)")
	fs.StringVar(&f.account.Context, "kube-context", "", "context of the kubeconfig file")
	cmd.MarkFlagsRequiredTogether("oidc-issuer", "oidc-client-id")
	cmd.MarkFlagsMutuallyExclusive("oidc-issuer", "service-account", "token-file", "client-certificate")
	cmd.MarkFlagsMutuallyExclusive("device", "client-secret-file")
	_ = cmd.RegisterFlagCompletionFunc("context", completeContexts) // the flag was added above
	return cmd
}

func (f *loginFlags) run(cmd *cobra.Command) error {
	store, err := login.DefaultStore(os.Getenv)
	if err != nil {
		return err
	}
	file, err := store.Load()
	if err != nil {
		return err
	}
	c, err := f.wanted(cmd, file)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeoutCause(cmd.Context(), loginTimeout, errors.New("it took too long"))
	defer stop()
	token, err := f.get(ctx, cmd, c, store)
	if err != nil {
		return err
	}
	before, err := store.LoadToken(c.Name)
	if err != nil {
		before = &login.Token{} // which did not parse, and is replaced
	}
	if token != nil {
		if err := store.SaveToken(c.Name, token); err != nil {
			return err
		}
	} else if err := store.RemoveToken(c.Name); err != nil {
		return err
	}
	file.Put(*c)
	if err := store.Save(file); err != nil {
		return err
	}
	// The former login is of no use any more; that it goes on at the provider for a while is no error.
	if c.OIDC != nil && before.Refresh != "" && (token == nil || before.Refresh != token.Refresh) {
		_ = c.OIDC.Revoke(ctx, before)
	}
	offered, err := reaches(ctx, store, c)
	if err != nil {
		return fmt.Errorf("context %s is kept, but the gateway does not take you: %w", c.Name, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Logged in at %s as context %s: you may ask under %d clauses (entente datasets)\n", c.Server, c.Name, offered)
	return nil
}

// wanted is the context as the flags make it: a new one, or the one of that name with what they change.
func (f *loginFlags) wanted(cmd *cobra.Command, file *login.File) (*login.Context, error) {
	c := f.context
	known, err := file.Find(c.Name)
	if err != nil && c.Server == "" {
		return nil, fmt.Errorf("%w, with --server", err)
	}
	if known != nil && (c.Server == "" || c.Server == known.Server && c.Name != "") {
		base := *known
		for from, to := range map[*string]*string{
			&c.Server: &base.Server, &c.CertificateAuthority: &base.CertificateAuthority, &c.TLSServerName: &base.TLSServerName,
		} {
			if *from != "" {
				*to = *from
			}
		}
		if c.ClientCertificate == "" && c.TokenFile == "" && f.oidc.Issuer == "" && f.account.Name == "" {
			return &base, f.keepSecret(cmd, &base)
		}
		base.ClientCertificate, base.ClientKey, base.TokenFile, base.OIDC, base.ServiceAccount = c.ClientCertificate, c.ClientKey, c.TokenFile, nil, nil
		c = base
	}
	if c.Server == "" {
		return nil, errors.New("say which gateway: --server host:port")
	}
	host, _, err := net.SplitHostPort(c.Server)
	if err != nil {
		return nil, fmt.Errorf("--server %q is not host:port", c.Server)
	}
	if c.Name == "" {
		c.Name = strings.ReplaceAll(host, ":", "-")
	}
	if err := login.CheckName(c.Name); err != nil {
		return nil, err
	}
	if (c.ClientCertificate == "") != (c.ClientKey == "") {
		return nil, errors.New("--client-certificate and --client-key go together")
	}
	ways := 0
	for _, set := range []bool{c.ClientCertificate != "", c.TokenFile != "", f.oidc.Issuer != "", f.account.Name != ""} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		return nil, errors.New("say who you are, in one way: --oidc-issuer, --client-certificate, --service-account or --token-file (entente login --help)")
	}
	if f.oidc.Issuer != "" {
		o := f.oidc
		c.OIDC = &o
	}
	if f.account.Name != "" {
		a := f.account
		c.ServiceAccount = &a
	}
	if err := f.keepSecret(cmd, &c); err != nil {
		return nil, err
	}
	return &c, absolute(&c)
}

// absolute makes paths mean the same wherever the command is run.
func absolute(c *login.Context) error {
	paths := []*string{&c.CertificateAuthority, &c.ClientCertificate, &c.ClientKey, &c.TokenFile}
	if c.OIDC != nil {
		paths = append(paths, &c.OIDC.CertificateAuthority, &c.OIDC.ClientSecretFile)
	}
	if c.ServiceAccount != nil {
		paths = append(paths, &c.ServiceAccount.Kubeconfig)
	}
	for _, p := range paths {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		if _, err := os.Stat(abs); err != nil {
			return err
		}
		*p = abs
	}
	return nil
}

// get logs in; nil: the context needs no token of ours, since a certificate or a token that others renew says who one is.
func (f *loginFlags) get(ctx context.Context, cmd *cobra.Command, c *login.Context, store login.Store) (*login.Token, error) {
	switch {
	case c.ServiceAccount != nil:
		return c.ServiceAccount.Token(ctx)
	case c.OIDC != nil:
		return f.provider(ctx, cmd, c, store)
	}
	return nil, nil
}

// reaches asks the gateway for something, and says how many clauses it offers.
func reaches(ctx context.Context, store login.Store, c *login.Context) (int, error) {
	f := &clientFlags{}
	if err := f.take(ctx, store, c); err != nil {
		return 0, err
	}
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	ctx, service, closeConn, err := f.dial(ctx)
	if err != nil {
		return 0, err
	}
	defer closeConn()
	offered := 0
	for req := (&gatewayv1.ListDatasetsRequest{PageSize: 1000}); ; {
		resp, err := service.ListDatasets(ctx, req)
		if err != nil {
			return 0, said(err)
		}
		offered += len(resp.GetDatasets())
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			return offered, nil
		}
	}
}
