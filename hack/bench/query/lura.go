package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/entente-dev/entente/hack/bench/rig"
)

// luraProcess is lura, with a gateway's configuration, in a process of its own.
type luraProcess struct {
	cmd     *exec.Cmd
	address string // a person's number goes behind it
}

// startLura builds lura from its module and has it aggregate the hosts.
func startLura(ctx context.Context, dir string, ca *rig.Authority, hosts []string) (*luraProcess, error) {
	binary := filepath.Join(dir, "lura")
	build := exec.CommandContext(ctx, "go", "build", "-C", "hack/tools/lura", "-o", binary, ".")
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	build.Dir, build.Env = root, append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build lura: %w: %s", err, out)
	}
	own, err := ca.Issue("")
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		return nil, err
	}
	file := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		err = errors.Join(err, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	certificate, private, authority := file("lura.pem", "CERTIFICATE", own.Certificate[0]), file("lura.key", "PRIVATE KEY", key), file("lura-ca.pem", "CERTIFICATE", ca.Certificate.Raw)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	var backends []map[string]any
	for i, h := range hosts {
		backends = append(backends, map[string]any{"url_pattern": "/people", "host": []string{h}, "group": agencies[i]})
	}
	config, err := json.Marshal(map[string]any{
		"version": 3, "name": "bench", "listen_ip": "127.0.0.1", "port": port, "timeout": "10s", "max_idle_connections_per_host": 256, "max_idle_connections": 1024,
		"tls":        map[string]any{"keys": []any{map[string]any{"public_key": certificate, "private_key": private}}, "enable_mtls": true, "ca_certs": []string{authority}, "disable_system_ca_pool": true},
		"client_tls": map[string]any{"ca_certs": []string{authority}, "disable_system_ca_pool": true, "client_certs": []any{map[string]any{"certificate": certificate, "private_key": private}}},
		"endpoints":  []any{map[string]any{"endpoint": "/people", "input_query_strings": []string{"nr"}, "timeout": "10s", "backend": backends}},
	})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "lura.json"), config, 0o600)
	}
	if err != nil {
		return nil, err
	}
	l := &luraProcess{cmd: exec.Command(binary, filepath.Join(dir, "lura.json")), address: fmt.Sprintf("https://127.0.0.1:%d/people?nr=", port)}
	l.cmd.Stderr = os.Stderr
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return l, c.Close()
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("lura does not listen: %w", err), l.stop())
		}
	}
}

func (l *luraProcess) stop() error {
	err := l.cmd.Process.Signal(os.Interrupt)
	if err == nil {
		err = l.cmd.Wait()
	}
	return err
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w", err)
	}
	return string(out[:len(out)-1]), nil
}
