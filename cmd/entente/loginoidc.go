package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/internal/login"
)

// keepSecret notes where an application's secret is.
func (f *loginFlags) keepSecret(_ *cobra.Command, c *login.Context) error {
	switch {
	case f.secretFile == "" && os.Getenv("ENTENTE_CLIENT_SECRET") == "":
		return nil
	case c.OIDC == nil:
		if f.secretFile == "" {
			return nil // the variable is for another context
		}
		return errors.New("--client-secret-file goes with --oidc-issuer")
	}
	c.OIDC.Application = true
	c.OIDC.ClientSecretFile = ""
	if f.secretFile != "" && f.secretFile != "-" {
		c.OIDC.ClientSecretFile = f.secretFile
	}
	return absolute(c)
}

// provider logs in at the OpenID Connect provider: as an application, on another device, or in a browser.
func (f *loginFlags) provider(ctx context.Context, cmd *cobra.Command, c *login.Context, store login.Store) (*login.Token, error) {
	switch {
	case c.OIDC.Application:
		return f.application(ctx, cmd, c, store)
	case f.device:
		return c.OIDC.Device(ctx, func(url, code string) {
			fmt.Fprintf(cmd.ErrOrStderr(), "Open %s on any device, and enter the code %s\n", sanitize(url), sanitize(code))
		})
	}
	ln, err := net.Listen("tcp", f.callback)
	if err != nil {
		return nil, fmt.Errorf("--callback-address: %w", err)
	}
	if a, ok := ln.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		ln.Close()
		return nil, errors.New("--callback-address must be a loopback address: others would see the login's code")
	}
	return c.OIDC.Browser(ctx, ln, func(url, _ string) {
		fmt.Fprintf(cmd.ErrOrStderr(), "Log in at %s\n", sanitize(url))
		if !f.noOpen {
			open(url)
		}
	})
}

// application logs an application in, by its secret.
func (f *loginFlags) application(ctx context.Context, cmd *cobra.Command, c *login.Context, store login.Store) (*login.Token, error) {
	secret := os.Getenv("ENTENTE_CLIENT_SECRET")
	switch {
	case f.secretFile == "-":
		text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 64<<10))
		if err != nil {
			return nil, err
		}
		secret = strings.TrimSpace(string(text))
	case c.OIDC.ClientSecretFile != "":
		text, err := os.ReadFile(c.OIDC.ClientSecretFile)
		if err != nil {
			return nil, err
		}
		secret = strings.TrimSpace(string(text))
	case secret == "":
		known, err := store.LoadToken(c.Name)
		if err != nil {
			return nil, err
		}
		secret = known.ClientSecret
	}
	if secret == "" {
		return nil, errors.New("the client's secret is empty: --client-secret-file")
	}
	t, err := c.OIDC.AsApplication(ctx, secret)
	if err == nil && c.OIDC.ClientSecretFile == "" {
		t.ClientSecret = secret
	}
	return t, err
}

// open opens a page; where that is not possible, its URL was printed.
func open(url string) {
	name := map[string]string{"darwin": "open", "linux": "xdg-open"}[runtime.GOOS]
	if path, err := exec.LookPath(name); name != "" && err == nil {
		command := exec.Command(path, url)
		if command.Start() == nil {
			go func() { _ = command.Wait() }()
		}
	}
}
