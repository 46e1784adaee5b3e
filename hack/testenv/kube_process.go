package testenv

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"k8s.io/client-go/rest"
)

func (k *Kube) etcdArgs(o KubeOptions) []string {
	clients, peers := "http://"+k.ports[1].addr(), "http://"+k.ports[2].addr()
	args := []string{
		"--data-dir=" + k.dir.file("etcd"),
		"--listen-client-urls=" + clients, "--advertise-client-urls=" + clients,
		"--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers, "--initial-cluster=default=" + peers,
		"--log-level=warn",
		"--quota-backend-bytes=8589934592", // ten thousand agreements and all that was written of them since the last compaction
	}
	if !o.Sync {
		args = append(args, "--unsafe-no-fsync")
	}
	return args
}

func (k *Kube) apiserverArgs(files kubeFiles, o KubeOptions) []string {
	return append([]string{
		"--etcd-servers=http://" + k.ports[1].addr(),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(k.ports[0].number),
		"--cert-dir=" + k.dir.path,
		"--tls-cert-file=" + files.cert, "--tls-private-key-file=" + files.key,
		"--client-ca-file=" + files.ca,
		"--authorization-mode=RBAC",
		"--service-account-issuer=" + k.Issuer(),
		"--service-account-jwks-uri=" + k.Issuer() + "/openid/v1/jwks",
		"--service-account-key-file=" + files.issuerKey, "--service-account-signing-key-file=" + files.issuerKey,
		"--service-cluster-ip-range=10.0.0.0/24",
		"--endpoint-reconciler-type=none", // nothing routes to the kubernetes service here
		// Pods would wait for default service accounts, which no controller makes here.
		"--disable-admission-plugins=ServiceAccount",
		"--profiling=false",
	}, o.ExtraArgs...)
}

func (k *Kube) etcdReady(ctx context.Context) error {
	return getOK(ctx, http.DefaultClient, "http://"+k.ports[1].addr()+"/health", nil)
}

// apiserverReady asks as the admin: ready includes that RBAC has its default roles.
func (k *Kube) apiserverReady(ctx context.Context) error {
	return k.get(ctx, "/readyz", nil)
}

// get reads a path of the API server as the admin.
func (k *Kube) get(ctx context.Context, path string, body *[]byte) error {
	c, err := rest.HTTPClientFor(k.Config())
	if err != nil {
		return err
	}
	return getOK(ctx, c, k.serverURL+path, body)
}

// getOK reads a URL and fails unless the answer is 200.
func getOK(ctx context.Context, c *http.Client, url string, body *[]byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %.300s", url, res.Status, data)
	}
	if body != nil {
		*body = data
	}
	return nil
}
