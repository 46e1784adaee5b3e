package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/internal/login"
)

// clientFlags say how the commands of users reach their agency's gateway. Names are kubectl's where it has the flag.
type clientFlags struct {
	server, authority, certificate, key, tokenFile, serverName string
	// context of entente login; what flags and variables say wins.
	context string
	// bearer is a token that a context has, and not a file.
	bearer string
}

func (f *clientFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.context, "context", os.Getenv("ENTENTE_CONTEXT"), "context of entente login (default: the current one) [ENTENTE_CONTEXT]")
	_ = cmd.RegisterFlagCompletionFunc("context", completeContexts) // the flag was added just now
	fs.StringVar(&f.server, "server", os.Getenv("ENTENTE_SERVER"), "gRPC address of the agency's gateway, host:port [ENTENTE_SERVER]")
	fs.StringVar(&f.authority, "certificate-authority", os.Getenv("ENTENTE_CERTIFICATE_AUTHORITY"), "PEM file of the authorities that vouch for the gateway; empty: the system's [ENTENTE_CERTIFICATE_AUTHORITY]")
	fs.StringVar(&f.certificate, "client-certificate", os.Getenv("ENTENTE_CLIENT_CERTIFICATE"), "PEM file of your certificate [ENTENTE_CLIENT_CERTIFICATE]")
	fs.StringVar(&f.key, "client-key", os.Getenv("ENTENTE_CLIENT_KEY"), "PEM file of your key [ENTENTE_CLIENT_KEY]")
	fs.StringVar(&f.tokenFile, "token-file", os.Getenv("ENTENTE_TOKEN_FILE"), "file of your OIDC token; read for each call [ENTENTE_TOKEN_FILE]")
	fs.StringVar(&f.serverName, "tls-server-name", os.Getenv("ENTENTE_TLS_SERVER_NAME"), "name that the gateway's certificate must have; empty: the host of --server [ENTENTE_TLS_SERVER_NAME]")
}

// connect opens the connection, and gives a context that carries the token.
func (f *clientFlags) connect(ctx context.Context) (context.Context, gatewayv1.QueryServiceClient, func(), error) {
	if err := f.fromContext(ctx); err != nil {
		return nil, nil, nil, err
	}
	return f.dial(ctx)
}

// fromContext takes from the context of entente login what no flag and no variable says.
func (f *clientFlags) fromContext(ctx context.Context) error {
	if f.server != "" && f.context == "" {
		// What a context has is for its own gateway. Where that is the one that is named, it serves.
		store, err := login.DefaultStore(os.Getenv)
		if err != nil {
			return nil
		}
		file, err := store.Load()
		if err != nil {
			return err
		}
		if c, err := file.Find(""); err == nil && c != nil && c.Server == f.server {
			return f.take(ctx, store, c)
		}
		return nil
	}
	store, err := login.DefaultStore(os.Getenv)
	if err != nil {
		return fmt.Errorf("say which gateway to ask: --server host:port, or ENTENTE_SERVER (%w)", err)
	}
	file, err := store.Load()
	if err != nil {
		return err
	}
	c, err := file.Find(f.context)
	switch {
	case err != nil:
		return err
	case c == nil:
		return errors.New("say which gateway to ask: entente login, --server host:port, or ENTENTE_SERVER")
	case f.server != "" && f.server != c.Server:
		return fmt.Errorf("context %s is of gateway %s, not of %s: leave one of them out", c.Name, c.Server, f.server)
	}
	return f.take(ctx, store, c)
}

// take fills in what is not said otherwise. Who says in one way who they are, is not somebody else in another.
func (f *clientFlags) take(ctx context.Context, store login.Store, c *login.Context) error {
	for to, from := range map[*string]string{&f.server: c.Server, &f.authority: c.CertificateAuthority, &f.serverName: c.TLSServerName} {
		if *to == "" {
			*to = from
		}
	}
	if f.certificate != "" || f.key != "" || f.tokenFile != "" {
		return nil
	}
	f.certificate, f.key = c.ClientCertificate, c.ClientKey
	bearer, err := store.Bearer(ctx, c, time.Now())
	f.bearer = bearer
	return err
}

// dial opens the connection to what is known by now.
func (f *clientFlags) dial(ctx context.Context) (context.Context, gatewayv1.QueryServiceClient, func(), error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.serverName}
	if f.authority != "" {
		pem, err := os.ReadFile(f.authority)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("--certificate-authority: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, nil, nil, fmt.Errorf("--certificate-authority: %s has no certificate", f.authority)
		}
	}
	if (f.certificate == "") != (f.key == "") {
		return nil, nil, nil, errors.New("--client-certificate and --client-key go together")
	}
	if f.certificate != "" {
		pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if f.tokenFile != "" {
		token, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("--token-file: %w", err)
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	if f.bearer != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+f.bearer)
	}
	conn, err := grpc.NewClient(f.server, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		return nil, nil, nil, err
	}
	return ctx, gatewayv1.NewQueryServiceClient(conn), func() { _ = conn.Close() }, nil
}

// said turns a gRPC error into what the gateway said.
func said(err error) error {
	if s, ok := status.FromError(err); ok {
		return fmt.Errorf("%s: %s", s.Code(), s.Message())
	}
	return err
}
