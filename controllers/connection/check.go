// Package connection finds out whether another agency is reached, step by step, and says how to mend the first thing that fails.
package connection

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exchangev1 "github.com/entente-dev/entente/api/exchange/v1"
	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/peer"
	"github.com/entente-dev/entente/gateway/route"
)

// State is what became of a step.
type State string

// The states of a step.
const (
	OK       State = "ok"
	Failed   State = "FAILED"
	NotTried State = "not tried"
)

// Step is one thing that was looked at.
type Step struct {
	Name  string
	State State
	// Found says what was seen, or why it was not looked at. Mend is for a step that failed: what to do about it. Text of the other agency's may
	// be in both, as it came.
	Found, Mend string
}

// Config is what a check is about.
type Config struct {
	// Self is this agency, with an identity of its operator.
	Self route.Party
	Own  identity.Own
	// Peer as its Agency here pins it.
	Peer route.Peer
	// Digests of the terms of this agency's agreements with the peer, by name: <id>.v<version>.
	Digests map[string]string
	// Agreement in force by which this agency is a recipient of the peer's; empty: none is.
	Agreement string
	Now       func() time.Time
}

// timeout bounds one step.
const timeout = 10 * time.Second

// fault is why a step failed, and its mend.
type fault struct{ what, mend string }

func (f *fault) Error() string { return f.what }

// errNothing says that a step has nothing to look at.
type errNothing string

func (e errNothing) Error() string { return string(e) }

// walk is a check under way.
type walk struct {
	Config
	skew       *exchange.Skew
	shown      shown
	credential *tls.Certificate
}

// shown is what the peer's list of agreements came to: however long it is, no more is kept of it.
type shown struct {
	versions, same int
	// other is the name of the first with other terms than ours; empty: there is none.
	other string
	// unknown: one had members that this release does not know.
	unknown bool
}

func (s *shown) add(a *exchangev1.Agreement, digests map[string]string) {
	s.versions++
	s.unknown = s.unknown || len(a.ProtoReflect().GetUnknown()) > 0
	switch digest, ok := digests[a.GetName()]; {
	case ok && digest == a.GetDigest():
		s.same++
	case ok && s.other == "":
		s.other = a.GetName()
	}
}

// Check walks the steps in order, tells each, and says whether all that were tried went well. After the first that fails none is tried.
func Check(ctx context.Context, c Config, tell func(Step)) bool {
	w := &walk{Config: c}
	failed := false
	for _, s := range []struct {
		name string
		try  func(context.Context) (found string, err error)
	}{
		{"name", w.resolve},
		{"connection", w.connect},
		{"identity", w.identify},
		{"exchange", w.list},
		{"clock", w.clock},
		{"release", w.release},
		{"agreements", w.compare},
		{"credential", w.issue},
		{"gateway", w.gateway},
	} {
		if failed {
			tell(Step{Name: s.name, State: NotTried})
			continue
		}
		stepCtx, cancel := context.WithTimeout(ctx, timeout)
		found, err := s.try(stepCtx)
		cancel()
		var nothing errNothing
		var f *fault
		switch {
		case err == nil:
			tell(Step{Name: s.name, State: OK, Found: found})
		case errors.As(err, &nothing):
			tell(Step{Name: s.name, State: NotTried, Found: string(nothing)})
		default:
			failed = true
			step := Step{Name: s.name, State: Failed, Found: err.Error()}
			if errors.As(err, &f) {
				step.Found, step.Mend = f.what, f.mend
			}
			tell(step)
		}
	}
	return !failed
}

func (w *walk) resolve(ctx context.Context) (string, error) { return resolve(ctx, w.Peer.Exchange) }

func resolve(ctx context.Context, endpoint string) (string, error) {
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		return "", &fault{fmt.Sprintf("%q is not host:port", endpoint), "import the Agency that the other agency prints now"}
	}
	if net.ParseIP(host) != nil {
		return host + " is an address", nil
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", &fault{err.Error(), "ask the other agency whether " + host + " is still the name of its endpoint, and your network's people whether this host may resolve it"}
	}
	return host + " is " + strings.Join(addresses, ", "), nil
}

func (w *walk) connect(ctx context.Context) (string, error) { return connect(ctx, w.Peer.Exchange) }

func connect(ctx context.Context, endpoint string) (string, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", endpoint)
	if err != nil {
		return "", &fault{err.Error(), "let this host out to " + endpoint + " (firewall, NetworkPolicy), and have the other agency see that it listens there"}
	}
	return "to " + conn.RemoteAddr().String(), conn.Close()
}

func (w *walk) identify(ctx context.Context) (string, error) {
	return handshake{
		endpoint: w.Peer.Exchange, domain: w.Peer.TrustDomain, bundle: w.Peer.TrustBundle, want: identity.OperatorID(w.Peer.TrustDomain),
		certificate: w.Own.Certificate, now: w.Now,
		stranger: "have the other agency import what `entente agency export` prints here, as it is now, and compare both hosts' clocks: by one that is behind, this agency's certificate is not valid yet",
	}.try(ctx)
}

