package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/status"
	"k8s.io/client-go/rest"

	"github.com/entente-dev/entente/controllers"
	"github.com/entente-dev/entente/controllers/reconciliation"
	"github.com/entente-dev/entente/controllers/standalone"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/receipt"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

type reconcileFlags struct {
	processFlags
	config, state string
	peer, output  string
	since, until  time.Duration
	all           bool
}

func newAuditReconcileCommand() *cobra.Command {
	f := &reconcileFlags{}
	cmd := &cobra.Command{
		Use:   "reconcile --peer AGENCY",
		Short: "Hold this agency's logs against those of a peer",
		Long: `Compares both sides' records of every disclosure between this agency and a peer: which one log alone has, and which differ. Only ids,
digests and outcomes travel, over the exchange. The operator does the same by itself; this command lists the disclosures.

In a cluster it takes the operator's flags and rights, and is best run in the operator's pod. With --config it is about the folder of
'entente standalone'.

The exit code is 0 when the logs agree, and 3 when they do not.`,
		Example: `  entente audit reconcile --peer border-service --since 24h --config state-police

  kubectl exec -n state-police deploy/entente-operator -- entente audit reconcile --peer border-service \
    --agency state-police --trust-domain police.example.gov --vault-address https://vault.example.gov:8200 --vault-mount-prefix state-police`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.add(cmd, gwvault.RoleOperator)
	fl := cmd.Flags()
	fl.StringVar(&f.config, "config", "", "folder of 'entente standalone', instead of a cluster")
	fl.StringVar(&f.state, "state", "", "state folder of 'entente standalone' (default: .entente in the folder)")
	fl.StringVar(&f.peer, "peer", "", "agency to compare with (required)")
	fl.DurationVar(&f.since, "since", reconciliation.FirstWindow, "how far back disclosures are compared")
	fl.DurationVar(&f.until, "delay", reconciliation.Delay, "how old disclosures are at least: younger ones may still be on their way into a log")
	fl.BoolVar(&f.all, "all", false, "list every disclosure, not only those that need to be looked into")
	fl.StringVarP(&f.output, "output", "o", "table", "table or json (lines)")
	_ = cmd.MarkFlagRequired("peer")
	return cmd
}

// errLogsDiffer is exit code 3.
var errLogsDiffer = &exitError{3, "the logs differ"}

func (f *reconcileFlags) run(ctx context.Context, out, messages io.Writer) error {
	now := time.Now()
	w := receipt.Window{Since: now.Add(-f.since).UTC(), Until: now.Add(-f.until).UTC()}
	if f.since <= f.until || f.until < 0 {
		return fmt.Errorf("--since %s and --delay %s leave nothing to compare", f.since, f.until)
	}
	if f.output != "table" && f.output != "json" {
		return fmt.Errorf("-o %q: table or json", f.output)
	}
	ours, theirs, end, err := f.logs(ctx)
	if err != nil {
		return err
	}
	defer end()
	print := f.printer(out)
	bar := startProgress(messages, "comparing", progressbar.OptionShowCount())
	s, err := reconciliation.Run(ctx, ours, theirs, f.peer, w, nil, func(finding receipt.Finding) {
		bar.add(1)
		if f.all || finding.Result.Faulty() || finding.Result == receipt.Unconfirmed {
			print.finding(finding)
		}
	})
	bar.end()
	if err != nil {
		if s, ok := status.FromError(err); ok {
			return fmt.Errorf("the exchange of %s answers %s: %s", f.peer, s.Code(), s.Message())
		}
		return err
	}
	if err := print.summary(s); err != nil {
		return err
	}
	if s.Faulty() > 0 {
		return errLogsDiffer
	}
	return nil
}

// logs gives both sides' logs.
func (f *reconcileFlags) logs(ctx context.Context) (ours, theirs receipt.Lister, end func(), err error) {
	if f.config != "" {
		ours, theirs, pool, err := standalone.Folder{ConfigDir: f.config, StateDir: f.state, Agency: f.agency}.Logs(f.peer)
		if err != nil {
			return nil, nil, nil, err
		}
		return ours, theirs, pool.Close, nil
	}
	if f.agency == "" || f.trustDomain == "" {
		return nil, nil, nil, errors.New("give --config for a folder, or --agency and --trust-domain in a cluster")
	}
	restConfig, own, stop, err := f.asOperator(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	ours, theirs, pool, err := controllers.PeerLogs(ctx, restConfig, controllers.Options{
		Agency: f.agency, TrustDomain: f.trustDomain, Namespace: f.namespace, Own: own,
	}, f.peer)
	if err != nil {
		stop()
		return nil, nil, nil, err
	}
	return ours, theirs, func() { pool.Close(); stop() }, nil
}

// asOperator gives a command the operator's API server and identity, until stop.
func (f *processFlags) asOperator(ctx context.Context) (config *rest.Config, own identity.Own, stop func(), err error) {
	f.logLevel = cmp.Or(f.logLevel, "warn")
	log, err := f.complete()
	if err != nil {
		return nil, nil, nil, err
	}
	if config, err = f.restConfig(); err != nil {
		return nil, nil, nil, err
	}
	session, err := gwvault.NewSession(f.vault)
	if err != nil {
		return nil, nil, nil, err
	}
	id := gwvault.NewIdentity(session, gwvault.IdentityConfig{Role: gwvault.RoleOperator, SPIFFEID: identity.OperatorID(f.trustDomain), Log: log})
	background, stop := context.WithCancel(ctx)
	go func() { _ = session.Run(background) }()
	go func() { _ = id.Run(background) }()
	return config, id, stop, nil
}

func (f *reconcileFlags) printer(out io.Writer) *findings {
	return &findings{json: f.output == "json", out: out, peer: f.peer}
}

// findings prints what a comparison found.
type findings struct {
	json  bool
	out   io.Writer
	peer  string
	table *tabwriter.Writer
}

func (p *findings) finding(f receipt.Finding) {
	if p.json {
		_ = json.NewEncoder(p.out).Encode(f)
		return
	}
	if p.table == nil {
		p.table = tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(p.table, "DISCLOSURE\tDATE\tAGREEMENT\tRESULT\tSOURCE\tRECIPIENT\tWHAT")
	}
	date, _ := receipt.Dated(f.Disclosure)
	fmt.Fprintf(p.table, "%s\t%s\t%s.v%d\t%s\t%s\t%s\t%s\n", f.Disclosure, date.Format(time.RFC3339), f.Agreement, f.Version, f.Result, f.Source, f.Recipient, f.What)
}

func (p *findings) summary(s *reconciliation.Summary) error {
	if p.json {
		return nil // lines of one kind, for scripts; the exit code says the rest
	}
	if p.table != nil {
		if err := p.table.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(p.out)
	}
	fmt.Fprintf(p.out, "%d disclosures with %s from %s to %s:", s.Compared, p.peer, s.Since.Format(time.RFC3339), s.Until.Format(time.RFC3339))
	for _, r := range receipt.Results {
		if n := s.Counts[r]; n > 0 {
			fmt.Fprintf(p.out, " %d %s", n, r)
		}
	}
	_, err := fmt.Fprintln(p.out)
	return err
}
