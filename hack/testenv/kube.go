package testenv

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// KubeOptions says what API server to start. The zero value is useful.
type KubeOptions struct {
	// Dir gets logs, certificates and etcd's data. Empty: a temporary folder that Stop removes.
	Dir string
	// CRDDirs are folders, or files, of custom resource definitions to install. They are served when StartKube returns.
	CRDDirs []string
	// PublicIssuer lets anybody read the service account issuer's discovery document and keys, as a cluster does whose tokens
	// others verify. Without it they are for authenticated callers, and JWKS and IssuerKeys still give the keys.
	PublicIssuer bool
	// Sync makes etcd write to the disk before it answers, as in production: for benchmarks.
	Sync bool
	// ExtraArgs are further arguments of kube-apiserver, which win over those set here.
	ExtraArgs []string
	// Progress, if set, is told what has started and how long it took.
	Progress io.Writer
}

// Kube is a running kube-apiserver with its etcd. RBAC is on; the admin is in system:masters.
type Kube struct {
	dir       workDir
	kubectl   string
	authority *authority
	issuerKey *rsa.PrivateKey
	config    *rest.Config
	client    client.Client

	ports     []port
	serverURL string

	mu        sync.Mutex
	etcd      *process
	apiserver *process
	hanging   bool
}

// StartKube starts etcd and kube-apiserver and installs the custom resource definitions.
func StartKube(ctx context.Context, o KubeOptions) (_ *Kube, err error) {
	began := time.Now()
	tools, err := Tools(ctx, KubeTools)
	if err != nil {
		return nil, err
	}
	k := &Kube{kubectl: tools.Kubectl}
	if k.dir, err = newWorkDir(o.Dir, "kube"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.Stop())
		}
	}()
	if err := k.prepare(tools, o); err != nil {
		return nil, err
	}
	if err := k.etcd.start(); err != nil {
		return nil, err
	}
	if err := k.etcd.waitReady(ctx, k.etcdReady); err != nil {
		return nil, err
	}
	if err := k.Up(ctx); err != nil {
		return nil, err
	}
	if o.PublicIssuer {
		if err := k.publishIssuer(ctx); err != nil {
			return nil, err
		}
	}
	progress(o.Progress, began, "kube-apiserver and etcd serve at %s", k.serverURL)
	if len(o.CRDDirs) > 0 {
		began = time.Now()
		crds, err := envtest.InstallCRDs(k.Config(), envtest.CRDInstallOptions{Paths: o.CRDDirs, ErrorIfPathMissing: true})
		if err != nil {
			return nil, fmt.Errorf("testenv: install custom resource definitions of %v: %w", o.CRDDirs, err)
		}
		progress(o.Progress, began, "%d custom resource definitions served", len(crds))
	}
	return k, nil
}

// prepare makes keys, ports and the two processes, and starts nothing.
func (k *Kube) prepare(tools Paths, o KubeOptions) error {
	for range 3 { // of the API server, of etcd's clients, of etcd's peers
		p, err := freePort()
		if err != nil {
			return err
		}
		k.ports = append(k.ports, p)
	}
	k.serverURL = "https://" + k.ports[0].addr()
	files, err := k.writeKeys()
	if err != nil {
		return err
	}
	if k.config, err = k.adminConfig(); err != nil {
		return err
	}
	if k.client, err = client.New(k.config, client.Options{Mapper: builtinMapper()}); err != nil {
		return fmt.Errorf("testenv: client of kube-apiserver: %w", err)
	}
	k.etcd = &process{
		path: tools.KubeAssets + "/etcd", args: k.etcdArgs(o),
		dir: k.dir.path, logFile: k.dir.file("etcd.log"), orphaned: syscall.SIGKILL,
	}
	k.apiserver = &process{
		path: tools.KubeAssets + "/kube-apiserver", args: k.apiserverArgs(files, o),
		dir: k.dir.path, logFile: k.dir.file("kube-apiserver.log"), orphaned: syscall.SIGKILL,
	}
	return nil
}

// kubeFiles are the key files that kube-apiserver reads.
type kubeFiles struct{ ca, cert, key, issuerKey string }

func (k *Kube) writeKeys() (files kubeFiles, err error) {
	if k.authority, err = newAuthority("entente-testenv-kube"); err != nil {
		return files, err
	}
	cert, key, err := k.authority.server("kubernetes.default.svc")
	if err != nil {
		return files, err
	}
	// RSA, because that is what clusters have.
	if k.issuerKey, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return files, fmt.Errorf("testenv: service account key: %w", err)
	}
	issuerKey := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k.issuerKey)})
	for _, f := range []struct {
		path *string
		name string
		data []byte
	}{
		{&files.ca, "ca.crt", k.authority.pem},
		{&files.cert, "kube-apiserver.crt", cert},
		{&files.key, "kube-apiserver.key", key},
		{&files.issuerKey, "service-account.key", issuerKey},
	} {
		if *f.path, err = k.dir.write(f.name, f.data); err != nil {
			return files, err
		}
	}
	return files, nil
}

// adminConfig is the client configuration of a member of system:masters, without client-side rate limits.
func (k *Kube) adminConfig() (*rest.Config, error) {
	cert, key, err := k.authority.client("entente-testenv-admin", "system:masters")
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host:            k.serverURL,
		TLSClientConfig: rest.TLSClientConfig{CAData: k.authority.pem, CertData: cert, KeyData: key},
		QPS:             -1,
	}, nil
}

// Config is the admin's client configuration, a copy.
func (k *Kube) Config() *rest.Config { return rest.CopyConfig(k.config) }

// URL is the address of the API server.
func (k *Kube) URL() string { return k.serverURL }

// CAPEM is the authority that the API server's certificate is from.
func (k *Kube) CAPEM() []byte { return append([]byte(nil), k.authority.pem...) }

// Down kills the API server. etcd, and so all objects, stay.
func (k *Kube) Down() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hanging = false
	return k.apiserver.stop(os.Kill, time.Second)
}

// Hang freezes the API server: it accepts connections and answers nothing.
func (k *Kube) Hang() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.apiserver.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	k.hanging = true
	return nil
}

// Up ends Down and Hang, and returns when the API server is ready.
func (k *Kube) Up(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case !k.apiserver.running():
		if err := k.apiserver.start(); err != nil {
			return err
		}
	case k.hanging:
		if err := k.apiserver.signal(syscall.SIGCONT); err != nil {
			return err
		}
	}
	k.hanging = false
	return k.apiserver.waitReady(ctx, k.apiserverReady)
}

// Stop ends both processes for good. It may be called more than once.
func (k *Kube) Stop() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs []error
	for _, p := range []*process{k.apiserver, k.etcd} {
		if p != nil {
			errs = append(errs, p.stop(os.Kill, time.Second))
		}
	}
	for _, p := range k.ports {
		errs = append(errs, p.release())
	}
	k.ports = nil
	return errors.Join(append(errs, k.dir.remove())...)
}
