// Package stack brings three agencies up on real components: a kube-apiserver with etcd, a Vault, a PostgreSQL, and an operator and
// a gateway of each agency as processes of the real binary. The end-to-end test and `make demo-kubernetes` stand on it.
//
//	s, err := stack.Start(ctx, stack.Options{Entente: "bin/entente"})
//	defer s.Stop()
//	err = s.Share(ctx)                       // the agreement of config/samples comes into force
//	answer, err := police.Ask(ctx, question) // over REST; AskGRPC over gRPC
//
// The agencies share servers and nothing else: each has a namespace, service accounts with the roles of config/rbac, mounts and
// policies in Vault, a database with an administrator that is no superuser, and an authority for its own users. What people do,
// Share does by the commands that people use (kubectl apply, entente agency export and import, entente agreement …), in the name of
// people who have those rights and no others.
package stack
