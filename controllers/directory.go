package controllers

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/gateway/route"
)

// directory tells the exchange who the peers are, and what is in force: by the routes that the operator signed, so that every
// replica answers alike, and alike to the gateways.
type directory struct {
	gather *gatherer
	keys   *routeKeys
}

var _ exchange.Directory = (*directory)(nil)

// Peer implements exchange.Directory. Of two agencies that claim one trust domain neither is known.
func (d *directory) Peer(ctx context.Context, trustDomain string) (agency, bundle string, ok bool) {
	var list v1alpha1.AgencyList
	if err := d.gather.list(ctx, &list, agencyByTrustDomain, trustDomain); err != nil || len(list.Items) != 1 {
		return "", "", false
	}
	a := &list.Items[0]
	if a.Name == d.gather.self || a.Spec.TrustBundle == "" {
		return "", "", false
	}
	return a.Name, a.Spec.TrustBundle, true
}

// Route implements exchange.Directory. A route that the operator did not sign is none.
func (d *directory) Route(ctx context.Context, agreement string) (*route.Route, error) {
	g := &v1alpha1.GatewayRoute{}
	err := d.gather.reader.Get(ctx, client.ObjectKey{Namespace: d.gather.namespace, Name: agreement}, g)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get route %s: %w", agreement, err)
	}
	r, err := d.keys.verify(ctx, g)
	if errors.Is(err, route.ErrSignature) || errors.Is(err, route.ErrUnknownKey) || errors.Is(err, route.ErrFormat) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if r.Agreement != agreement {
		return nil, nil
	}
	return r, nil
}
