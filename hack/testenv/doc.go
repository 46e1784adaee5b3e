// Package testenv starts real servers for tests, benchmarks and the Kubernetes demo: a kube-apiserver with etcd, Vault and
// PostgreSQL, each on loopback with TLS and a state of its own.
//
//	kube, err := testenv.StartKube(ctx, testenv.KubeOptions{CRDDirs: []string{"config/crd"}})
//	defer kube.Stop()
//
// In a test, RequireKube, RequireVault and RequirePostgres do the same, skip under -short and stop with the test.
//
// The context of a Start function bounds the start, not the server's life. A server ends with Stop, and also when this process
// dies in whatever way (on Linux). In between it can be taken away and given back at the same address: Down makes its clients'
// connections fail, Hang makes them wait, Up ends both. What the server knew is still there after Up.
//
// The programs come from the machine or are built once; see Tools. There is no controller manager: nothing makes default
// service accounts, collects garbage, or finishes the deletion of a namespace.
package testenv

import "time"

// startTimeout bounds each wait for a server, on top of the caller's context. Starts take a few seconds; a machine that is
// busy compiling needs more.
const startTimeout = 90 * time.Second
