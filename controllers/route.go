package controllers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/gateway/route"
)

const (
	stateActive    = "Active"
	stateTombstone = "Tombstone"
	// unsignedKey stands in a tombstone that could not be signed. Gateways end what it names and remember nothing of it: it
	// can do no more than the deletion of the route could.
	unsignedKey = "unsigned"
)

// publisher keeps the GatewayRoutes. It is their only writer.
type publisher struct {
	client    client.Client
	namespace string
	self      route.Party
	signer    keys.RouteSigner
	keys      *routeKeys

	mu sync.Mutex
	// highest sequence published of each agreement, so that a route which somebody removed or overwrote comes back as a newer
	// one; guarded by mu.
	highest map[string]int64
}

// published is the GatewayRoute of an agreement as it stands.
type published struct {
	object *v1alpha1.GatewayRoute // nil: none
	// route that the object holds; nil when it is none that the operator signed.
	route *route.Route
	// prior is what compile goes on from; nil when nothing was ever published.
	prior *route.Route
}

// read gets the route of an agreement. One that does not verify counts as overwritten: its successor has a higher sequence.
func (p *publisher) read(ctx context.Context, id string) (published, error) {
	g := &v1alpha1.GatewayRoute{}
	err := p.client.Get(ctx, client.ObjectKey{Namespace: p.namespace, Name: id}, g)
	if err != nil && !apierrors.IsNotFound(err) {
		return published{}, fmt.Errorf("get route %s: %w", id, err)
	}
	floor := p.floor(id)
	if err != nil {
		if floor == 0 {
			return published{}, nil
		}
		return published{prior: p.overwritten(id, floor)}, nil
	}
	verifying, cancel := context.WithTimeout(ctx, tombstonePatience)
	r, err := p.keys.verify(verifying, g)
	cancel()
	switch {
	case err == nil && r.Agreement == id && r.Self == p.self && r.Sequence >= floor:
		p.raise(id, r.Sequence)
		return published{object: g, route: r, prior: r}, nil
	case err != nil && !errors.Is(err, route.ErrUnknownKey) && !errors.Is(err, route.ErrSignature) && !errors.Is(err, route.ErrFormat):
		// The keys cannot be had: nobody knows whether the route is good. It counts as replaced, so that what must end ends.
		return published{object: g, prior: p.overwritten(id, max(floor, g.Spec.Sequence))}, err
	}
	return published{object: g, prior: p.overwritten(id, max(floor, g.Spec.Sequence))}, nil
}

// overwritten is a prior route that equals no other.
func (p *publisher) overwritten(id string, sequence int64) *route.Route {
	return &route.Route{Format: route.Format, Agreement: id, Sequence: sequence, Self: p.self}
}

// tombstonePatience is how long a tombstone waits for its signature before it is published without.
const tombstonePatience = 500 * time.Millisecond

// stands says whether there is nothing to publish.
func (p published) stands(want *route.Route) bool {
	return want == nil || p.route != nil && p.route.Sequence == want.Sequence
}

// publish signs the route and writes it, unless it stands there already.
func (p *publisher) publish(ctx context.Context, have published, want *route.Route) error {
	if have.stands(want) {
		return nil
	}
	signing, cancel := ctx, func() {}
	if want.Tombstone != nil {
		signing, cancel = context.WithTimeout(ctx, tombstonePatience)
	}
	g, err := p.sign(signing, want)
	cancel()
	if err != nil {
		err = fmt.Errorf("sign route %s: %w", want.Agreement, err)
		if want.Tombstone == nil {
			return err
		}
		// What ends a permission does not wait for a signature. It is signed as soon as that is possible.
		if g = unsignedTombstone(want); have.object != nil && have.object.Spec.State == stateTombstone && have.object.Spec.KeyID == unsignedKey {
			return err
		}
		return errors.Join(err, p.write(ctx, have.object, g))
	}
	return p.write(ctx, have.object, g)
}

// write creates or updates the object. An update is of the version that was read: two operators cannot overwrite each other.
func (p *publisher) write(ctx context.Context, old, g *v1alpha1.GatewayRoute) error {
	g.Namespace = p.namespace
	var err error
	if old == nil {
		err = p.client.Create(ctx, g)
	} else {
		if bytes.Equal(old.Spec.Payload, g.Spec.Payload) && bytes.Equal(old.Spec.Signature, g.Spec.Signature) && old.Spec.State == g.Spec.State {
			return nil
		}
		g.ObjectMeta = *old.ObjectMeta.DeepCopy()
		err = p.client.Update(ctx, g)
	}
	if err != nil {
		return fmt.Errorf("publish route %s: %w", g.Name, err)
	}
	p.raise(g.Name, g.Spec.Sequence)
	return nil
}

func (p *publisher) sign(ctx context.Context, r *route.Route) (*v1alpha1.GatewayRoute, error) {
	payload, err := route.Encode(r)
	if err != nil {
		return nil, err
	}
	id, signature, err := p.signer.SignRoute(ctx, payload)
	if err != nil {
		return nil, err
	}
	g := &v1alpha1.GatewayRoute{
		ObjectMeta: metav1.ObjectMeta{Name: r.Agreement},
		Spec:       v1alpha1.GatewayRouteSpec{State: stateActive, Sequence: r.Sequence, Payload: payload, KeyID: id, Signature: signature},
	}
	if r.Tombstone != nil {
		g.Spec.State = stateTombstone
	}
	for i := range r.Versions {
		for j := range r.Versions[i].Clauses {
			c := &r.Versions[i].Clauses[j]
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

// unsignedTombstone has the sequence below the tombstone's own, so that this can follow.
func unsignedTombstone(r *route.Route) *v1alpha1.GatewayRoute {
	return &v1alpha1.GatewayRoute{
		ObjectMeta: metav1.ObjectMeta{Name: r.Agreement},
		Spec: v1alpha1.GatewayRouteSpec{
			State: stateTombstone, Sequence: max(1, r.Sequence-1), Payload: []byte("{}"), KeyID: unsignedKey, Signature: []byte(unsignedKey),
		},
	}
}

func (p *publisher) floor(id string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.highest[id]
}

func (p *publisher) raise(id string, sequence int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.highest[id] = max(p.highest[id], sequence)
}
