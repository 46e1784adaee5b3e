package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/entente-dev/entente/controllers/standalone"
	"github.com/entente-dev/entente/gateway"
	"github.com/entente-dev/entente/gateway/witness"
	"github.com/entente-dev/entente/internal/files"
)

func newStandaloneCommand() *cobra.Command {
	var o standalone.Options
	var publicLog logFlags
	cmd := &cobra.Command{
		Use:   "standalone --config DIR",
		Short: "Run an agency from a folder of resources, without a cluster",
		Long: `Runs the gateway and the exchange of one agency. The folder holds the same resources that a cluster would, as *.yaml files:
Agency, ExchangeSchema, Dataset, SharingAgreement, AgreementDecision, AgreementProfile and TaskForce. A change of a file acts within moments.

Keys, decisions, routes and the log are kept in the state folder, and in its status/ every resource with its status: what
kubectl would show. A file that cannot be read gives no permission, and refuses the agreements that it mentions.`,
		Example: `  entente standalone --config ./state-police
  entente standalone user analyst --config ./state-police --out ./analyst
  entente agency export --config ./state-police`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			klog.SetSlogLogger(o.Logger)
			var err error
			if o.Transparency, err = publicLog.transparency(); err != nil {
				return err
			}
			o.Listen.Witness = publicLog.witnessAddress
			o.Witness = witness.Options{Name: publicLog.witnessName, LogsFile: publicLog.witnessLogs}
			o.Ready = func(b standalone.Bound) {
				w := cmd.OutOrStdout()
				fmt.Fprintf(w, "%s is ready\n  REST      https://%s\n  gRPC      %s\n  peers     %s\n  exchange  %s\n  health    http://%s/readyz\n",
					b.Agency, b.Gateway.REST, b.Gateway.GRPC, b.Gateway.Peer, b.Exchange, b.Gateway.Health)
			}
			gateway.TuneRuntime()
			go giveBack(cmd.Context())
			return standalone.Run(cmd.Context(), o)
		},
	}
	folderFlags(cmd, &o.Folder)
	flags := cmd.Flags()
	flags.StringVar(&o.Host, "host", "127.0.0.1", "host to listen on, and a name that local clients use")
	flags.StringVar(&o.Listen.REST, "rest-address", "", "listen address of REST for local users (default: host:8443)")
	flags.StringVar(&o.Listen.GRPC, "grpc-address", "", "listen address of gRPC for local users (default: host:8444)")
	flags.StringVar(&o.Listen.Peer, "peer-address", "", "listen address for peer gateways (default: host, with the port that the Agency publishes)")
	flags.StringVar(&o.Exchange, "exchange-address", "", "listen address of the exchange (default: host, with the port that the Agency publishes)")
	flags.StringVar(&o.Listen.Health, "metrics-address", "", "listen address of metrics and health (default: host:8080)")
	flags.DurationVar(&o.LogRetention, "log-retention", gateway.DefaultLogRetention, "how long the payloads of log records are kept, from the query on; then they are erased")
	flags.StringSliceVar(&o.SourceExplainGroups, "source-explain-groups", nil, "groups of local users who may explain queries as the source, and see tables and columns of this agency's datasets (default: nobody)")
	publicLog.add(cmd)
	cmd.AddCommand(newStandaloneUserCommand())
	return cmd
}

func folderFlags(cmd *cobra.Command, f *standalone.Folder) {
	cmd.Flags().StringVar(&f.ConfigDir, "config", "", "folder of resources")
	cmd.Flags().StringVar(&f.StateDir, "state", "", "state folder (default: .entente in the folder)")
	cmd.Flags().StringVar(&f.Agency, "agency", "", "which Agency is this installation's (default: the only one without keys)")
	_ = cmd.MarkFlagRequired("config") // the flag was added above
}

func newStandaloneUserCommand() *cobra.Command {
	var folder standalone.Folder
	var out string
	var groups, units []string
	cmd := &cobra.Command{
		Use:   "user NAME --config DIR --out DIR",
		Short: "Make a client certificate for a user of a standalone installation",
		Long: `Makes a key and a certificate with which a person or an application of this agency may query its gateway: cert.pem and
key.pem, and ca.pem, which vouches for the gateway.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			user, err := folder.IssueUser(args[0], groups, units)
			if err != nil {
				return err
			}
			ca, err := folder.TrustBundle(cmd.Context())
			if err != nil {
				return err
			}
			if err := os.MkdirAll(out, 0o755); err != nil {
				return err
			}
			for name, content := range map[string][]byte{"cert.pem": user.Certificate, "key.pem": user.Key, "ca.pem": []byte(ca)} {
				if err := files.Replace(filepath.Join(out, name), content, 0o600); err != nil {
					return err
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: cert.pem, key.pem and ca.pem for %s, until %s\n", out, args[0], user.Expires.Format(time.DateOnly))
			return nil
		},
	}
	folderFlags(cmd, &folder)
	cmd.Flags().StringSliceVar(&groups, "group", nil, "group of the user, an organisation in the certificate (repeatable)")
	cmd.Flags().StringSliceVar(&units, "unit", nil, "organisational unit of the user, which agreements' conditions may read (repeatable)")
	cmd.Flags().StringVar(&out, "out", "", "folder for the files")
	_ = cmd.MarkFlagRequired("out") // the flag was added above
	return cmd
}
