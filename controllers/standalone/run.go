package standalone

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/controllers/local"
	"github.com/entente-dev/entente/gateway"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/quota"
	"github.com/entente-dev/entente/gateway/receipt"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/consent"
	"github.com/entente-dev/entente/gateway/source/httpclient"
	"github.com/entente-dev/entente/gateway/source/httpjson"
	"github.com/entente-dev/entente/gateway/source/sqlite"
	"github.com/entente-dev/entente/gateway/source/trino"
	"github.com/entente-dev/entente/gateway/tracing"
	"github.com/entente-dev/entente/gateway/witness"
)

// Run runs an agency from a folder until ctx ends: the gateway, the exchange, and what a cluster's operator would do.
func Run(ctx context.Context, o Options) error {
	if err := o.setDefaults(); err != nil {
		return err
	}
	i, err := open(o)
	if err != nil {
		return err
	}
	defer i.lock.Close()
	return i.run(ctx)
}

// installation is an agency that runs.
type installation struct {
	Options
	self      *v1alpha1.Agency
	stateDir  string
	lock      *os.File
	keys      *local.Store
	table     *route.Table
	directory *directory
	engine    *engine
	trace     *tracing.Tracer
}

func open(o Options) (*installation, error) {
	var err error
	if o.ConfigDir, err = filepath.Abs(o.ConfigDir); err != nil {
		return nil, err
	}
	i := &installation{Options: o}
	if i.stateDir, err = o.prepareState(); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if i.lock, err = lock(filepath.Join(i.stateDir, "lock")); err != nil {
		return nil, err
	}
	if err := i.load(); err != nil {
		i.lock.Close()
		return nil, err
	}
	return i, nil
}

// load reads the folder and the state.
func (i *installation) load() (err error) {
	if i.self, i.keys, err = i.open(); err != nil {
		return err
	}
	i.setAddresses(i.self.Spec.Endpoints)
	s, err := openState(i.stateDir)
	if err != nil {
		return err
	}
	i.table = route.NewTable(route.Party{Agency: i.self.Name, TrustDomain: i.self.Spec.TrustDomain})
	i.directory = &directory{table: i.table}
	i.engine = newEngine(i.ConfigDir, s, i.self.Name, i.keys, i.Logger)
	i.engine.serve, i.engine.gathered = i.table.Put, i.directory.follow
	return nil
}

func (i *installation) run(ctx context.Context) (err error) {
	if i.trace, err = tracing.FromEnvironment(ctx, tracing.Service{Name: "entente-standalone", Agency: i.self.Name}, i.Logger); err != nil {
		return err
	}
	defer func() {
		if lost := i.trace.Close(); lost != nil {
			i.Logger.Warn("spans are lost", "error", lost)
		}
	}()
	// Before the first listener is bound, the routes are as the folder says.
	if _, err := i.engine.step(ctx); err != nil {
		return err
	}
	log, err := audit.Open(filepath.Join(i.stateDir, "gateway", "log"), audit.Options{
		Origin: i.self.Spec.TrustDomain + "/gateway",
		Notice: func(err error) { i.Logger.Warn("audit log", "error", err) },
	})
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	quotas, err := quota.OpenEmbedded(filepath.Join(i.stateDir, "gateway", quota.File))
	if err != nil {
		return errors.Join(err, log.Close())
	}
	var cosigner *witness.Witness
	if i.Witness.LogsFile != "" {
		i.Witness.Logger = i.Logger
		if cosigner, err = witness.Open(filepath.Join(i.stateDir, "gateway", "witness"), i.Witness); err != nil {
			return errors.Join(err, log.Close(), quotas.Close())
		}
	}
	exchangeListener, err := net.Listen("tcp", i.Exchange)
	if err != nil {
		return errors.Join(fmt.Errorf("exchange listener: %w", err), log.Close(), quotas.Close(), cosigner.Close())
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts := []func() error{
		func() error { return gateway.Run(ctx, i.gateway(log, quotas, cosigner, exchangeListener.Addr())) },
		func() error {
			return exchange.New(exchange.Config{
				Own: i.keys.OperatorIdentity(), Directory: i.directory, Issuer: i.keys, Receipts: receipt.Log{Read: log.ReadSince}, Trace: i.trace, Logger: i.Logger,
			}).Serve(ctx, exchangeListener)
		},
		func() error { i.follow(ctx); return nil },
	}
	ended := make(chan error, len(parts))
	for _, part := range parts {
		go func() { ended <- part() }()
	}
	var errs []error
	for range parts {
		errs = append(errs, <-ended)
		cancel() // one that ends takes the others along
	}
	return errors.Join(errs...)
}

func (i *installation) gateway(log *audit.Log, quotas *quota.Store, cosigner *witness.Witness, exchangeAddr net.Addr) gateway.Config {
	services := httpclient.NewPool(httpclient.Options{Secrets: func(_ context.Context, dataset string) (httpclient.Secret, error) {
		return httpclient.ReadSecret(filepath.Join(i.ConfigDir, "secrets", dataset))
	}})
	users := x509.NewCertPool()
	users.AppendCertsFromPEM([]byte(i.keys.UsersBundle()))
	return gateway.Config{
		Table: i.table, Log: log, Quotas: quotas,
		Sources: consent.Over(source.Mux{
			SQLite: sqlite.New(sqlite.Options{BaseDir: i.ConfigDir}),
			HTTP:   httpjson.New(services),
			Trino:  trino.New(trino.Options{Pool: services}),
		}, services, nil),
		Own:       i.keys.GatewayIdentity(i.names()...),
		StateDir:  filepath.Join(i.stateDir, "gateway"),
		Listen:    i.Listen,
		ClientCAs: users, SourceExplainGroups: i.SourceExplainGroups, LogRetention: i.LogRetention, Transparency: i.Transparency, Witness: cosigner,
		Trace: i.trace, Logger: i.Logger,
		Ready: func(bound gateway.Addrs) {
			if i.Ready != nil {
				i.Ready(Bound{Agency: i.self.Name, Gateway: bound, Exchange: exchangeAddr.String()})
			}
		},
	}
}

const (
	// retry is when a step that failed is done again; longest is the longest sleep, after which a clock that was set or a
	// machine that slept has been noticed.
	retry   = time.Second
	longest = time.Minute
)

// follow does a step whenever the folder changes or time does something.
func (i *installation) follow(ctx context.Context) {
	changed := watch(ctx, i.ConfigDir, i.Logger)
	for {
		next := i.step(ctx) // at first for what changed before the watch began
		wait := longest
		if !next.IsZero() {
			wait = max(0, min(longest, time.Until(next)))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// step does one step; one that fails in part is done again soon.
func (i *installation) step(ctx context.Context) time.Time {
	next, err := i.engine.step(ctx)
	if err != nil && ctx.Err() == nil {
		i.Logger.Error("not everything could be done; trying again", "error", err)
		return time.Now().Add(retry)
	}
	return next
}
