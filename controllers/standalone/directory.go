package standalone

import (
	"context"
	"sync/atomic"

	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/gateway/route"
)

// directory tells the exchange who the peers are, and what the gateway serves.
type directory struct {
	table *route.Table
	peers atomic.Pointer[map[string]peerAgency] // by trust domain
}

type peerAgency struct{ name, bundle string }

var _ exchange.Directory = (*directory)(nil)

// follow takes the peers of what was gathered last. Of two agencies with one trust domain neither is known.
func (d *directory) follow(x *compile.Index) {
	peers := map[string]peerAgency{}
	claimed := map[string]int{}
	for name, a := range x.Agencies {
		claimed[a.Spec.TrustDomain]++
		if name != x.Self && a.Spec.TrustBundle != "" {
			peers[a.Spec.TrustDomain] = peerAgency{name, a.Spec.TrustBundle}
		}
	}
	for domain, n := range claimed {
		if n > 1 {
			delete(peers, domain)
		}
	}
	d.peers.Store(&peers)
}

// Peer implements exchange.Directory.
func (d *directory) Peer(_ context.Context, trustDomain string) (agency, bundle string, ok bool) {
	peers := d.peers.Load()
	if peers == nil {
		return "", "", false
	}
	p, ok := (*peers)[trustDomain]
	return p.name, p.bundle, ok
}

// Route implements exchange.Directory.
func (d *directory) Route(_ context.Context, agreement string) (*route.Route, error) {
	return d.table.Get(agreement), nil
}
