// Package controllers is the operator: small reconcilers that gather what an agreement refers to, call package compile, and
// apply the outcome. They decide nothing themselves.
//
// One change goes through in this order:
//
//	agreement    gathers, compiles, publishes the signed GatewayRoute, applies the status that compile decides
//	signer       signs terms that this agency accepted
//	credentials  makes the roles in Vault that the plan declares, and ends those that it does not
//	finalizer    lets a deleted agreement go, once its credentials are ended
//	programmed   says which gateways serve the route, from the reports on their Leases
//
// The reconcilers behind agreement work from the plan that it leaves (plans.go), which it does only after the route is published:
// so a tombstone always comes before credentials are ended. On the way up it is the other way round: a route follows its roles, so
// that whoever asks as soon as it is there gets an answer. Agency, schema, dataset and probe stand beside.
//
// A request names an agreement's id, not one of its versions.
package controllers
