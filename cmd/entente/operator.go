package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/entente-dev/entente/controllers"
	"github.com/entente-dev/entente/controllers/reconciliation"
	"github.com/entente-dev/entente/controllers/vault"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/kube"
	"github.com/entente-dev/entente/gateway/tracing"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

type operatorFlags struct {
	processFlags
	exchangeAddress, metricsAddress, healthAddress string
	leaderElect                                    bool
	connectionLimit                                int
	maxStale, reconcileEvery, reconcileDelay       time.Duration
}

func newOperatorCommand() *cobra.Command {
	f := &operatorFlags{}
	cmd := &cobra.Command{
		Use:   "operator --agency NAME --trust-domain DOMAIN",
		Short: "Run the operator of an agency in a cluster",
		Long: `Runs the operator: it turns the agreements of its namespace into signed GatewayRoutes and into credentials in Vault, and ends both
when an agreement ends. It serves the exchange, where peer agencies' gateways get their agreement credentials.`,
		Example: `  entente operator --agency state-police --trust-domain police.example.gov --namespace state-police`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			go giveBack(cmd.Context())
			return f.run(cmd.Context())
		},
	}
	f.addRequired(cmd, gwvault.RoleOperator)
	fl := cmd.Flags()
	fl.StringVar(&f.exchangeAddress, "exchange-address", ":9444", "where the exchange is served to peer agencies")
	fl.StringVar(&f.metricsAddress, "metrics-address", ":8080", "where metrics are served, without TLS; empty: nowhere")
	fl.StringVar(&f.healthAddress, "health-address", ":8081", "where /healthz and /readyz are served; empty: nowhere")
	fl.BoolVar(&f.leaderElect, "leader-elect", true, "let one of several replicas work; every replica serves the exchange")
	fl.IntVar(&f.connectionLimit, "source-connection-limit", 0, "connections that one source credential may have open at its database (default 16)")
	fl.DurationVar(&f.maxStale, "max-stale", kube.DefaultMaxStale, "the gateways' --max-stale: a replica that is silent for longer refuses everything, and counts no more")
	fl.DurationVar(&f.reconcileEvery, "reconcile-every", controllers.DefaultReconcileEvery, "how often this agency's logs are held against each peer's")
	fl.DurationVar(&f.reconcileDelay, "reconcile-delay", reconciliation.Delay, "how old a disclosure is when it is expected in both logs")
	return cmd
}

func (f *operatorFlags) run(ctx context.Context) error {
	log, err := f.complete()
	if err != nil {
		return err
	}
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	klog.SetSlogLogger(log)
	restConfig, err := f.restConfig()
	if err != nil {
		return err
	}
	session, err := gwvault.NewSession(f.vault)
	if err != nil {
		return err
	}
	client, err := vault.New(session, vault.Config{Agency: f.agency, TrustDomain: f.trustDomain, ConnectionLimit: f.connectionLimit})
	if err != nil {
		return err
	}
	own := gwvault.NewIdentity(session, gwvault.IdentityConfig{Role: gwvault.RoleOperator, SPIFFEID: identity.OperatorID(f.trustDomain), Log: log})
	listener, err := net.Listen("tcp", f.exchangeAddress)
	if err != nil {
		return fmt.Errorf("exchange listener: %w", err)
	}
	defer listener.Close()
	log.Info("listening", "exchange", listener.Addr().String())

	host, _ := os.Hostname()
	trace, err := tracing.FromEnvironment(ctx, tracing.Service{Name: "entente-operator", Agency: f.agency, Instance: cmp.Or(os.Getenv("POD_NAME"), host)}, log)
	if err != nil {
		return err
	}
	defer func() {
		if lost := trace.Close(); lost != nil {
			log.Warn("spans are lost", "error", lost)
		}
	}()
	operatorVaultMetrics(metrics.Registry, session, own)
	manager, err := controllers.New(restConfig, controllers.Options{
		Agency: f.agency, TrustDomain: f.trustDomain, Namespace: cmp.Or(f.namespace, f.agency),
		Keys: client, Roles: client, Catalogue: &controllers.VaultCatalogue{Vault: client},
		VaultCheck: func(ctx context.Context) error {
			_, err := session.Read(ctx, "auth/token/lookup-self")
			return err
		},
		Own: own, Exchange: listener, MaxStale: f.maxStale, ReconcileEvery: f.reconcileEvery, ReconcileDelay: f.reconcileDelay,
		MetricsAddress: f.metricsAddress, HealthAddress: f.healthAddress, LeaderElection: f.leaderElect, Trace: trace, Logger: log,
	})
	if err != nil {
		return err
	}
	// The session outlives the reconcilers, which may still be ending a credential.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { _ = session.Run(background) })
	wg.Go(func() { _ = own.Run(background) })
	defer wg.Wait()
	defer stop()
	return manager.Start(ctx)
}

// operatorVaultMetrics are what the operator has from Vault for itself.
func operatorVaultMetrics(r prometheus.Registerer, s *gwvault.Session, own *gwvault.Identity) {
	gauge := func(name, help string, value func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("entente_operator_vault_token_remaining_seconds", "Time until the operator's Vault token ends; 0: it has none.", func() float64 { return s.TimeLeft().Seconds() })
	gauge("entente_operator_identity_remaining_seconds", "Time until the operator's certificate ends; 0: it has none.", func() float64 { return max(0, time.Until(own.Expires()).Seconds()) })
}
