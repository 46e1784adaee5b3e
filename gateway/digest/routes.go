package digest

import (
	"crypto/sha256"
	"sync"

	"github.com/entente-dev/entente/gateway/route"
)

// Routes gives the digests of routes, each computed once.
type Routes struct {
	known sync.Map // agreement id → routeDigest
}

type routeDigest struct {
	route  *route.Route
	digest string
}

// Of is the digest of the route's payload; "" for no route.
func (d *Routes) Of(r *route.Route) string {
	if r == nil {
		return ""
	}
	if v, ok := d.known.Load(r.Agreement); ok {
		if rd := v.(routeDigest); rd.route == r {
			return rd.digest
		}
	}
	payload, err := route.Encode(r)
	if err != nil {
		return "" // a decoded route always encodes
	}
	sum := sha256.Sum256(payload)
	rd := routeDigest{r, text(sum[:])}
	d.known.Store(r.Agreement, rd)
	return rd.digest
}
