// Command query measures federated queries on real parts: PostgreSQL with verified TLS, mutual TLS between all processes, logs that are
// synced to the disk. It compares targets in paired rounds whose order changes, so that a machine that is busy meanwhile is busy for all.
//
// A point look-up, at one source and through both gateways:
//
//	bare             grpc-go and pgx, with the same TLS, the same SQL and the same frames; no policy and no log
//	bare-record      the same, and one durable record of 512 bytes, group-committed, before the answer
//	governed         a source's gateway: policy, minimisation, durable log
//	aggregator       a bare gRPC aggregator of one source, with one durable record at each
//	governed-query   user, recipient's gateway, source's gateway; both log
//
// The same person looked up at three sources at once, which are three databases:
//
//	bare-fanout      a bare gRPC aggregator of three sources; no policy and no log
//	entente          user, recipient's gateway, three sources' gateways; all four log
//	fdw              postgres_fdw: a fourth database with a UNION ALL over foreign tables of the three
//	lura             luraproject/lura v2 (the library under KrakenD) over three bare REST servers; a process of its own, in hack/tools/lura
//
// A million rows at once (-rows), which the gateways send by columns to whoever reads them and otherwise as records:
//
//	copy             COPY (SELECT …) TO STDOUT by pgx, of the statement that the source's gateway runs, with the same TLS and login
//	copy-unordered   the same without its ORDER BY
//	bulk-source      a source's gateway, asked by one that reads columns; -records: by one that does not
//	bulk-query       user, recipient's gateway, source's gateway; the user reads columns; -records: does not
//
// Whoever asks is in this process, too, there: CPU times are of all that is in it. The source's gateway logs whose records it discloses, each.
//
// Only entente decides, minimises and logs there; the others are what one has without it. The load comes from a child; lura is a process
// of its own; every other server is in this process. CPU times are of one request, of all servers that the target needs.
//
//	go run ./hack/bench/query -rounds 7 -time 2s -out hack/bench/results/query.json
package main
