// Package kube pins the Kubernetes API server, etcd and kubectl that tests and
// the Kubernetes demo start. The replace directives stand for the staging
// modules inside k8s.io/kubernetes, which are published at the same release.
package kube
