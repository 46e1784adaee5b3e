package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/compile/profile"
	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/controllers/openapi"
	"github.com/entente-dev/entente/controllers/signature"
	"github.com/entente-dev/entente/gateway/route"
)

// keyHolder is who holds the agency's keys.
type keyHolder interface {
	keys.AgreementSigner
	keys.RouteSigner
	TrustBundle(ctx context.Context) (string, error)
}

// engine turns the folder into routes, one step at a time. It belongs to one goroutine.
type engine struct {
	folder  *folder
	state   *state
	self    string
	keys    keyHolder
	columns columns
	// profiles that were compiled before.
	profiles *profile.Cache
	// apis whose documents were read before.
	apis *openapi.Cache
	// serve hands a verified route to the gateway; gathered hears what each step knows, for the exchange.
	serve    func(*route.Route) error
	gathered func(*compile.Index)
	log      *slog.Logger
	now      func() time.Time

	served map[string]int64 // sequence by agreement
	told   string           // the errors of the folder that were logged last

	conditions map[string][]metav1.Condition // of each resource, as last reported
}

// newEngine makes an engine for the agency self. The caller sets serve and gathered before the first step.
func newEngine(configDir string, s *state, self string, keys keyHolder, log *slog.Logger) *engine {
	e := &engine{
		folder: newFolder(configDir), state: s, self: self, keys: keys, log: log, now: time.Now,
		columns: columns{}, profiles: profile.NewCache(), apis: openapi.NewCache(), served: map[string]int64{}, conditions: map[string][]metav1.Condition{},
	}
	for name, a := range s.agreements {
		e.conditions["SharingAgreement/"+name] = a.Status.Conditions
	}
	return e
}

// step reads the folder, compiles every agreement, and makes it so. It returns when the outcome changes by itself; zero:
// never. An error means that something could not be written or signed; what takes permissions away was done all the same.
func (e *engine) step(ctx context.Context) (next time.Time, err error) {
	now := e.now()
	c, err := e.folder.read()
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the folder: %w", err)
	}
	failed := recordDecisions(c, e.state, now)
	e.tell(c)
	index, err := e.gather(ctx, c)
	if err != nil {
		return time.Time{}, errors.Join(failed, err)
	}
	e.gathered(index)
	prior, err := e.prior(ctx, index)
	if err != nil {
		return time.Time{}, errors.Join(failed, err)
	}
	results := compile.Compile(index, prior, now)
	if recorded, err := e.recordAcceptances(index, results); err != nil {
		failed = errors.Join(failed, err)
	} else if recorded {
		results = compile.Compile(index, prior, now)
	}
	signed, err := e.sign(ctx, index, results, now)
	failed = errors.Join(failed, err)
	if signed {
		results = compile.Compile(index, prior, now)
	}
	for _, id := range sortedKeys(results) {
		failed = errors.Join(failed, e.publishRoute(ctx, results[id].Route, prior[id].Route))
		if at := results[id].Next; !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next, errors.Join(failed, e.report(index, results, now))
}

// tell logs what is wrong with the folder, once.
func (e *engine) tell(c *contents) {
	text := ""
	if err := c.err(); err != nil {
		text = err.Error()
	}
	switch {
	case text == e.told:
	case text != "":
		e.log.Error("files cannot be read: what they hold gives no permission, and agreements that they mention are refused", "error", text)
	default:
		e.log.Info("every file can be read again")
	}
	e.told = text
}

// prior is what was decided before, of every agreement that is or was.
func (e *engine) prior(ctx context.Context, index *compile.Index) (map[string]compile.Prior, error) {
	routeKeys, err := e.keys.RouteKeys(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]compile.Prior{}
	for id := range e.state.routes {
		r, err := e.state.route(id, routeKeys)
		if err != nil {
			return nil, err
		}
		out[id] = compile.Prior{Route: r}
	}
	for id, versions := range index.Agreements {
		p := out[id]
		p.Conditions = map[string][]metav1.Condition{}
		for _, v := range versions {
			p.Conditions[v.Name] = v.Status.Conditions
		}
		out[id] = p
	}
	return out, nil
}

