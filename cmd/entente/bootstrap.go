package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/controllers/vault/bootstrap"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

func newBootstrapCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Prepare what an agency's Entente stands on",
	}
	cmd.AddCommand(newBootstrapVaultCommand())
	return cmd
}

type bootstrapVaultFlags struct {
	opts       bootstrap.Options
	databases  []string
	rotateRoot bool

	kubeconfig, kubeContext string
	issuer                  string
	jwksURL, jwksCA         string
	noKubernetes            bool

	output string
}

func newBootstrapVaultCommand() *cobra.Command {
	f := &bootstrapVaultFlags{}
	cmd := &cobra.Command{
		Use:   "vault --agency NAME --trust-domain DOMAIN",
		Short: "Set up Vault for an agency: engines, keys, roles, policies, logins",
		Long: `Sets Vault up for one agency, with the rights of the person who runs it (VAULT_ADDR, VAULT_TOKEN or ~/.vault-token, VAULT_CACERT,
VAULT_NAMESPACE, as for the vault command):

  PKI        an authority for the agency's trust domain, unless there is one, and the roles of operator and gateway
  transit    the keys that sign agreements and gateway routes; they cannot be exported
  database   the connections to source systems, on which the operator makes a role for each agreement and dataset
  policies   what the operator and the gateway may do, and nothing beside
  JWT auth   the operator's and the gateway's service accounts log in with their projected tokens (audience "vault")

It compares before it writes: run it again to see that nothing changed, or to mend what did. --dry-run only compares.

The user of a database connection needs CREATEROLE, membership in pg_signal_backend, and the ownership of the shared relations
or SELECT on them WITH GRANT OPTION. It need not be a superuser. PostgreSQL 14 or
later.`,
		Example: `  # See what would be done
  entente bootstrap vault --agency state-police --trust-domain police.example.gov --kubeconfig ~/.kube/config \
    --gateway-name entente-gateway.state-police.svc --dry-run

  # Do it, with one source system
  entente bootstrap vault --agency state-police --trust-domain police.example.gov --kubeconfig ~/.kube/config \
    --gateway-name entente-gateway.state-police.svc \
    --database 'name=records,url=postgresql://{{username}}:{{password}}@db.police.example.gov:5432/records?sslmode=verify-full,username=entente_admin,password-file=admin.pw,ca-file=db-ca.pem' \
    --rotate-root`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.opts.Agency, "agency", "", "name of the agency, as in its Agency resource (required)")
	fl.StringVar(&f.opts.TrustDomain, "trust-domain", "", "the agency's SPIFFE trust domain (required)")
	fl.StringVar(&f.opts.Mounts.Prefix, "mount-prefix", gwvault.DefaultPrefix, "where the mounts are; one Vault can serve several agencies under a prefix each")
	fl.BoolVar(&f.opts.PKIExisting, "pki-existing", false, "leave the PKI engine and its authority as they are; only write roles to it")
	fl.StringSliceVar(&f.opts.GatewayNames, "gateway-name", nil, "DNS name or IP address by which local clients reach the gateway (repeatable)")
	fl.StringArrayVar(&f.databases, "database", nil, "a source system, as name=...,url=...,username=...,password-file=...[,ca-file=...] (repeatable)")
	fl.BoolVar(&f.rotateRoot, "rotate-root", false, "when a connection is created, let Vault replace its password, so that only Vault knows it")
	fl.StringVarP(&f.opts.Namespace, "namespace", "n", "", "namespace of operator and gateway (default: the agency's name)")
	fl.StringVar(&f.opts.OperatorServiceAccount, "operator-service-account", bootstrap.DefaultOperatorServiceAccount, "service account of the operator")
	fl.StringVar(&f.opts.GatewayServiceAccount, "gateway-service-account", bootstrap.DefaultGatewayServiceAccount, "service account of the gateway")
	fl.StringVar(&f.opts.Audience, "audience", bootstrap.DefaultAudience, "audience of the projected service account tokens")
	fl.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster, from which the token issuer and its keys are read (default: KUBECONFIG, ~/.kube/config)")
	fl.StringVar(&f.kubeContext, "context", "", "context of the kubeconfig")
	fl.StringVar(&f.issuer, "kubernetes-issuer", "", "issuer of the cluster's service account tokens (default: asked of the cluster)")
	fl.StringVar(&f.jwksURL, "kubernetes-jwks-url", "", "where Vault fetches the cluster's keys; survives their rotation (default: the keys are read from the cluster and fixed)")
	fl.StringVar(&f.jwksCA, "kubernetes-jwks-ca", "", "PEM file of the authority of --kubernetes-jwks-url")
	fl.BoolVar(&f.noKubernetes, "no-kubernetes", false, "set up no login for a cluster's service accounts")
	fl.BoolVar(&f.opts.DryRun, "dry-run", false, "only show what would be done")
	fl.StringVarP(&f.output, "output", "o", "table", "table, json or yaml")
	_ = cmd.MarkFlagRequired("agency")
	_ = cmd.MarkFlagRequired("trust-domain")
	cmd.MarkFlagsMutuallyExclusive("no-kubernetes", "kubernetes-issuer")
	cmd.MarkFlagsMutuallyExclusive("no-kubernetes", "kubernetes-jwks-url")
	return cmd
}

