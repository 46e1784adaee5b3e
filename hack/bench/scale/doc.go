// Command scale measures what an agency with many sharing agreements costs, and how soon a change is felt, on real parts: a
// kube-apiserver with etcd, Vault, PostgreSQL, and the agency's operator and gateway as processes.
//
//	go run ./hack/bench/scale -entente bin/entente -agreements 100,1000,10000
//
// The estate is synthetic and the same for the same seed: peer agencies with keys of their own, schemas of which one is used most, a
// dataset of the inspectorate's, task forces, and agreements of one to three clauses, each signed by both parties. The peers have no
// operators: the program signs for them, and asks as their gateways would, over mutual TLS with an agreement credential that the
// agency's exchange issued.
//
// What it says of propagation is what such a client sees that asks without a pause, not what the operator says of itself.
package main
