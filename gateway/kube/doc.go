// Package kube feeds a gateway's table from the GatewayRoutes of its namespace and reports, on a Lease of its own, what the
// gateway serves. A route counts only with the operator's signature, and never goes back; what was seen is kept on the
// gateway's volume. While the API server is away the gateway goes on with what it has, up to a stated time.
package kube

import "time"

// Annotations and labels of a gateway's Lease, through which the operator sees what each replica serves.
const (
	// LabelGateway marks the Lease of a gateway replica; its value is "true".
	LabelGateway = "entente.dev/gateway"
	// AnnotationServes is the resourceVersion up to which the replica has taken in the GatewayRoutes of its namespace.
	AnnotationServes = "entente.dev/serves-resource-version"
	// AnnotationRejected is a JSON object of the routes that the replica refused, by name, with the reason.
	AnnotationRejected = "entente.dev/rejected-routes"
	// AnnotationPeerAddress is host:port of the replica's own peer listener, where the operator reads receipts.
	AnnotationPeerAddress = "entente.dev/peer-address"
)

const (
	// leaseDuration is how long a report holds. A replica renews well before.
	leaseDuration = 15 * time.Second
	renewEvery    = 4 * time.Second
	// MaxRejected bounds the routes that a report names as rejected. A report that names so many may leave some out.
	MaxRejected = 32
)