// recordAcceptances writes what was accepted in advance to the agreements' status, and says whether there was any.
func (e *engine) recordAcceptances(index *compile.Index, results map[string]compile.Result) (any bool, err error) {
	for _, id := range sortedKeys(results) {
		for _, v := range results[id].Versions {
			i := slices.IndexFunc(index.Agreements[id], func(a *v1alpha1.SharingAgreement) bool { return a.Name == v.Name })
			if !v.Record || i < 0 {
				continue
			}
			a := index.Agreements[id][i].DeepCopy()
			a.TypeMeta = typeMeta("SharingAgreement")
			a.Status.Digest, a.Status.Decisions = v.Status.Digest, v.Status.Decisions
			if err := e.state.putStatus("SharingAgreement", a); err != nil {
				return any, fmt.Errorf("recording what was accepted in advance of agreement %s: %w", v.Name, err)
			}
			index.Agreements[id][i], any = a, true
			e.log.Info("accepted in advance", "agreement", v.Name, "digest", v.Status.Digest)
		}
	}
	return any, nil
}

// sign signs what the agency decided to accept, and puts the signatures in the objects' status.
func (e *engine) sign(ctx context.Context, index *compile.Index, results map[string]compile.Result, now time.Time) (any bool, err error) {
	for _, id := range sortedKeys(results) {
		for _, v := range results[id].Versions {
			if !v.Sign {
				continue
			}
			jws, failed := signature.Sign(ctx, e.keys, signature.Claims{
				Digest: v.Status.Digest, Decision: v1alpha1.DecisionAccept, Agency: e.self, DecidedAt: now,
			})
			if failed != nil {
				err = errors.Join(err, fmt.Errorf("signing agreement %s: %w", v.Name, failed))
				continue
			}
			for _, a := range index.Agreements[id] {
				if a.Name == v.Name {
					a.Status.Signatures = []v1alpha1.AgreementSignature{{Agency: e.self, JWS: jws}}
					any = true
				}
			}
			e.log.Info("signed", "agreement", v.Name, "digest", v.Status.Digest)
		}
	}
	return any, err
}

// publishRoute signs a route that changed, keeps it, and hands it to the gateway by the way that a gateway trusts: verified.
func (e *engine) publishRoute(ctx context.Context, r, before *route.Route) error {
	if r == nil || e.served[r.Agreement] == r.Sequence {
		return nil
	}
	var failed error
	g := e.state.routes[r.Agreement]
	if before == nil || before.Sequence != r.Sequence {
		var err error
		if g, err = e.signRoute(ctx, r); err != nil {
			return err
		}
		if err := e.state.putRoute(g); err != nil {
			failed = fmt.Errorf("keeping route %s: %w", r.Agreement, err)
			if r.Tombstone == nil {
				// Served but forgotten, its sequence would come twice.
				return failed
			}
		}
	}
	routeKeys, err := e.keys.RouteKeys(ctx)
	if err != nil {
		return errors.Join(failed, err)
	}
	verified, err := route.Verify(signed(g), routeKeys)
	if err != nil {
		return errors.Join(failed, err)
	}
	if err := e.serve(verified); err != nil {
		return errors.Join(failed, err)
	}
	e.served[r.Agreement] = r.Sequence
	e.log.Info("route", "agreement", r.Agreement, "sequence", r.Sequence, "state", g.Spec.State)
	return failed
}

// signRoute wraps a route as the GatewayRoute that a cluster would hold.
func (e *engine) signRoute(ctx context.Context, r *route.Route) (*v1alpha1.GatewayRoute, error) {
	payload, err := route.Encode(r)
	if err != nil {
		return nil, err
	}
	id, sig, err := e.keys.SignRoute(ctx, payload)
	if err != nil {
		return nil, fmt.Errorf("signing route %s: %w", r.Agreement, err)
	}
	g := &v1alpha1.GatewayRoute{TypeMeta: typeMeta("GatewayRoute"), ObjectMeta: metav1.ObjectMeta{Name: r.Agreement}}
	g.Spec = v1alpha1.GatewayRouteSpec{State: "Active", Sequence: r.Sequence, Payload: payload, KeyID: id, Signature: sig}
	if r.Tombstone != nil {
		g.Spec.State = "Tombstone"
	}
	for _, v := range r.Versions {
		for _, c := range v.Clauses {
			if c.Source.Party == r.Self {
				g.Spec.Inbound++
			}
			if c.HasRecipient(r.Self) {
				g.Spec.Outbound++
			}
		}
	}
	return g, nil
}
