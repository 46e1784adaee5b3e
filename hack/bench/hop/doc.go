// Command hop measures what a governed look-up costs, on real parts: PostgreSQL with verified TLS and a login that may read
// the agreed columns only, mutual TLS between gateways, and logs that are synced to the disk.
//
// It compares five targets in paired rounds, whose order changes, so that a machine that is busy meanwhile is busy for all:
//
//	bare                 grpc-go and pgx, with the same TLS, the same SQL and the same frames; no policy and no log
//	bare-record          the same, and one durable record of 512 bytes, group-committed, before the answer
//	governed             a source's gateway: policy, minimisation, durable log
//	aggregator           a bare gRPC aggregator that asks one source, with one durable record at each
//	governed-query       user, recipient's gateway, source's gateway; both log
//
// The servers are in this process and the load comes from a child, so that the CPU time and the profile of this process are
// the servers' alone. Each sample of the profile counts once, for the innermost part that it is in; see share.go.
//
//	go run ./hack/bench/hop -rounds 7 -time 2s -out hack/bench/results/hop.json
package main
