package testenv

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// PostgresPlugin is the name of the database engine's PostgreSQL plugin in Vault's catalogue.
const PostgresPlugin = "postgresql-database-plugin"

// VaultOptions says what Vault to start. The zero value is useful.
type VaultOptions struct {
	// Dir gets the log and the certificate authority. Empty: a temporary folder that Stop removes.
	Dir string
	// Progress, if set, is told what has started and how long it took.
	Progress io.Writer
}

// Vault is a running development server: unsealed, in memory, with TLS. It has PKI, transit, key-value, JWT and AppRole login and
// the database engine with PostgreSQL; nothing is mounted but key-value at secret/. Clients reach it through a Proxy, so that Down
// and Hang lose nothing.
type Vault struct {
	dir     workDir
	port    port
	process *process
	proxy   *Proxy
	token   string
	caFile  string

	mu     sync.Mutex
	client *http.Client
}

// StartVault starts Vault and waits until its plugins are registered.
func StartVault(ctx context.Context, o VaultOptions) (_ *Vault, err error) {
	began := time.Now()
	tools, err := Tools(ctx, VaultTools)
	if err != nil {
		return nil, err
	}
	v := &Vault{token: "root-" + rand.Text()}
	if v.dir, err = newWorkDir(o.Dir, "vault"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.Stop())
		}
	}()
	if v.port, err = freePort(); err != nil {
		return nil, err
	}
	args := []string{
		"server", "-dev", "-dev-tls", "-dev-tls-cert-dir=" + v.dir.path,
		"-dev-listen-address=" + v.port.addr(), "-dev-no-store-token",
	}
	if tools.VaultPlugins != "" {
		// Vault registers every file there by its name.
		args = append(args, "-dev-plugin-dir="+tools.VaultPlugins)
	}
	v.process = &process{
		path: tools.Vault, args: args, env: v.serverEnv(),
		dir: v.dir.path, logFile: v.dir.file("vault.log"),
		orphaned: syscall.SIGTERM, // so that it takes its plugins along
	}
	if err := v.process.start(); err != nil {
		return nil, err
	}
	v.caFile = v.dir.file("vault-ca.pem")
	if v.proxy, err = NewProxy(v.port.addr()); err != nil {
		return nil, err
	}
	if err := v.process.waitReady(ctx, v.ready); err != nil {
		return nil, err
	}
	progress(o.Progress, began, "Vault serves at %s", v.Address())
	return v, nil
}

// serverEnv is this process's environment without what would steer Vault, with its home in its own folder.
func (v *Vault) serverEnv() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "VAULT_") && !strings.HasPrefix(e, "HOME=") {
			env = append(env, e)
		}
	}
	return append(env, "HOME="+v.dir.path, "VAULT_DEV_ROOT_TOKEN_ID="+v.token)
}

// ready: the root token and the plugins come last.
func (v *Vault) ready(ctx context.Context) error {
	_, err := v.Call(ctx, http.MethodGet, "sys/plugins/catalog/database/"+PostgresPlugin, nil)
	return err
}

// httpClient trusts the authority that Vault has made at its start.
func (v *Vault) httpClient() (*http.Client, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.client == nil {
		pem, err := os.ReadFile(v.caFile)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", v.caFile)
		}
		v.client = &http.Client{
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		}
	}
	return v.client, nil
}

// Address is Vault's URL.
func (v *Vault) Address() string { return "https://" + v.proxy.Addr() }

// Token is the root token.
func (v *Vault) Token() string { return v.token }

// CAFile is the PEM file of the authority that Vault's certificate is from.
func (v *Vault) CAFile() string { return v.caFile }

// Environment is what the vault command and Vault's client libraries read, as NAME=value.
func (v *Vault) Environment() []string {
	return []string{"VAULT_ADDR=" + v.Address(), "VAULT_CACERT=" + v.caFile, "VAULT_TOKEN=" + v.token}
}

// Down cuts all connections and refuses new ones. Vault itself goes on: leases expire, and plugins work.
func (v *Vault) Down() error { return v.proxy.Down() }

// Hang keeps connections open and answers nothing.
func (v *Vault) Hang() error { return v.proxy.Hang() }

// Up ends Down and Hang.
func (v *Vault) Up(ctx context.Context) error {
	if err := v.proxy.Up(); err != nil {
		return err
	}
	return v.process.waitReady(ctx, v.ready)
}

// Stop ends Vault for good, with all that it held. It may be called more than once.
func (v *Vault) Stop() error {
	var errs []error
	if v.proxy != nil {
		errs = append(errs, v.proxy.Stop())
	}
	errs = append(errs, v.process.stop(os.Interrupt, 5*time.Second))
	if v.port.release != nil {
		errs = append(errs, v.port.release())
		v.port.release = nil
	}
	return errors.Join(append(errs, v.dir.remove())...)
}
