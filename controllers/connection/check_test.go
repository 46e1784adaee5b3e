package connection_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/connection"
	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/controllers/local"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
)

var (
	police = route.Party{Agency: "police", TrustDomain: "police.test"}
	labor  = route.Party{Agency: "labor", TrustDomain: "labor.test"}
)

func open(t *testing.T, trustDomain string) *local.Store {
	t.Helper()
	s, err := local.Open(filepath.Join(t.TempDir(), "keys"), trustDomain)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func bundle(t *testing.T, s *local.Store) string {
	t.Helper()
	pem, err := s.TrustBundle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pem
}

// knows is a directory of one peer and one agreement.
type knows struct {
	bundle string // of the police; empty: they are strangers
	route  *route.Route
}

func (k knows) Peer(_ context.Context, trustDomain string) (agency, bundle string, ok bool) {
	return police.Agency, k.bundle, trustDomain == police.TrustDomain && k.bundle != ""
}

func (k knows) Route(_ context.Context, agreement string) (*route.Route, error) {
	if k.route == nil || k.route.Agreement != agreement {
		return nil, nil
	}
	return k.route, nil
}

// holds is a record that is read only.
type holds struct {
	exchange.Agreements
	list []v1alpha1.SharingAgreement
}

func (h holds) Maintenance(context.Context) (*v1alpha1.Maintenance, error) { return nil, nil }

func (h holds) With(_ context.Context, _, after string) ([]v1alpha1.SharingAgreement, error) {
	if after != "" {
		return nil, nil
	}
	return h.list, nil
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// world is the labor inspectorate's exchange and the door of its gateway, and what the police know of them.
type world struct {
	directory knows
	ahead     time.Duration // the labor inspectorate's clock
	byFile    bool
	config    connection.Config
}

func wages(t *testing.T) v1alpha1.SharingAgreement {
	t.Helper()
	a := v1alpha1.SharingAgreement{}
	a.Name = "wages.v1"
	a.Spec.Terms = v1alpha1.AgreementTerms{ID: "wages", Version: 1, Parties: []v1alpha1.Party{
		{Agency: police.Agency, TrustDomain: police.TrustDomain}, {Agency: labor.Agency, TrustDomain: labor.TrustDomain},
	}}
	digest, err := a.Spec.Terms.Digest()
	if err != nil {
		t.Fatal(err)
	}
	a.Status.Digest, a.Status.Signatures = digest, []v1alpha1.AgreementSignature{{Agency: labor.Agency, JWS: "."}}
	return a
}

// check runs a check in a world that the case has changed.
func check(t *testing.T, change func(w *world, ours, theirs *local.Store)) (steps []connection.Step, ok bool) {
	t.Helper()
	ours, theirs := open(t, police.TrustDomain), open(t, labor.TrustDomain)
	agreement, door, gate := wages(t), listen(t), listen(t)
	now := time.Now()
	w := &world{
		directory: knows{bundle: bundle(t, ours), route: &route.Route{Agreement: "wages", Self: labor, Versions: []route.Version{{
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
			Clauses: []route.Clause{{Source: route.Peer{Party: labor}, Recipients: []route.Recipient{{Party: police}}}},
		}}}},
		config: connection.Config{
			Self: police, Own: ours.OperatorIdentity(), Agreement: "wages", Digests: map[string]string{"wages.v1": agreement.Status.Digest}, Now: time.Now,
			Peer: route.Peer{Party: labor, Exchange: door.Addr().String(), Gateway: gate.Addr().String(), TrustBundle: bundle(t, theirs)},
		},
	}
	change(w, ours, theirs)
	server := exchange.Config{Own: theirs.OperatorIdentity(), Directory: w.directory, Issuer: theirs, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Now().Add(w.ahead) }}
	if !w.byFile {
		server.Inbox = &exchange.Inbox{Self: labor, Now: time.Now, Agreements: holds{list: []v1alpha1.SharingAgreement{agreement}}}
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- exchange.New(server).Serve(ctx, door) }()
	gateway := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.ServerConfig(theirs.GatewayIdentity(), labor.TrustDomain, func(id string) error {
		if _, _, ok := identity.ParseAgreementID(id, labor.TrustDomain); !ok {
			return errors.New("not an agreement credential")
		}
		return nil
	}))))
	go func() { _ = gateway.Serve(gate) }()
	ok = connection.Check(t.Context(), w.config, func(s connection.Step) { steps = append(steps, s) })
	stop()
	gateway.Stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return steps, ok
}

// TestCheck: nothing is wrong, and what is not there is not tried.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, ours, theirs *local.Store)
		not    []string // steps that are not tried
	}{
		"all":                     {func(*world, *local.Store, *local.Store) {}, nil},
		"no agreement in force":   {func(w *world, _, _ *local.Store) { w.config.Agreement = "" }, []string{"credential", "gateway"}},
		"agreements go by file":   {func(w *world, _, _ *local.Store) { w.byFile = true }, []string{"clock", "release", "agreements"}},
		"no agreement known here": {func(w *world, _, _ *local.Store) { w.config.Digests = nil }, []string{"agreements"}},
		"clocks differ a little":  {func(w *world, _, _ *local.Store) { w.ahead = exchange.MaxSkew / 2 }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			steps, ok := check(t, c.change)
			if !ok {
				t.Error("something failed")
			}
			not := map[string]bool{}
			for _, n := range c.not {
				not[n] = true
			}
			for _, s := range steps {
				want := connection.OK
				if not[s.Name] {
					want = connection.NotTried
				}
				if s.State != want || s.Found == "" {
					t.Errorf("%+v, want %s", s, want)
				}
			}
		})
	}
}

