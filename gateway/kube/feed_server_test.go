package kube_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/kube"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/hack/testenv"
)

const namespace = "state-police"

var self = route.Party{Agency: "state-police", TrustDomain: "police.state.example"}

// scene is a feed on a real API server, and an operator's key.
type scene struct {
	client.Client
	kube  *testenv.Kube
	state string
	key   ed25519.PrivateKey
	// known: the holder of the keys gives the key; rotated: and another, which is the same under a second name.
	known, rotated atomic.Bool
}

func newScene(t *testing.T) *scene {
	t.Helper()
	k := testenv.RequireKube(t, testenv.KubeOptions{CRDDirs: []string{filepath.Join("..", "..", "config", "crd")}})
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	c, err := client.New(k.Config(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.EnsureNamespace(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	s := &scene{Client: c, kube: k, state: t.TempDir()}
	if _, s.key, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	s.known.Store(true)
	return s
}

func (s *scene) keys(context.Context) (map[string]ed25519.PublicKey, error) {
	if !s.known.Load() {
		return nil, errors.New("the holder of the keys is away")
	}
	keys := map[string]ed25519.PublicKey{"k1": s.key.Public().(ed25519.PublicKey)}
	if s.rotated.Load() {
		keys["k2"] = keys["k1"]
	}
	return keys, nil
}

// run starts a gateway's feed on the scene's volume; stop ends it.
func (s *scene) run(t *testing.T, maxStale time.Duration) (table *route.Table, feed *kube.Feed, stop func()) {
	t.Helper()
	table = route.NewTable(self)
	feed, err := kube.New(kube.Config{
		REST: s.kube.Config(), Namespace: namespace, Replica: "gateway-0", StateDir: s.state, Table: table, Keys: s.keys,
		MaxStale: maxStale, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); feed.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return table, feed, stop
}

// signed is a route of the agreement as the operator writes it.
func (s *scene) signed(t *testing.T, agreement string, sequence int64, change func(*route.Route)) v1alpha1.GatewayRouteSpec {
	t.Helper()
	r := &route.Route{Format: route.Format, Agreement: agreement, Sequence: sequence, Self: self}
	if change != nil {
		change(r)
	}
	payload, err := route.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	g := v1alpha1.GatewayRouteSpec{State: "Active", Sequence: sequence, Payload: payload, KeyID: "k1", Signature: ed25519.Sign(s.key, route.SigningInput(payload))}
	if r.Tombstone != nil {
		g.State = "Tombstone"
	}
	return g
}

// put creates or replaces a route, also by one that is older: as somebody would who may write them.
func (s *scene) put(t *testing.T, name string, spec v1alpha1.GatewayRouteSpec) *v1alpha1.GatewayRoute {
	t.Helper()
	g := &v1alpha1.GatewayRoute{}
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, g); err == nil {
		if spec.Sequence >= g.Spec.Sequence {
			g.Spec = spec
			if err := s.Update(t.Context(), g); err != nil {
				t.Fatal(err)
			}
			return g
		}
		if err := s.Delete(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	g = &v1alpha1.GatewayRoute{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: spec}
	if err := s.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	return g
}

func until(t *testing.T, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !check(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}

func serves(table *route.Table, agreement string, sequence int64) func() bool {
	return func() bool {
		r := table.Get(agreement)
		return r != nil && r.Sequence == sequence
	}
}

// report is what the Lease says.
func (s *scene) report(t *testing.T) kube.Report {
	t.Helper()
	l := &coordinationv1.Lease{}
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: kube.LeaseName("gateway-0")}, l); err != nil {
		return kube.Report{}
	}
	r, err := kube.ReadReport(l, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *scene) rejects(t *testing.T, name, says string) {
	t.Helper()
	until(t, name+" is rejected: "+says, func() bool { return strings.Contains(s.report(t).Rejected[name], says) })
}

// What the operator signed is served and reported; what it did not sign, or what is older, is neither.
func TestFeed(t *testing.T) {
	s := newScene(t)
	table, feed, stop := s.run(t, 0)
	g := s.put(t, "anvil", s.signed(t, "anvil", 5, nil))
	until(t, "served", serves(table, "anvil", 5))
	until(t, "reported", func() bool {
		r := s.report(t)
		return r.Alive && r.Replica == "gateway-0" && r.ResourceVersion == g.ResourceVersion
	})
	if err := feed.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}

	// Somebody alters it, signs with another key, gives it another name or another agency's.
	altered := s.signed(t, "anvil", 6, nil)
	altered.Payload = []byte(strings.Replace(string(altered.Payload), `"sequence":6`, `"sequence":7`, 1))
	s.put(t, "anvil", altered)
	s.rejects(t, "anvil", "signature")
	other := s.signed(t, "anvil", 6, nil)
	other.KeyID = "k2"
	s.put(t, "anvil", other)
	s.rejects(t, "anvil", "key")
	s.put(t, "borrowed", s.signed(t, "anvil", 6, nil))
	s.rejects(t, "borrowed", "agreement")
	s.put(t, "theirs", s.signed(t, "theirs", 1, func(r *route.Route) { r.Self.Agency = "border-service" }))
	s.rejects(t, "theirs", "border-service")
	if !serves(table, "anvil", 5)() || table.Get("borrowed") != nil || table.Get("theirs") != nil {
		t.Error("something else is served than what the operator signed")
	}

	// An older one comes back; also after a restart.
	s.put(t, "anvil", s.signed(t, "anvil", 8, nil))
	until(t, "the newer one is served", serves(table, "anvil", 8))
	until(t, "and reported", func() bool { return len(s.report(t).Rejected) == 2 })
	s.put(t, "anvil", s.signed(t, "anvil", 7, nil))
	s.rejects(t, "anvil", "older")
	stop()
	table, _, stop = s.run(t, 0)
	s.rejects(t, "anvil", "older")
	if table.Get("anvil") != nil {
		t.Error("after a restart an older route is served")
	}
	s.put(t, "anvil", s.signed(t, "anvil", 9, nil))
	until(t, "the newest is served", serves(table, "anvil", 9))

	// A tombstone that nobody signed ends it all the same; a signed one follows.
	unsigned := v1alpha1.GatewayRouteSpec{State: "Tombstone", Sequence: 9, Payload: []byte("{}"), KeyID: "unsigned", Signature: []byte("unsigned")}
	s.put(t, "anvil", unsigned)
	until(t, "not served", func() bool { return table.Get("anvil") == nil })
	s.put(t, "anvil", s.signed(t, "anvil", 10, func(r *route.Route) {
		r.Tombstone = &route.Tombstone{Reason: v1alpha1.ReasonSuspended, At: time.Now().UTC()}
	}))
	until(t, "the tombstone", serves(table, "anvil", 10))
	stop()
}

// A route whose key is not known yet waits for it, unless another came after it: that one counts, also when it is refused.
func TestRouteWaitsForItsKey(t *testing.T) {
	s := newScene(t)
	table, _, stop := s.run(t, 0)
	defer stop()
	waits := func(name string, sequence int64) {
		g := s.signed(t, name, sequence, nil)
		g.KeyID = "k2"
		s.put(t, name, g)
		s.rejects(t, name, "key")
	}
	waits("anvil", 5)
	waits("bellows", 1)
	altered := s.signed(t, "anvil", 6, nil)
	altered.Payload = []byte(strings.Replace(string(altered.Payload), `"sequence":6`, `"sequence":7`, 1))
	s.put(t, "anvil", altered)
	s.rejects(t, "anvil", "signature")
	s.rotated.Store(true)
	g := s.signed(t, "crucible", 1, nil)
	g.KeyID = "k2"
	s.put(t, "crucible", g)
	until(t, "crucible is served", serves(table, "crucible", 1))
	until(t, "bellows is served", serves(table, "bellows", 1))
	if table.Get("anvil") != nil {
		t.Error("a route is served although another came after it")
	}
}

// The volume remembers the keys: a gateway that restarts while their holder is away serves.
func TestKeysAreRemembered(t *testing.T) {
	s := newScene(t)
	s.put(t, "anvil", s.signed(t, "anvil", 1, nil))
	table, _, stop := s.run(t, 0)
	until(t, "served", serves(table, "anvil", 1))
	stop()
	s.known.Store(false)
	table, _, stop = s.run(t, 0)
	until(t, "served without the holder of the keys", serves(table, "anvil", 1))
	stop()
}

// Without the API server the last routes are served, until maxStale; they return with it.
func TestStale(t *testing.T) {
	s := newScene(t)
	s.put(t, "anvil", s.signed(t, "anvil", 1, nil))
	const maxStale = 15 * time.Second // a busy machine may take some of it until the API server is away
	table, feed, _ := s.run(t, maxStale)
	until(t, "served", serves(table, "anvil", 1))
	if err := s.kube.Down(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	if !serves(table, "anvil", 1)() {
		t.Error("not served as soon as the API server is away")
	}
	until(t, "withheld", func() bool { return table.Get("anvil") == nil })
	if feed.Ready() == nil {
		t.Error("ready without routes")
	}
	if err := s.kube.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "served again", serves(table, "anvil", 1))
}
