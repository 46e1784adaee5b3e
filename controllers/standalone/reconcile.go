package standalone

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/receipt"
	"github.com/entente-dev/entente/gateway/route"
)

// Logs gives this installation's log, and that of a peer, over its exchange. The pool is the caller's to close.
func (f Folder) Logs(peer string) (ours, theirs receipt.Lister, pool *exchange.Pool, err error) {
	_, store, err := f.open()
	if err != nil {
		return nil, nil, nil, err
	}
	x, err := f.Index()
	if err != nil {
		return nil, nil, nil, err
	}
	to, err := peerOf(x.Agencies, peer)
	if err != nil {
		return nil, nil, nil, err
	}
	dir := filepath.Join(f.stateDir(), "gateway", "log")
	ours = receipt.Log{Read: func(from time.Time, fn func(audit.Record) error) error { return audit.ReadSince(dir, from, fn) }}
	pool = exchange.NewPool(store.OperatorIdentity())
	return ours, exchange.Receipts{Pool: pool, Peer: to}, pool, nil
}

// Operator gives this installation's party and its operator's identity.
func (f Folder) Operator() (route.Party, identity.Own, error) {
	self, store, err := f.open()
	if err != nil {
		return route.Party{}, nil, err
	}
	return route.Party{Agency: self.Name, TrustDomain: self.Spec.TrustDomain}, store.OperatorIdentity(), nil
}

// peerOf is where a peer's exchange is reached.
func peerOf(agencies map[string]*v1alpha1.Agency, name string) (exchange.Peer, error) {
	a := agencies[name]
	switch {
	case a == nil:
		return exchange.Peer{}, fmt.Errorf("there is no agency %q here", name)
	case a.Spec.TrustBundle == "" || a.Spec.Endpoints.Exchange == "":
		return exchange.Peer{}, fmt.Errorf("agency %q has no exchange endpoint or no trust bundle: import what it prints with entente agency export", name)
	}
	return exchange.Peer{
		Party:    route.Party{Agency: a.Name, TrustDomain: a.Spec.TrustDomain},
		Endpoint: a.Spec.Endpoints.Exchange, Bundle: a.Spec.TrustBundle,
	}, nil
}
