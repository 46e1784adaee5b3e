package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/entente-dev/entente/gateway"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/federation"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/kube"
	"github.com/entente-dev/entente/gateway/metrics"
	"github.com/entente-dev/entente/gateway/quota"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/server"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/consent"
	"github.com/entente-dev/entente/gateway/source/httpclient"
	"github.com/entente-dev/entente/gateway/source/httpjson"
	"github.com/entente-dev/entente/gateway/source/postgres"
	"github.com/entente-dev/entente/gateway/source/sqlite"
	"github.com/entente-dev/entente/gateway/source/trino"
	"github.com/entente-dev/entente/gateway/tracing"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

type gatewayFlags struct {
	processFlags
	stateDir, replica string
	listen            gateway.Addrs
	advertise         string
	addressesFile     string
	names             []string
	clientCAFile      string
	oidc              server.OIDC
	oidcCAFile        string
	explainGroups     []string
	maxStale          time.Duration
	logRetention      time.Duration
	quotaStore        string
	quotaVaultRole    string
	publicLog         logFlags
	sourceTimeout     time.Duration
	peerTimeout       time.Duration
	fanOut            int
	maxSources        int
}

func newGatewayCommand() *cobra.Command {
	f := &gatewayFlags{}
	cmd := &cobra.Command{
		Use:   "gateway --agency NAME --trust-domain DOMAIN --state-dir DIR",
		Short: "Run a gateway of an agency in a cluster",
		Long: `Runs a gateway: it answers the agency's own users (REST and gRPC) and peer gateways, under the GatewayRoutes of its namespace and
nothing else. It needs Vault for its identity and for source credentials, and a volume for its log.`,
		Example: `  entente gateway --agency state-police --trust-domain police.example.gov --state-dir /var/lib/entente \
    --name gateway.police.example.gov --client-ca-file /etc/entente/users-ca.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			gateway.TuneRuntime()
			go giveBack(cmd.Context())
			return f.run(cmd.Context())
		},
	}
	f.addRequired(cmd, gwvault.RoleGateway)
	host, _ := os.Hostname()
	fl := cmd.Flags()
	fl.StringVar(&f.stateDir, "state-dir", "", "folder on the gateway's volume for its log, keys and sequences (required)")
	fl.StringVar(&f.replica, "replica", cmp.Or(os.Getenv("POD_NAME"), host), "name of this replica, which names its Lease and its log (default: POD_NAME, else the host's)")
	fl.StringVar(&f.listen.REST, "rest-address", ":8443", "where REST is served to local users")
	fl.StringVar(&f.listen.GRPC, "grpc-address", ":8444", "where gRPC is served to local users")
	fl.StringVar(&f.listen.Peer, "peer-address", ":9443", "where gRPC is served to peer gateways")
	fl.StringVar(&f.advertise, "advertise-address", "", "host:port where the agency's own operator reaches this replica's peer listener (default: POD_IP, else the bound address)")
	fl.StringVar(&f.listen.Health, "health-address", ":8080", "where metrics and health are served, without TLS")
	fl.StringVar(&f.addressesFile, "addresses-file", "", "file to write the bound addresses to, as JSON, once the gateway listens")
	fl.StringSliceVar(&f.names, "name", nil, "DNS name or IP address by which local users reach the gateway (repeatable; Vault's role must allow it)")
	fl.StringVar(&f.clientCAFile, "client-ca-file", "", "PEM file of the authorities of local users' client certificates (CN is the user, O the groups)")
	fl.StringVar(&f.oidc.IssuerURL, "oidc-issuer-url", "", "OIDC issuer of local users' tokens")
	fl.StringVar(&f.oidc.ClientID, "oidc-client-id", "", "audience that local users' tokens must have")
	fl.StringVar(&f.oidc.UsernameClaim, "oidc-username-claim", "sub", "claim that names the user")
	fl.StringVar(&f.oidc.GroupsClaim, "oidc-groups-claim", "", "claim that lists the user's groups")
	fl.StringSliceVar(&f.oidc.Claims, "oidc-claims", nil, "claims of the tokens that agreements' conditions may read, and that go to the sources that ask for them")
	fl.StringVar(&f.oidcCAFile, "oidc-ca-file", "", "PEM file of the authority of the OIDC issuer (default: the system's)")
	fl.StringSliceVar(&f.explainGroups, "source-explain-groups", nil, "groups of local users who may explain queries as the source, and see tables and columns of this agency's datasets (default: nobody)")
	fl.DurationVar(&f.maxStale, "max-stale", kube.DefaultMaxStale, "how long routes are served without hearing of the API server; beyond it everything is refused")
	fl.DurationVar(&f.logRetention, "log-retention", gateway.DefaultLogRetention, "how long the payloads of log records are kept, from the query on; then they are erased (5 U.S.C. 552a(c)(2): five years or the life of the record, the longer)")
	fl.StringVar(&f.quotaStore, "quota-store", "none", `where daily quotas are counted: embedded (in --state-dir, for a gateway of one replica), or a connection string of
PostgreSQL that all replicas share (sslmode verify-full, verify-ca or require; the password from PGPASSFILE or --quota-vault-role).
With none, nothing is answered under clauses that have quotas`)
	fl.StringVar(&f.quotaVaultRole, "quota-vault-role", "", "Vault database role that gives the logins for --quota-store")
	fl.DurationVar(&f.sourceTimeout, "source-timeout", 0, "bound on reading this agency's own sources (default 30s)")
	fl.DurationVar(&f.peerTimeout, "peer-timeout", 0, "bound on the wait for another agency (default 10s)")
	fl.IntVar(&f.fanOut, "fan-out", federation.DefaultWidth, "how many sources one query asks at a time")
	fl.IntVar(&f.maxSources, "max-sources", federation.DefaultMaxSources, "how many sources one query asks in all; one that would ask more has to name them, or to ask in pages")
	f.publicLog.add(cmd)
	_ = cmd.MarkFlagRequired("state-dir")
	cmd.MarkFlagsRequiredTogether("oidc-issuer-url", "oidc-client-id")
	return cmd
}

func (f *gatewayFlags) run(ctx context.Context) error {
	log, err := f.complete()
	if err != nil {
		return err
	}
	klog.SetSlogLogger(log)
	if err := os.MkdirAll(f.stateDir, 0o700); err != nil {
		return err
	}
	restConfig, err := f.restConfig()
	if err != nil {
		return err
	}
	session, err := gwvault.NewSession(f.vault)
	if err != nil {
		return err
	}
	table := route.NewTable(route.Party{Agency: f.agency, TrustDomain: f.trustDomain})
	feed, err := kube.New(kube.Config{
		REST: restConfig, Namespace: f.namespace, Replica: f.replica, StateDir: f.stateDir, Table: table, MaxStale: f.maxStale, Logger: log,
		Keys: func(ctx context.Context) (map[string]ed25519.PublicKey, error) {
			return session.RouteKeys(ctx, f.agency)
		},
	})
	if err != nil {
		return err
	}
	trace, err := tracing.FromEnvironment(ctx, tracing.Service{Name: "entente-gateway", Agency: f.agency, Instance: f.replica}, log)
	if err != nil {
		return err
	}
	config := gateway.Config{
		Table: table, StateDir: f.stateDir, Listen: f.listen, Ready: f.ready(feed, log),
		SourceTimeout: f.sourceTimeout, PeerTimeout: f.peerTimeout, LogRetention: f.logRetention, FanOut: f.fanOut, MaxSources: f.maxSources,
		Checks:  []server.Check{{Name: "routes", Check: feed.Ready}},
		Metrics: metrics.New(), Trace: trace, Logger: log,
	}
	config.SourceExplainGroups = f.explainGroups
	config.Metrics.Gauge("entente_gateway_routes_heard_timestamp_seconds", "When the API server last said something about routes; 0: never.", func() float64 {
		if at := feed.Heard(); !at.IsZero() {
			return float64(at.Unix())
		}
		return 0
	})
	vaultMetrics(config.Metrics, session)
	if err := f.users(&config); err != nil {
		return err
	}
	own := gwvault.NewIdentity(session, gwvault.IdentityConfig{
		Role: gwvault.RoleGateway, SPIFFEID: identity.GatewayID(f.trustDomain), Names: f.names, Log: log,
	})
	config.Own = own
	if config.Quotas, err = f.quotas(session); err != nil {
		return err
	}
	if config.Transparency, err = f.publicLog.transparency(); err != nil {
		return err
	}
	if config.Witness, err = f.publicLog.witness(f.stateDir, log); err != nil {
		return err
	}
	config.Listen.Witness = f.publicLog.witnessAddress
	if config.Log, err = audit.Open(filepath.Join(f.stateDir, "log"), audit.Options{
		Origin: f.trustDomain + "/" + f.replica,
		Keys:   gwvault.LogKeys{Session: session, Agency: f.agency},
		Notice: func(err error) { log.Warn("audit log", "error", err) },
	}); err != nil {
		return err
	}
	services := httpclient.NewPool(httpclient.Options{Secrets: func(ctx context.Context, dataset string) (httpclient.Secret, error) {
		members, err := session.HTTPSecret(ctx, dataset)
		if err != nil {
			return httpclient.Secret{}, err
		}
		return httpclient.NewSecret(members)
	}})
	config.Sources = consent.Over(source.Mux{
		PostgreSQL: postgres.New(postgres.Options{Credentials: func(ctx context.Context, role string) (postgres.Credential, error) {
			c, err := session.SourceCredential(ctx, role)
			return postgres.Credential(c), err
		}}),
		SQLite: sqlite.New(sqlite.Options{}),
		HTTP:   httpjson.New(services),
		Trino:  trino.New(trino.Options{Pool: services}),
	}, services, nil)
	// These outlive the listeners, which drain; gateway.Run closes log and sources.
	ctx, cancel := context.WithCancel(ctx)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { _ = session.Run(background) })
	wg.Go(func() { _ = own.Run(background) })
	wg.Go(func() { feed.Run(background) })
	defer wg.Wait()
	defer stop()
	defer cancel()
	err = gateway.Run(ctx, config)
	if lost := trace.Close(); lost != nil {
		log.Warn("spans are lost", "error", lost)
	}
	return err
}

// quotas opens the store of daily quotas; nil: none.
func (f *gatewayFlags) quotas(session *gwvault.Session) (*quota.Store, error) {
	switch f.quotaStore {
	case "", "none":
		return nil, nil
	case "embedded":
		return quota.OpenEmbedded(filepath.Join(f.stateDir, quota.File))
	}
	if f.quotaVaultRole == "" {
		return quota.OpenPostgres(f.quotaStore, nil)
	}
	// A login each time a connection is made would fill Vault with leases: one serves until it is about to end.
	var mu sync.Mutex
	var c gwvault.Credential
	return quota.OpenPostgres(f.quotaStore, func(ctx context.Context) (string, string, error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Until(c.Expires) < quota.MaxConnLifetime+time.Minute {
			next, err := session.SourceCredential(ctx, f.quotaVaultRole)
			if err != nil {
				return "", "", err
			}
			c = next
		}
		return c.Username, c.Password, nil
	})
}

// users says how local users prove who they are.
func (f *gatewayFlags) users(c *gateway.Config) (err error) {
	if f.clientCAFile != "" {
		if c.ClientCAs, err = certPool(f.clientCAFile); err != nil {
			return fmt.Errorf("--client-ca-file: %w", err)
		}
	}
	if f.oidc.IssuerURL == "" {
		return nil
	}
	c.OIDC = &f.oidc
	if f.oidcCAFile != "" {
		if c.OIDC.CAs, err = certPool(f.oidcCAFile); err != nil {
			return fmt.Errorf("--oidc-ca-file: %w", err)
		}
	}
	return nil
}

func vaultMetrics(m *metrics.Metrics, s *gwvault.Session) {
	m.Gauge("entente_vault_healthy", "1 while this process has a Vault token that works.", func() float64 {
		if s.Healthy() != nil {
			return 0
		}
		return 1
	})
	m.Gauge("entente_vault_token_remaining_seconds", "Time until the Vault token ends.", func() float64 { return s.TimeLeft().Seconds() })
}

// ready tells where the gateway listens.
func (f *gatewayFlags) ready(feed *kube.Feed, log *slog.Logger) func(gateway.Addrs) {
	write := writeAddresses(f.addressesFile, log)
	return func(bound gateway.Addrs) {
		feed.Advertise(cmp.Or(f.advertise, reachable(bound.Peer, os.Getenv("POD_IP"))))
		write(bound)
	}
}

// reachable is a bound address as others reach it: one that is bound on every address of a pod is reached at the pod's own.
func reachable(bound, pod string) string {
	host, port, err := net.SplitHostPort(bound)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
		return bound
	}
	if pod == "" {
		return ""
	}
	return net.JoinHostPort(pod, port)
}

// writeAddresses logs the bound addresses, and writes them to a file when one is named.
func writeAddresses(path string, log *slog.Logger) func(gateway.Addrs) {
	return func(a gateway.Addrs) {
		log.Info("listening", "rest", a.REST, "grpc", a.GRPC, "peer", a.Peer, "health", a.Health)
		if path == "" {
			return
		}
		if err := writeJSONFile(path, a); err != nil {
			log.Error("the addresses cannot be written", "file", path, "error", err)
		}
	}
}

// writeJSONFile writes in one step, so that whoever waits for the file reads all of it.
func writeJSONFile(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