func (w *walk) list(ctx context.Context) (string, error) {
	pool := exchange.NewPool(w.Own)
	defer pool.Close()
	to := exchange.Peer{Party: w.Peer.Party, Endpoint: w.Peer.Exchange, Bundle: w.Peer.TrustBundle}
	listed, err := pool.List(ctx, to, w.Now, func(a *exchangev1.Agreement) { w.shown.add(a, w.Digests) })
	w.skew = listed.Skew
	switch code := status.Code(err); {
	case err == nil:
		said := fmt.Sprintf("answers; shows %d versions of agreements", w.shown.versions)
		if m := listed.Maintenance; m != nil {
			said += fmt.Sprintf("; announces maintenance until %s: %s", m.Until.UTC().Format(time.RFC3339), m.Reason)
		}
		return said, nil
	case code == codes.Unimplemented:
		return "answers; agreements and decisions travel by file", nil
	case code == codes.PermissionDenied, code == codes.Unauthenticated:
		return "", answered(err, "have the other agency import what `entente agency export` prints here, as it is now")
	case exchange.ReasonOf(err) == exchange.RateLimited:
		return "", answered(err, "wait a minute and check again: this agency's operator may be asking much")
	default:
		return "", answered(err, "have the other agency look at its operator's log at this time")
	}
}

func answered(err error, mend string) error {
	s := status.Convert(err)
	return &fault{fmt.Sprintf("%s: %s", s.Code(), s.Message()), mend}
}

func (w *walk) clock(context.Context) (string, error) {
	if w.skew == nil {
		return "", errNothing("the other agency's exchange does not say its time")
	}
	what := fmt.Sprintf("the other agency's is %s ahead", w.skew.Ahead.Abs().Round(time.Millisecond))
	if w.skew.Ahead < 0 {
		what = strings.TrimSuffix(what, "ahead") + "behind"
	}
	if w.skew.Beyond() {
		return "", &fault{fmt.Sprintf("%s; more than %s is too much", what, exchange.MaxSkew), "compare both hosts' clocks with a third, and have the wrong one synchronised (NTP)"}
	}
	return what, nil
}

// release looks at whether the peer's answers are of a form that this release knows.
func (w *walk) release(context.Context) (string, error) {
	switch {
	case w.shown.versions == 0:
		return "", errNothing("nothing was shown that tells")
	case w.shown.unknown:
		return "", &fault{"answers with members that this release does not know", "upgrade this agency to the other's release"}
	}
	return "answers with nothing that this release does not know", nil
}

func (w *walk) compare(context.Context) (string, error) {
	switch {
	case w.shown.other != "":
		return "", &fault{"the two agencies have other terms under the name " + w.shown.other, "compare `entente agreement digest` on both sides; one of them applies its terms as a new version"}
	case w.shown.same == 0:
		return "", errNothing("there is none yet that both agencies know")
	}
	return fmt.Sprintf("%d with the same terms on both sides", w.shown.same), nil
}

func (w *walk) issue(ctx context.Context) (string, error) {
	if w.Agreement == "" {
		return "", errNothing("no agreement in force makes this agency a recipient of the other's")
	}
	credential, err := peer.Obtain(ctx, peer.Exchange{Own: w.Own}, w.Self, w.Peer, w.Agreement, w.Now())
	if err != nil {
		mend := "have the other agency look at agreement " + w.Agreement + " (kubectl describe agr) and at its operator's log"
		if _, ok := status.FromError(err); ok {
			return "", answered(err, mend)
		}
		return "", &fault{err.Error(), mend}
	}
	w.credential = credential
	return "issued for agreement " + w.Agreement, nil
}

// gateway comes as a recipient's gateway would, with the credential that was just issued; it asks nothing.
func (w *walk) gateway(ctx context.Context) (string, error) {
	if w.Peer.Gateway == "" {
		return "", errNothing("the other agency publishes no gateway")
	}
	if w.credential == nil {
		return "", errNothing("it lets nobody in without a credential")
	}
	for _, try := range []func(context.Context, string) (string, error){resolve, connect} {
		if _, err := try(ctx, w.Peer.Gateway); err != nil {
			return "", err
		}
	}
	return handshake{
		endpoint: w.Peer.Gateway, domain: w.Peer.TrustDomain, bundle: w.Peer.TrustBundle, want: identity.GatewayID(w.Peer.TrustDomain),
		certificate: func(context.Context) (*tls.Certificate, error) { return w.credential, nil }, now: w.Now,
		stranger: "have the other agency look at its gateways' log, and at what stands before them: it must pass TLS through untouched",
	}.try(ctx)
}