func (f *bootstrapVaultFlags) run(ctx context.Context, out io.Writer) error {
	if f.output != "table" && f.output != "json" && f.output != "yaml" {
		return fmt.Errorf("--output %q: table, json or yaml", f.output)
	}
	if f.opts.Namespace == "" {
		f.opts.Namespace = f.opts.Agency
	}
	for _, text := range f.databases {
		d, err := parseDatabase(text)
		if err != nil {
			return err
		}
		d.RotateRoot = f.rotateRoot
		f.opts.Databases = append(f.opts.Databases, d)
	}
	if !f.noKubernetes {
		k, err := f.kubernetes(ctx)
		if err != nil {
			return err
		}
		f.opts.Kubernetes = k
	}
	s, err := gwvault.NewSession(gwvault.Config{TokenPath: personalTokenFile(), Mounts: f.opts.Mounts, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	report, err := bootstrap.Run(ctx, s, f.opts)
	if report != nil && (err == nil || len(report.Steps) > 0) {
		if perr := f.print(out, report); err == nil {
			err = perr
		}
	}
	return err
}

func (f *bootstrapVaultFlags) kubernetes(ctx context.Context) (*bootstrap.Kubernetes, error) {
	if f.jwksURL != "" && f.issuer != "" {
		k := &bootstrap.Kubernetes{Issuer: f.issuer, JWKSURL: f.jwksURL}
		if f.jwksCA != "" {
			ca, err := os.ReadFile(f.jwksCA)
			if err != nil {
				return nil, fmt.Errorf("--kubernetes-jwks-ca: %w", err)
			}
			k.JWKSCA = string(ca)
		}
		return k, nil
	}
	if f.jwksURL != "" {
		return nil, errors.New("--kubernetes-jwks-url needs --kubernetes-issuer")
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	conf, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: f.kubeContext}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("the cluster whose service accounts log in: %w (give --kubeconfig, --kubernetes-issuer with --kubernetes-jwks-url, or --no-kubernetes)", err)
	}
	k, err := bootstrap.FromCluster(ctx, conf)
	if err == nil && f.issuer != "" {
		k.Issuer = f.issuer
	}
	return k, err
}

// personalTokenFile is where `vault login` leaves a token, when VAULT_TOKEN does not give one.
func personalTokenFile() string {
	if os.Getenv("VAULT_TOKEN") != "" {
		return ""
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	path := filepath.Join(home, ".vault-token")
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// parseDatabase reads name=…,url=…,…: a comma ends a value only where the next key follows, since URLs may have commas.
func parseDatabase(text string) (bootstrap.Database, error) {
	var d bootstrap.Database
	values := map[string]string{}
	last := ""
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(part, "=")
		switch {
		case ok && (key == "name" || key == "url" || key == "username" || key == "password-file" || key == "ca-file"):
			if _, twice := values[key]; twice {
				return d, fmt.Errorf("--database %q: %s is given twice", text, key)
			}
			values[key], last = value, key
		case last != "":
			values[last] += "," + part
		default:
			return d, fmt.Errorf("--database %q: unknown %q; it has name, url, username, password-file and ca-file", text, key)
		}
	}
	d.Name, d.URL, d.Username = values["name"], values["url"], values["username"]
	if p := values["password-file"]; p != "" {
		b, err := os.ReadFile(p)
		if err != nil {
			return d, fmt.Errorf("--database %s: %w", d.Name, err)
		}
		d.Password = strings.TrimRight(string(b), "\r\n")
	}
	if p := values["ca-file"]; p != "" {
		b, err := os.ReadFile(p)
		if err != nil {
			return d, fmt.Errorf("--database %s: %w", d.Name, err)
		}
		d.CA = string(b)
	}
	return d, nil
}

func (f *bootstrapVaultFlags) print(out io.Writer, r *bootstrap.Report) error {
	switch f.output {
	case "json":
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	case "yaml":
		b, err := yaml.Marshal(r)
		if err != nil {
			return err
		}
		_, err = out.Write(b)
		return err
	}
	w := tabwriter.NewWriter(out, 0, 4, 3, ' ', 0)
	fmt.Fprintln(w, "ACTION\tKIND\tPATH\tDIFFERS")
	for _, s := range r.Steps {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Action, s.Kind, s.Path, strings.Join(s.Differs, ", "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	format := "\nDone: %d created, %d changed, %d as they should be.\n"
	if r.DryRun {
		format = "\nDry run, nothing was written: %d to create, %d to change, %d as they should be.\n"
	}
	_, err := fmt.Fprintf(out, format, r.Count(bootstrap.Create), r.Count(bootstrap.Change), r.Count(bootstrap.Unchanged))
	return err
}
