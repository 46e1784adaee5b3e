package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile/profile"
	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/controllers/openapi"
	"github.com/entente-dev/entente/controllers/reconciliation"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/kube"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/tracing"
)

// Keys are the agency's keys.
type Keys interface {
	keys.AgreementSigner
	keys.RouteSigner
	keys.Issuer
}

// Options of an operator.
type Options struct {
	// Agency that the operator serves, and its trust domain.
	Agency, TrustDomain string
	// Namespace that it watches, and no other.
	Namespace string

	Keys      Keys
	Roles     Roles
	Catalogue Catalogue
	// VaultCheck asks Vault something that it answers to whoever is logged in.
	VaultCheck func(context.Context) error

	// Own identity, spiffe://<trust domain>/operator, and where the exchange listens; no listener: no exchange.
	Own      identity.Own
	Exchange net.Listener

	// ReconcileEvery is how often this agency's logs are held against each peer's, and ReconcileDelay how old disclosures are by
	// then; 0: the defaults.
	ReconcileEvery, ReconcileDelay time.Duration
	// MaxStale is the gateways' own; 0: their default.
	MaxStale time.Duration
	// MetricsAddress serves /metrics, HealthAddress /healthz and /readyz; empty: nothing does.
	MetricsAddress, HealthAddress string
	// LeaderElection: one of several replicas works, the others wait.
	LeaderElection bool
	// Trace makes spans of what the exchange does; nil: none. The caller closes it.
	Trace  *tracing.Tracer
	Logger *slog.Logger

	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// DefaultReconcileEvery is how often logs are compared.
const DefaultReconcileEvery = time.Hour

// New makes the manager of an operator, ready to start.
func New(rc *rest.Config, o Options) (manager.Manager, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxStale <= 0 {
		o.MaxStale = kube.DefaultMaxStale
	}
	o.ReconcileEvery = cmp.Or(o.ReconcileEvery, DefaultReconcileEvery)
	o.ReconcileDelay = cmp.Or(o.ReconcileDelay, reconciliation.Delay)
	m, err := newManager(rc, o)
	if err != nil {
		return nil, err
	}
	if err := addIndexes(context.Background(), m.GetFieldIndexer()); err != nil {
		return nil, err
	}
	return m, assemble(m, o)
}

// leaderElectionID names the Lease by which replicas elect a leader.
const leaderElectionID = "entente-operator"

func newManager(rc *rest.Config, o Options) (manager.Manager, error) {
	rc = rest.CopyConfig(rc)
	if rc.QPS == 0 {
		rc.QPS = -1 // the API server's own fairness bounds requests
	}
	logger := logr.FromSlogHandler(o.Logger.Handler())
	return ctrl.NewManager(rc, manager.Options{
		Scheme:         newScheme(),
		Logger:         logger,
		MapperProvider: newMapper,
		Cache: cache.Options{
			DefaultNamespaces: map[string]cache.Config{o.Namespace: {}},
			DefaultTransform:  slim,
			ByObject: map[client.Object]cache.ByObject{
				&coordinationv1.Lease{}: {Label: labels.SelectorFromSet(labels.Set{kube.LabelGateway: "true"})},
			},
		},
		Metrics:                       server.Options{BindAddress: orNone(o.MetricsAddress)},
		HealthProbeBindAddress:        orNone(o.HealthAddress),
		LeaderElection:                o.LeaderElection,
		LeaderElectionID:              leaderElectionID,
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		// Several managers in one process, as tests have, may each have a controller of a name.
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
}

// slim drops from what the cache keeps what no reconciler reads: who wrote which field, and what kubectl applied, which is the object once
// more. Only routes are ever written back whole, and of those the API server keeps its own record of fields.
func slim(o any) (any, error) {
	m, err := meta.Accessor(o)
	if err != nil {
		return o, nil // what the cache says of an object that it missed the end of
	}
	m.SetManagedFields(nil)
	if _, route := o.(*v1alpha1.GatewayRoute); route {
		return o, nil
	}
	if a := m.GetAnnotations(); a[corev1.LastAppliedConfigAnnotation] != "" {
		delete(a, corev1.LastAppliedConfigAnnotation)
		m.SetAnnotations(a)
	}
	return o, nil
}

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	return scheme
}

// orNone is how controller-runtime is told to listen nowhere.
func orNone(address string) string {
	if address == "" {
		return "0"
	}
	return address
}

// assemble makes the reconcilers and adds them to the manager.
func assemble(m manager.Manager, o Options) error {
	c := m.GetClient()
	now := o.Now
	gather := &gatherer{reader: c, namespace: o.Namespace, self: o.Agency, profiles: profile.NewCache(), apis: openapi.NewCache()}
	verify := &routeKeys{holder: o.Keys}
	p := newPlans()
	compileDoor := &doorbell{}
	timers := newTimers(compileDoor)
	recorder := m.GetEventRecorder("entente-operator")
	gws := &gateways{reader: c, namespace: o.Namespace, plans: p, maxStale: o.MaxStale, now: now, awaited: map[string]string{}}
	watchVault := &vaultWatch{check: o.VaultCheck, now: now}
	says := newScribe(c, o.Namespace, now)
	creds := &credentials{
		client: c, namespace: o.Namespace, roles: o.Roles, scribe: says, inventory: newInventory(), plans: p, compile: compileDoor, vault: watchVault,
		back: make(chan struct{}, 1), now: now,
	}
	watchVault.changed = creds.vaultChanged

	stating := &statements{client: c, gather: gather, keys: o.Keys, plans: p, fresh: func(string, []v1alpha1.AgreementStatement) {}}
	var errs []error
	for _, r := range []interface{ setUp(manager.Manager) error }{
		&agreements{
			client: c, gather: gather, scribe: says, plans: p, door: compileDoor, timers: timers, recorder: recorder, now: now,
			routes: &publisher{
				client: c, namespace: o.Namespace, self: route.Party{Agency: o.Agency, TrustDomain: o.TrustDomain},
				signer: o.Keys, keys: verify, highest: map[string]int64{},
			},
		},
		&signer{client: c, namespace: o.Namespace, self: o.Agency, keys: o.Keys, plans: p, recorder: recorder, now: now},
		creds,
		says,
		&finalizers{client: c, namespace: o.Namespace, plans: p},
		stating,
		&programmed{client: c, namespace: o.Namespace, scribe: says, plans: p, gateways: gws, now: now},
		&agencies{client: c, gather: gather, signer: o.Keys, issuer: o.Keys, now: now},
		newSchemas(c, gather, now),
		newProfiles(c, gather, now),
		newTaskForces(c, gather, now),
		&datasets{client: c, gather: gather, now: now},
		&probes{client: c, gather: gather, catalogue: o.Catalogue, now: now},
	} {
		errs = append(errs, r.setUp(m))
	}
	for _, r := range []manager.Runnable{timers, gws, watchVault, manager.RunnableFunc(creds.sweep), manager.RunnableFunc(creds.read)} {
		errs = append(errs, m.Add(r))
	}
	if o.Exchange != nil {
		own := identity.Cached(o.Own)
		b := newBetween(m, o, gather, own)
		stating.fresh = b.deliveries.hurry
		errs = append(errs, b.contacts.setUp(m), b.deliveries.setUp(m), b.announcer.setUp(m), b.reconciliations.setUp(m), m.Add(b))
		server := exchange.New(exchange.Config{
			Own: own, Directory: &directory{gather, verify}, Issuer: o.Keys, Inbox: b.inbox, Receipts: b.reconciliations.logs,
			Report: b.report.report, Trace: o.Trace, Logger: o.Logger, Now: o.Now,
		})
		errs = append(errs, m.Add(everywhere(func(ctx context.Context) error { return server.Serve(ctx, o.Exchange) })))
	}
	errs = append(errs,
		m.AddHealthzCheck("ping", healthz.Ping),
		m.AddReadyzCheck("vault", func(*http.Request) error { return watchVault.away() }),
		registerMetrics(p, watchVault),
	)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("operator: %w", err)
	}
	return nil
}

// everywhere is a runnable that does not wait for leadership: every replica answers peers.
type everywhere func(context.Context) error

// Start implements manager.Runnable.
func (f everywhere) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (everywhere) NeedLeaderElection() bool { return false }
