package main

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/internal/login"
)

func newWhoamiCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Say as whom a context asks, and whether the gateway takes it",
		Long: `Prints the context, the gateway, and what your certificate or token says of you; then asks the gateway whether it takes that.
Tokens are not printed. Without --context, what the ENTENTE_ variables say goes first, as in 'entente query'.`,
		Example: `  entente whoami
  entente whoami --context gateway.police.example.gov`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, c, err := asked(name)
			if err != nil {
				return err
			}
			ctx, stop := context.WithTimeout(cmd.Context(), 30*time.Second)
			defer stop()
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 2, 8, 2, ' ', 0)
			line := func(what, value string) {
				if value != "" {
					fmt.Fprintf(w, "%s:\t%s\n", what, sanitize(value))
				}
			}
			line("Context", c.Name)
			line("Gateway", c.Server)
			if err := describeIdentity(ctx, store, c, line); err != nil {
				return errors.Join(w.Flush(), err)
			}
			offered, err := reaches(ctx, store, c)
			if err != nil {
				line("Taken", "no")
				return errors.Join(w.Flush(), err)
			}
			line("Taken", fmt.Sprintf("yes; you may ask under %d clauses", offered))
			return w.Flush()
		},
	}
	cmd.Flags().StringVar(&name, "context", os.Getenv("ENTENTE_CONTEXT"), "context (default: the current one) [ENTENTE_CONTEXT]")
	_ = cmd.RegisterFlagCompletionFunc("context", completeContexts) // the flag was added above
	return cmd
}

// asked is the context by which 'entente query' would ask: what the variables say, where they name a gateway, has no name.
func asked(name string) (login.Store, *login.Context, error) {
	server := os.Getenv("ENTENTE_SERVER")
	if name != "" || server == "" {
		store, _, c, err := contextNamed(name)
		return store, c, err
	}
	said := &login.Context{
		Server: server, CertificateAuthority: os.Getenv("ENTENTE_CERTIFICATE_AUTHORITY"), TLSServerName: os.Getenv("ENTENTE_TLS_SERVER_NAME"),
		ClientCertificate: os.Getenv("ENTENTE_CLIENT_CERTIFICATE"), ClientKey: os.Getenv("ENTENTE_CLIENT_KEY"), TokenFile: os.Getenv("ENTENTE_TOKEN_FILE"),
	}
	if said.ClientCertificate != "" || said.ClientKey != "" || said.TokenFile != "" {
		return login.Store{}, said, nil
	}
	// Nothing says who: the context of that very gateway does.
	store, _, c, err := contextNamed("")
	if err != nil {
		return store, nil, err
	}
	if c.Server != server {
		return store, nil, fmt.Errorf("ENTENTE_SERVER is %s, and no variable and no context says who you are there: entente login --server %s", server, server)
	}
	return store, c, nil
}

// describeIdentity says what the certificate or the token says. Whether it is true, the gateway finds out.
func describeIdentity(ctx context.Context, store login.Store, c *login.Context, line func(what, value string)) error {
	if c.ClientCertificate != "" {
		text, err := os.ReadFile(c.ClientCertificate)
		if err != nil {
			return err
		}
		block, _ := pem.Decode(text)
		if block == nil {
			return fmt.Errorf("%s has no certificate", c.ClientCertificate)
		}
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		line("User", leaf.Subject.CommonName)
		line("Groups", strings.Join(leaf.Subject.Organization, ", "))
		line("By", "client certificate of "+leaf.Issuer.CommonName)
		line("Until", leaf.NotAfter.UTC().Format(time.RFC3339))
		return nil
	}
	bearer, err := store.Bearer(ctx, c, time.Now())
	if err != nil {
		return err
	}
	claims := struct {
		Issuer  string `json:"iss"`
		Subject string `json:"sub"`
		Name    string `json:"preferred_username"`
		Expires int64  `json:"exp"`
	}{}
	if parts := strings.Split(bearer, "."); len(parts) == 3 {
		if text, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			_ = json.Unmarshal(text, &claims) // an opaque token says nothing
		}
	}
	line("User", claims.Subject)
	line("Name", claims.Name)
	line("By", "token of "+claims.Issuer)
	if claims.Expires > 0 {
		line("Until", time.Unix(claims.Expires, 0).UTC().Format(time.RFC3339))
	}
	return nil
}
