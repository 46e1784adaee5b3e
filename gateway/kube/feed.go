package kube

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/route"
)

// Config says where routes come from.
type Config struct {
	// REST reaches the API server.
	REST      *rest.Config
	Namespace string
	// Replica names this gateway's Lease: the name of its pod.
	Replica string
	// StateDir is on the gateway's volume.
	StateDir string
	Table    *route.Table
	// Keys gives the public keys that verify routes, from their holder: not from the API server.
	Keys func(context.Context) (map[string]ed25519.PublicKey, error)
	// MaxStale is how long the gateway serves routes without having heard of the API server; 0: DefaultMaxStale.
	MaxStale time.Duration
	Logger   *slog.Logger
}

// DefaultMaxStale is long enough for an upgrade of a control plane. A revocation that a gateway cannot hear of acts after
// that time at the latest.
const DefaultMaxStale = 5 * time.Minute

// Feed keeps a table at what the API server says.
type Feed struct {
	Config
	memory *memory
	leases rest.Interface
	routes rest.Interface
	report *report
	// heard is when the API server last said something about routes, as Unix nanoseconds; 0: never.
	heard atomic.Int64

	mu sync.Mutex
	// waiting routes were signed with a key that was not known yet; guarded by mu.
	waiting map[string]*v1alpha1.GatewayRoute
	// names of the routes that were taken in, so that a replaced list removes the others; guarded by mu.
	names map[string]bool
}

// New prepares a feed.
func New(c Config) (*Feed, error) {
	if c.MaxStale <= 0 {
		c.MaxStale = DefaultMaxStale
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	m, err := openMemory(c.StateDir)
	if err != nil {
		return nil, err
	}
	leases, err := clientFor(c.REST, coordinationv1.SchemeGroupVersion, coordinationv1.AddToScheme)
	if err != nil {
		return nil, err
	}
	routes, err := clientFor(c.REST, v1alpha1.GroupVersion, v1alpha1.AddToScheme)
	if err != nil {
		return nil, err
	}
	return &Feed{
		Config: c, memory: m, leases: leases, routes: routes, report: newReport(),
		waiting: map[string]*v1alpha1.GatewayRoute{}, names: map[string]bool{},
	}, nil
}

// clientFor knows one API group: client-go's clientset brings the types of all of Kubernetes along.
func clientFor(c *rest.Config, group schema.GroupVersion, add func(*runtime.Scheme) error) (rest.Interface, error) {
	scheme := runtime.NewScheme()
	utilruntime.Must(add(scheme))
	c = rest.CopyConfig(c)
	c.GroupVersion = &group
	c.APIPath = "/apis"
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c.ContentType = runtime.ContentTypeJSON
	return rest.RESTClientFor(c)
}

// Ready says why the gateway does not serve routes yet, or nil.
func (f *Feed) Ready() error {
	switch heard := f.heard.Load(); {
	case heard == 0:
		return errors.New("no routes yet: waiting for the API server")
	case time.Since(time.Unix(0, heard)) > f.MaxStale:
		return fmt.Errorf("nothing heard of the API server for more than %v: no route is served", f.MaxStale)
	case len(f.memory.routeKeys()) == 0:
		return errors.New("no key to verify routes with: waiting for Vault")
	}
	return nil
}

// Heard is when the API server last said something about routes; zero: never.
func (f *Feed) Heard() time.Time {
	if n := f.heard.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// Run feeds the table until ctx ends.
func (f *Feed) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, run := range []func(context.Context){f.watch, f.keepLease, f.keepKeys, f.watchStaleness} {
		wg.Go(func() { run(ctx) })
	}
	wg.Wait()
}

func (f *Feed) watch(ctx context.Context) {
	lw := cache.NewListWatchFromClient(f.routes, "gatewayroutes", f.Namespace, fields.Everything())
	r := cache.NewReflectorWithOptions(lw, &v1alpha1.GatewayRoute{}, (*store)(f), cache.ReflectorOptions{
		Name: "gatewayroutes",
		// Up to a second and a half, instead of a minute: an API server that is back may have a revocation to tell.
		Backoff: &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 1.5, Jitter: 0.5, Cap: time.Second, Steps: 100},
	})
	r.RunWithContext(ctx)
}

// keyInterval is how often the keys are asked for again. A key that a route needs is asked for at once.
const keyInterval = time.Minute

func (f *Feed) keepKeys(ctx context.Context) {
	for {
		wait := keyInterval
		if err := f.refreshKeys(ctx); err != nil {
			f.Logger.Warn("the keys that verify routes cannot be had; the ones on the volume go on", "error", err)
			wait = 2 * time.Second
		}
		select {
		case <-ctx.Done():
			return
		case <-f.report.needKeys:
			// A moment, so that a route with a key that nobody has does not make a storm.
			if sleep(ctx, 200*time.Millisecond) != nil {
				return
			}
		case <-time.After(wait):
		}
	}
}

