package main

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	gwvault "github.com/entente-dev/entente/gateway/vault"
)

// processFlags are what operator and gateway have in common: which agency they are of, where its namespace is, and how they
// log in to Vault.
type processFlags struct {
	agency, trustDomain   string
	namespace, kubeconfig string
	vault                 gwvault.Config
	logFormat, logLevel   string
}

func (f *processFlags) add(cmd *cobra.Command, vaultRole string) {
	fl := cmd.Flags()
	fl.StringVar(&f.agency, "agency", "", "name of the agency, as in its Agency resource (required)")
	fl.StringVar(&f.trustDomain, "trust-domain", "", "the agency's SPIFFE trust domain (required)")
	fl.StringVarP(&f.namespace, "namespace", "n", os.Getenv("POD_NAMESPACE"), "namespace of the agency (default: POD_NAMESPACE, else the agency's name)")
	fl.StringVar(&f.kubeconfig, "kubeconfig", "", "path of a kubeconfig file (default: the pod's service account, else as kubectl finds it)")
	fl.StringVar(&f.vault.Address, "vault-address", "", "address of Vault (default: VAULT_ADDR)")
	fl.StringVar(&f.vault.CACert, "vault-ca-file", "", "PEM file of the authority of Vault's certificate (default: VAULT_CACERT)")
	fl.StringVar(&f.vault.Namespace, "vault-namespace", "", "Vault namespace (default: VAULT_NAMESPACE)")
	fl.StringVar(&f.vault.Mounts.Prefix, "vault-mount-prefix", gwvault.DefaultPrefix, "where the agency's mounts are")
	fl.StringVar(&f.vault.Role, "vault-role", vaultRole, "role to log in as")
	fl.StringVar(&f.vault.JWTPath, "vault-jwt-file", "/var/run/secrets/entente/vault-token", "projected service account token to log in with (audience vault)")
	fl.StringVar(&f.logFormat, "log-format", "json", "json or text")
	fl.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
}

// addRequired is add for a process that runs in a cluster only.
func (f *processFlags) addRequired(cmd *cobra.Command, vaultRole string) {
	f.add(cmd, vaultRole)
	_ = cmd.MarkFlagRequired("agency")
	_ = cmd.MarkFlagRequired("trust-domain")
}

// complete fills in defaults and gives the process's logger.
func (f *processFlags) complete() (*slog.Logger, error) {
	f.namespace = cmp.Or(f.namespace, f.agency)
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler
	switch f.logFormat {
	case "json":
		handler = slog.NewJSONHandler(os.Stderr, options)
	case "text":
		handler = slog.NewTextHandler(os.Stderr, options)
	default:
		return nil, fmt.Errorf("--log-format %q: json or text", f.logFormat)
	}
	log := slog.New(handler).With("agency", f.agency)
	slog.SetDefault(log)
	f.vault.Log = log
	return log, nil
}

// restConfig reaches the API server: the pod's own service account, or a kubeconfig.
func (f *processFlags) restConfig() (*rest.Config, error) {
	c, err := f.apiServer()
	if err == nil {
		// The API server is near, and to compress thousands of agreements takes it longer than to send them.
		c.DisableCompression = true
	}
	return c, err
}

func (f *processFlags) apiServer() (*rest.Config, error) {
	if f.kubeconfig == "" {
		if c, err := rest.InClusterConfig(); err == nil {
			return c, nil
		}
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no API server (use --kubeconfig outside a cluster): %w", err)
	}
	return c, nil
}

// certPool reads a file of PEM certificates.
func certPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New(path + " holds no certificates")
	}
	return pool, nil
}