// TestCheckFails: each thing that goes wrong is found where it is, with its mend, and nothing after it is tried.
func TestCheckFails(t *testing.T) {
	for name, c := range map[string]struct {
		change            func(w *world, ours, theirs *local.Store)
		step, found, mend string
	}{
		"a name that nobody has": {func(w *world, _, _ *local.Store) { w.config.Peer.Exchange = "exchange.labor.invalid:9444" },
			"name", "exchange.labor.invalid", "still the name"},
		"no port": {func(w *world, _, _ *local.Store) { w.config.Peer.Exchange = "exchange.labor.test" }, "name", "not host:port", "import"},
		"nobody listens": {func(w *world, _, _ *local.Store) {
			l := listen(t)
			w.config.Peer.Exchange = l.Addr().String()
			l.Close()
		}, "connection", "refused", "firewall"},
		"another authority": {func(w *world, _, _ *local.Store) { w.config.Peer.TrustBundle = bundle(t, open(t, labor.TrustDomain)) },
			"identity", "not of an authority that is pinned here", "--fingerprints"},
		"another agency's exchange": {func(w *world, ours, _ *local.Store) {
			w.config.Peer.TrustDomain, w.config.Peer.TrustBundle = "border.test", bundle(t, open(t, "border.test"))
		}, "identity", "that of spiffe://labor.test/operator, not of spiffe://border.test/operator", "leads to the other agency"},
		"another process of the agency": {func(w *world, _, _ *local.Store) { w.config.Peer.Exchange = w.config.Peer.Gateway },
			"identity", "spiffe://labor.test/gateway, not spiffe://labor.test/operator", "where its endpoint"},
		"a bundle that is none": {func(w *world, _, _ *local.Store) { w.config.Peer.TrustBundle = "none" }, "identity", "trust bundle", "import"},
		"no TLS": {func(w *world, _, _ *local.Store) {
			l := listen(t)
			w.config.Peer.Exchange = l.Addr().String()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
					conn.Close()
				}
			}()
		}, "identity", "no TLS 1.3 handshake", "untouched"},
		"strangers": {func(w *world, _, _ *local.Store) { w.directory.bundle = "" },
			"identity", "refuses this agency's certificate", "have the other agency import what `entente agency export` prints here"},
		"our old authority is pinned there": {func(w *world, _, _ *local.Store) { w.directory.bundle = bundle(t, open(t, police.TrustDomain)) },
			"identity", "refuses this agency's certificate", "as it is now"},
		"as a gateway": {func(w *world, ours, _ *local.Store) { w.config.Own = ours.GatewayIdentity() }, "exchange", "PermissionDenied", "import"},
		"clocks":       {func(w *world, _, _ *local.Store) { w.ahead = exchange.MaxSkew + time.Minute }, "clock", "ahead; more than 5m0s", "NTP"},
		"a clock by which our certificate is not valid yet": {func(w *world, _, _ *local.Store) { w.ahead = -24 * time.Hour },
			"identity", "refuses this agency's certificate", "clocks"},
		"other terms": {func(w *world, _, _ *local.Store) { w.config.Digests["wages.v1"] = "sha256:other" },
			"agreements", "other terms under the name wages.v1", "agreement digest"},
		"not a party": {func(w *world, _, _ *local.Store) {
			w.directory.route.Versions[0].Clauses[0].Recipients[0].Agency = "border"
		},
			"credential", "PermissionDenied: no agreement of that id in force", "agreement wages"},
		"no gateway": {func(w *world, _, _ *local.Store) {
			l := listen(t)
			w.config.Peer.Gateway = l.Addr().String()
			l.Close()
		}, "gateway", "refused", "firewall"},
		"the exchange in its place": {func(w *world, _, _ *local.Store) { w.config.Peer.Gateway = w.config.Peer.Exchange },
			"gateway", "spiffe://labor.test/operator, not spiffe://labor.test/gateway", "where its endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			steps, ok := check(t, c.change)
			if ok {
				t.Error("went well")
			}
			failed := false
			for _, s := range steps {
				switch {
				case s.State == connection.Failed:
					failed = true
					if s.Name != c.step || !strings.Contains(s.Found, c.found) || !strings.Contains(s.Mend, c.mend) {
						t.Errorf("%+v\nwant %s: %q, mend %q", s, c.step, c.found, c.mend)
					}
				case failed && (s.State != connection.NotTried || s.Mend != ""):
					t.Errorf("after the first that failed: %+v", s)
				}
			}
			if !failed || len(steps) != 9 {
				t.Errorf("%+v", steps)
			}
		})
	}
}