func (f *Feed) refreshKeys(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	keys, err := f.Keys(ctx)
	if err != nil {
		return err
	}
	if err := f.memory.setKeys(keys); err != nil {
		f.Logger.Error("the route keys cannot be kept on the volume", "error", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, g := range f.waiting {
		if _, ok := keys[g.Spec.KeyID]; ok {
			delete(f.waiting, name)
			f.take(g)
		}
	}
	return nil
}

// watchStaleness withholds every route when nothing was heard for MaxStale.
func (f *Feed) watchStaleness(ctx context.Context) {
	every := min(f.MaxStale/10, time.Second)
	for sleep(ctx, every) == nil {
		if heard := f.heard.Load(); heard != 0 && time.Since(time.Unix(0, heard)) > f.MaxStale {
			f.Table.Withhold()
		}
	}
}

// hear notes that the API server spoke.
func (f *Feed) hear() {
	f.heard.Store(time.Now().UnixNano())
	f.Table.Restore()
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// stateTombstone is spec.state of a route that ends an agreement.
const stateTombstone = "Tombstone"

// take verifies a route and serves it, or says why not. It is called with mu held.
func (f *Feed) take(g *v1alpha1.GatewayRoute) {
	f.names[g.Name] = true
	delete(f.waiting, g.Name) // whatever becomes of this one, the one before is not served any more
	if err := f.serve(g); err != nil {
		if errors.Is(err, route.ErrUnknownKey) {
			f.waiting[g.Name] = g
			f.report.wantKeys()
		}
		if g.Spec.State == stateTombstone {
			// An operator that cannot sign, because Vault is away, still ends what must end. Whoever can write this could as
			// well remove the route.
			f.Table.Remove(g.Name)
		}
		f.Logger.Error("route refused", "route", g.Name, "error", err)
		f.report.reject(g.Name, err)
		return
	}
	f.report.accept(g.Name)
}

// serve puts a route that is signed, of this agreement, and not older than one that was served, into the table.
func (f *Feed) serve(g *v1alpha1.GatewayRoute) error {
	r, err := route.Verify(route.Signed{Payload: g.Spec.Payload, KeyID: g.Spec.KeyID, Signature: g.Spec.Signature}, f.memory.routeKeys())
	if err != nil {
		return err
	}
	if r.Agreement != g.Name {
		return fmt.Errorf("the payload is the route of agreement %q", r.Agreement)
	}
	if err := f.memory.admit(r.Agreement, r.Sequence); err != nil {
		return err
	}
	if err := f.Table.Put(r); err != nil {
		return err
	}
	f.memory.note(r.Agreement, r.Sequence)
	return nil
}

// store is how the reflector hands over what it hears. Only sequences are kept of it, not the objects.
type store Feed

var (
	_ cache.ReflectorStore         = (*store)(nil)
	_ cache.ReflectorBookmarkStore = (*store)(nil)
	_ cache.TransformingStore      = (*store)(nil)
)

func (s *store) feed() *Feed { return (*Feed)(s) }

// Add takes in a route.
func (s *store) Add(o any) error { return s.Update(o) }

// Update takes in a route that changed.
func (s *store) Update(o any) error {
	f := s.feed()
	g, ok := o.(*v1alpha1.GatewayRoute)
	if !ok {
		return fmt.Errorf("not a GatewayRoute: %T", o)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take(g)
	f.settle(g.ResourceVersion)
	return nil
}

// Delete ends the serving of a route.
func (s *store) Delete(o any) error {
	f := s.feed()
	m, err := meta.Accessor(o)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(m.GetName())
	f.settle(m.GetResourceVersion())
	return nil
}

// Transformer takes in each route of a list as it comes, and leaves its name: the reflector gathers the list before it hands it over,
// and ten thousand signed routes at once are many times what a table of them takes.
func (s *store) Transformer() cache.TransformFunc {
	f := s.feed()
	return func(o any) (any, error) {
		g, ok := o.(*v1alpha1.GatewayRoute)
		if !ok {
			return o, nil
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.take(g)
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: g.Namespace, Name: g.Name, ResourceVersion: g.ResourceVersion}}, nil
	}
}

// Replace takes in a whole list. What is in it by name only was taken in before, and what was and is not in the list is gone since.
func (s *store) Replace(list []any, resourceVersion string) error {
	f := s.feed()
	f.mu.Lock()
	defer f.mu.Unlock()
	left := map[string]bool{}
	for name := range f.names {
		left[name] = true
	}
	for _, o := range list {
		switch g := o.(type) {
		case *v1alpha1.GatewayRoute:
			f.take(g)
			delete(left, g.Name)
		case *metav1.PartialObjectMetadata:
			delete(left, g.Name)
		default:
			return fmt.Errorf("not a GatewayRoute: %T", o)
		}
	}
	for name := range left {
		f.drop(name)
	}
	f.settle(resourceVersion)
	return nil
}

// Resync has nothing to do.
func (s *store) Resync() error { return nil }

// Bookmark says that nothing else happened up to a resource version.
func (s *store) Bookmark(resourceVersion string) error {
	f := s.feed()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settle(resourceVersion)
	return nil
}

func (f *Feed) drop(name string) {
	delete(f.names, name)
	delete(f.waiting, name)
	f.Table.Remove(name)
	f.report.accept(name)
}

// settle reports what is served. It is called with mu held, after the table has it all.
func (f *Feed) settle(resourceVersion string) {
	f.hear()
	f.report.serves(resourceVersion)
}
