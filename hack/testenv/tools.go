package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// The servers that Tools knows, by their names in hack/tools/servers.sh.
const (
	KubeTools       = "kube"
	VaultTools      = "vault"
	PostgresTools   = "postgres"
	BrowserTools    = "browser"
	PrometheusTools = "prometheus"
)

// Paths says where the programs are. A field is empty if its server was not asked for.
type Paths struct {
	KubeAssets   string // folder of kube-apiserver and etcd
	Kubectl      string // program
	Vault        string // program
	VaultPlugins string // folder of external plugins; empty if the program has the PostgreSQL plugin built in
	PostgresBin  string // folder of postgres and initdb
	Browser      string // program: Chromium
	Prometheus   string // program
}

// variables lists the environment variables by which the caller, or servers.sh, names the programs of each server.
// ENTENTE_VAULT_PLUGIN_DIR may be empty.
var variables = map[string][]string{
	KubeTools:       {"KUBEBUILDER_ASSETS", "ENTENTE_KUBECTL"},
	VaultTools:      {"ENTENTE_VAULT", "ENTENTE_VAULT_PLUGIN_DIR"},
	PostgresTools:   {"ENTENTE_POSTGRES_BIN"},
	BrowserTools:    {"ENTENTE_BROWSER"},
	PrometheusTools: {"ENTENTE_PROMETHEUS"},
}

var found struct {
	sync.Mutex
	values map[string]string // by variable
}

// Tools finds the programs of the named servers, those of kube, vault and postgres if none is named. Programs that the environment does not name are
// found, or built and cached, by hack/tools/servers.sh. A first build takes minutes, which is longer than `go test` allows a
// package by default: `make servers` builds them beforehand.
func Tools(ctx context.Context, servers ...string) (Paths, error) {
	if len(servers) == 0 {
		servers = []string{KubeTools, VaultTools, PostgresTools}
	}
	found.Lock()
	defer found.Unlock()
	if found.values == nil {
		found.values = map[string]string{}
	}
	var missing []string
	for _, s := range servers {
		names, ok := variables[s]
		if !ok {
			return Paths{}, fmt.Errorf("testenv: unknown server %q: choose of %s, %s, %s, %s, %s", s, KubeTools, VaultTools, PostgresTools, BrowserTools, PrometheusTools)
		}
		if _, ok := found.values[names[0]]; !ok && !fromEnvironment(names) {
			missing = append(missing, s)
		}
	}
	if len(missing) > 0 {
		values, err := runServersScript(ctx, missing)
		if err != nil {
			return Paths{}, err
		}
		for name, value := range values {
			found.values[name] = value
		}
	}
	v := func(server, name string) string {
		if !slices.Contains(servers, server) {
			return ""
		}
		return found.values[name]
	}
	return Paths{
		KubeAssets:   v(KubeTools, "KUBEBUILDER_ASSETS"),
		Kubectl:      v(KubeTools, "ENTENTE_KUBECTL"),
		Vault:        v(VaultTools, "ENTENTE_VAULT"),
		VaultPlugins: v(VaultTools, "ENTENTE_VAULT_PLUGIN_DIR"),
		PostgresBin:  v(PostgresTools, "ENTENTE_POSTGRES_BIN"),
		Browser:      v(BrowserTools, "ENTENTE_BROWSER"),
		Prometheus:   v(PrometheusTools, "ENTENTE_PROMETHEUS"),
	}, nil
}

// fromEnvironment takes what the environment names, if it names everything that a server needs.
func fromEnvironment(names []string) bool {
	values := map[string]string{}
	for _, name := range names {
		value := os.Getenv(name)
		if value == "" {
			return false // also for a Vault without plugins: servers.sh checks that it needs none
		}
		if _, err := os.Stat(value); err != nil {
			return false // servers.sh says what is wrong with it
		}
		values[name] = value
	}
	for name, value := range values {
		found.values[name] = value
	}
	return true
}

// runServersScript runs hack/tools/servers.sh, with its progress on standard error, and reads the list that it prints.
func runServersScript(ctx context.Context, servers []string) (map[string]string, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	script := filepath.Join(root, "hack", "tools", "servers.sh")
	cmd := exec.CommandContext(ctx, script, servers...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.SysProcAttr = withDeathSignal(os.Interrupt, nil)
	cmd.Stderr = os.Stderr
	var out strings.Builder
	cmd.Stdout = &out
	if err := onStarter(cmd.Start); err != nil {
		return nil, fmt.Errorf("testenv: start %s: %w", script, err)
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (a first build takes minutes: run `make servers` once)", ctx.Err())
		}
		return nil, fmt.Errorf("testenv: %s %s: %w; its messages are above", script, strings.Join(servers, " "), err)
	}
	return parseExports(out.String())
}

// parseExports reads lines of the form export NAME='value'.
func parseExports(text string) (map[string]string, error) {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok || len(value) < 2 || value[0] != '\'' || value[len(value)-1] != '\'' {
			return nil, fmt.Errorf("testenv: servers.sh printed %q instead of export NAME='value'", line)
		}
		values[name] = strings.ReplaceAll(value[1:len(value)-1], `'\''`, `'`)
	}
	return values, nil
}

// Root is the top folder of this repository, found from the working directory upwards.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("testenv: working directory: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "hack", "tools", "servers.sh")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("testenv: not in the Entente repository, so hack/tools/servers.sh was not found: " +
				"run in its work tree, or set KUBEBUILDER_ASSETS, ENTENTE_KUBECTL, ENTENTE_VAULT, ENTENTE_VAULT_PLUGIN_DIR and ENTENTE_POSTGRES_BIN")
		}
		dir = parent
	}
}
