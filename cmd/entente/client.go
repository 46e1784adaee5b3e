package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
)

// clientFlags say how the commands of users reach their agency's gateway. Names are kubectl's where it has the flag.
type clientFlags struct {
	server, authority, certificate, key, tokenFile, serverName string
}

func (f *clientFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.server, "server", os.Getenv("ENTENTE_SERVER"), "gRPC address of the agency's gateway, host:port [ENTENTE_SERVER]")
	fs.StringVar(&f.authority, "certificate-authority", os.Getenv("ENTENTE_CERTIFICATE_AUTHORITY"), "PEM file of the authorities that vouch for the gateway; empty: the system's [ENTENTE_CERTIFICATE_AUTHORITY]")
	fs.StringVar(&f.certificate, "client-certificate", os.Getenv("ENTENTE_CLIENT_CERTIFICATE"), "PEM file of your certificate [ENTENTE_CLIENT_CERTIFICATE]")
	fs.StringVar(&f.key, "client-key", os.Getenv("ENTENTE_CLIENT_KEY"), "PEM file of your key [ENTENTE_CLIENT_KEY]")
	fs.StringVar(&f.tokenFile, "token-file", os.Getenv("ENTENTE_TOKEN_FILE"), "file of your OIDC token; read for each call [ENTENTE_TOKEN_FILE]")
	fs.StringVar(&f.serverName, "tls-server-name", os.Getenv("ENTENTE_TLS_SERVER_NAME"), "name that the gateway's certificate must have; empty: the host of --server [ENTENTE_TLS_SERVER_NAME]")
}

// connect opens the connection, and gives a context that carries the token.
func (f *clientFlags) connect(ctx context.Context) (context.Context, gatewayv1.QueryServiceClient, func(), error) {
	if f.server == "" {
		return nil, nil, nil, errors.New("say which gateway to ask: --server host:port, or ENTENTE_SERVER")
	}
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
