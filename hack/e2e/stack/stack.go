package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/hack/testenv"
)

// Options say what stack to start.
type Options struct {
	// Dir gets all files and stays after Stop. Empty: a temporary folder that Stop removes.
	Dir string
	// Entente is the binary that the operators, the gateways and the commands are run from.
	Entente string
	// People is the size of the population whose records the agencies hold; 0: 20,000.
	People int
	// Env of operators and gateways, beside what they need.
	Env []string
	// LogFormat of operators and gateways; "": text.
	LogFormat string
	// Log, if set, is told what has started and how long it took.
	Log io.Writer
}

// Stack is three agencies that run.
type Stack struct {
	Options
	Kube     *testenv.Kube
	Vault    *testenv.Vault
	Postgres *testenv.Postgres
	Agencies []*Agency
	// Client of the API server, as its admin.
	Client client.Client
	// Kubeconfig of the admin.
	Kubeconfig string

	root     string          // of the repository
	keep     context.Context // of what runs in the background
	stopKeep context.CancelFunc
	wait     sync.WaitGroup
	logMu    sync.Mutex
	mu       sync.Mutex
	releases []func() error // guarded by mu
	temp     bool
}

// Start brings the agencies up. Nothing is shared yet. When it fails, or when this process dies in whatever way, nothing stays up.
func Start(ctx context.Context, o Options) (_ *Stack, err error) {
	ctrllog.SetLogger(logr.Discard()) // errors say what there is to say
	s := &Stack{Options: o}
	if s.People == 0 {
		s.People = 20_000
	}
	s.keep, s.stopKeep = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	if err := s.prepare(); err != nil {
		return nil, err
	}
	// Found or built one after the other, so that two builds do not fight for the machine.
	if _, err := testenv.Tools(ctx); err != nil {
		return nil, err
	}
	err = inParallel(ctx,
		func(ctx context.Context) error { return s.startCluster(ctx) },
		func(ctx context.Context) error { return s.startVault(ctx) },
		func(ctx context.Context) error { return s.startPostgres(ctx) },
	)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := s.each(ctx, s.bootstrapVault); err != nil {
		return nil, err
	}
	s.told(began, "entente bootstrap vault, for three agencies")
	began = time.Now()
	if err := s.each(ctx, s.startProcesses); err != nil {
		return nil, err
	}
	s.told(began, "three operators and three gateways run")
	return s, nil
}

// prepare makes folders, addresses and what needs no server.
func (s *Stack) prepare() (err error) {
	if s.root, err = testenv.Root(); err != nil {
		return err
	}
	if s.Entente, err = filepath.Abs(s.Entente); err != nil {
		return err
	}
	if _, err := os.Stat(s.Entente); err != nil {
		return fmt.Errorf("the entente binary (make build): %w", err)
	}
	if s.Dir == "" {
		s.Dir, err = os.MkdirTemp("", "entente-stack-")
		s.temp = true
	} else if s.Dir, err = filepath.Abs(s.Dir); err == nil {
		err = os.MkdirAll(s.Dir, 0o755)
	}
	if err != nil {
		return err
	}
	s.Kubeconfig = filepath.Join(s.Dir, "kubeconfig")
	s.Agencies = cast(s)
	for _, a := range s.Agencies {
		for _, dir := range []string{"resources", "gateway-state"} {
			if err := os.MkdirAll(a.File(dir), 0o755); err != nil {
				return err
			}
		}
		if err := s.takeAddresses(a); err != nil {
			return err
		}
		if a.Line, err = testenv.NewProxy(a.Addresses.Exchange); err != nil {
			return err
		}
		s.releases = append(s.releases, a.Line.Stop)
		if a.Service, err = testenv.NewService(a.Addresses.Peer); err != nil {
			return err
		}
		s.releases = append(s.releases, a.Service.Stop)
		if a.users, err = testenv.NewUsers(a.File("users-ca.pem")); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stack) takeAddresses(a *Agency) error {
	to := &a.Addresses
	for _, p := range []*string{&to.REST, &to.GRPC, &to.Peer, &to.Health, &to.Exchange, &to.OperatorMetrics, &to.OperatorHealth} {
		address, release, err := testenv.ReserveAddress()
		if err != nil {
			return err
		}
		*p = address
		s.releases = append(s.releases, release)
	}
	return nil
}

func clientScheme() *runtime.Scheme {
	sch := runtime.NewScheme()
	utilruntime.Must(scheme.AddToScheme(sch))
	utilruntime.Must(v1alpha1.AddToScheme(sch))
	return sch
}

// Agency by its name.
func (s *Stack) Agency(name string) *Agency {
	for _, a := range s.Agencies {
		if a.Name == name {
			return a
		}
	}
	panic("stack: no agency " + name)
}

// Stop ends everything that runs. It may be called more than once.
func (s *Stack) Stop() error {
	s.stopKeep()
	var errs []error
	var wait sync.WaitGroup
	var mu sync.Mutex
	stop := func(f func() error) {
		wait.Go(func() {
			err := f()
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	for _, a := range s.Agencies {
		for _, p := range []*testenv.Program{a.Operator, a.Gateway} {
			if p != nil {
				stop(func() error { return p.Stop(5 * time.Second) })
			}
		}
		if a.Analyst != nil {
			a.Analyst.Close()
		}
	}
	wait.Wait()
	s.wait.Wait()
	if s.Kube != nil {
		stop(s.Kube.Stop)
	}
	if s.Vault != nil {
		stop(s.Vault.Stop)
	}
	if s.Postgres != nil {
		stop(s.Postgres.Stop)
	}
	wait.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, release := range s.releases {
		errs = append(errs, release())
	}
	s.releases = nil
	if s.temp {
		errs = append(errs, os.RemoveAll(s.Dir))
	}
	return errors.Join(errs...)
}

// told tells Log how long something took.
func (s *Stack) told(began time.Time, format string, args ...any) {
	if s.Log == nil {
		return
	}
	s.logMu.Lock()
	defer s.logMu.Unlock()
	fmt.Fprintf(s.Log, "%s (%.1f s)\n", fmt.Sprintf(format, args...), time.Since(began).Seconds())
}

// each does something for every agency at once.
func (s *Stack) each(ctx context.Context, do func(context.Context, *Agency) error) error {
	var work []func(context.Context) error
	for _, a := range s.Agencies {
		work = append(work, func(ctx context.Context) error {
			if err := do(ctx, a); err != nil {
				return fmt.Errorf("%s: %w", a.Name, err)
			}
			return nil
		})
	}
	return inParallel(ctx, work...)
}

// inParallel runs all, waits for all, and joins their errors. The first error cancels the others.
func inParallel(ctx context.Context, work ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(work))
	var wait sync.WaitGroup
	for i, f := range work {
		wait.Go(func() {
			if errs[i] = f(ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}
