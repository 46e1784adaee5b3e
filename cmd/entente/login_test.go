package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/internal/login"
	"github.com/entente-dev/entente/internal/oidctest"
)

// noVariables: what the environment of the tests says is not what they try.
func noVariables(t *testing.T) (config string) {
	t.Helper()
	for _, name := range []string{"CONTEXT", "SERVER", "CERTIFICATE_AUTHORITY", "CLIENT_CERTIFICATE", "CLIENT_KEY", "TOKEN_FILE", "TLS_SERVER_NAME", "CLIENT_SECRET"} {
		t.Setenv("ENTENTE_"+name, "")
	}
	config = filepath.Join(t.TempDir(), "client.yaml")
	t.Setenv("ENTENTE_CONFIG", config)
	return config
}

// shown hands on what a person is shown, once: the rest of the line after a text.
type shown struct {
	mu    sync.Mutex
	text  bytes.Buffer
	after string
	then  func(string)
}

func (s *shown) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	if _, rest, found := strings.Cut(s.text.String(), s.after); found && s.then != nil {
		if line, _, whole := strings.Cut(rest, "\n"); whole {
			go s.then(line)
			s.then = nil
		}
	}
	return len(p), nil
}

// runShown runs a command while a person does what it says.
func runShown(cmd *cobra.Command, after string, then func(string), args ...string) (string, error) {
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&shown{after: after, then: then})
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(context.Background())
	return out.String(), err
}

// subjectOf is what a token says of whom it is; the provider's tests see that it is signed.
func subjectOf(t *testing.T, authorization []string) string {
	t.Helper()
	if len(authorization) != 1 {
		return ""
	}
	parts := strings.Split(strings.TrimPrefix(authorization[0], "Bearer "), ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %d parts", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Subject
}

var anyQuery = []string{"person", "--filter", `a == "b"`, "--purpose", "x:y"}

// TestLogin: a person logs in once, in a browser or on another device, and asks as that person, of that gateway only, until they log out.
func TestLogin(t *testing.T) {
	p := oidctest.Start(t)
	for name, way := range map[string]struct {
		flag, after string
		then        func(string) error
	}{
		"browser": {"--no-browser", "Log in at ", func(at string) error { return p.LogIn(at, oidctest.Password) }},
		"device":  {"--device", "enter the code ", p.Approve},
	} {
		t.Run(name, func(t *testing.T) {
			config := noVariables(t)
			g := &cannedGateway{frames: []*gatewayv1.QueryResponse{{Summary: &gatewayv1.QuerySummary{Complete: true}}}, datasets: make([]*gatewayv1.OfferedDataset, 3)}
			flags := startCanned(t, g)
			args := append(flags[:4:4], "--oidc-issuer", p.URL, "--oidc-client-id", oidctest.Client, "--oidc-ca-file", p.CAFile, "--context", "police", way.flag)
			done := make(chan error, 1)
			out, err := runShown(newLoginCommand(), way.after, func(what string) { done <- way.then(what) }, args...)
			if err != nil || !strings.Contains(out, "as context police: you may ask under 3 clauses") {
				t.Fatalf("%v\n%s", err, out)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			onlyOwners(t, config)

			if _, errs, err := runCommand(newQueryCommand(), anyQuery...); err != nil || subjectOf(t, g.token) != oidctest.User {
				t.Errorf("asked as %q: %v %s", subjectOf(t, g.token), err, errs)
			}
			bearer := strings.TrimPrefix(g.token[0], "Bearer ")
			out, _, err = runCommand(newWhoamiCommand())
			if err != nil || !strings.Contains(out, oidctest.User) || !strings.Contains(out, "yes; you may ask under 3 clauses") || strings.Contains(out, bearer) {
				t.Errorf("%v\n%s", err, out)
			}

			other := &cannedGateway{frames: g.frames}
			if _, _, err := runCommand(newQueryCommand(), append(anyQuery[:5:5], startCanned(t, other)[:4]...)...); err != nil || len(other.token) > 0 {
				t.Errorf("another gateway got %d tokens: %v", len(other.token), err)
			}

			if out, _, err = runCommand(newLogoutCommand()); err != nil || !strings.Contains(out, "Logged out of context police") {
				t.Fatalf("%v\n%s", err, out)
			}
			if _, _, err := runCommand(newQueryCommand(), anyQuery...); err == nil || !strings.Contains(err.Error(), "entente login --context police") {
				t.Errorf("after the logout: %v", err)
			}
		})
	}
}

// onlyOwners holds the modes of everything that entente login wrote.
func onlyOwners(t *testing.T, config string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(filepath.Dir(config), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		info, err := d.Info()
		if err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %#o", d.Name(), info.Mode().Perm())
		}
		return err
	})
	if err != nil || files != 2 {
		t.Errorf("%d files: %v", files, err)
	}
}

// TestLoginOfAnApplication: by its secret, which is not printed, and goes with --forget.
func TestLoginOfAnApplication(t *testing.T) {
	config := noVariables(t)
	p := oidctest.Start(t)
	g := &cannedGateway{frames: []*gatewayv1.QueryResponse{{Summary: &gatewayv1.QuerySummary{Complete: true}}}}
	login1 := append(startCanned(t, g)[:4:4], "--oidc-issuer", p.URL, "--oidc-client-id", oidctest.Application, "--oidc-ca-file", p.CAFile, "--client-secret-file", "-")
	cmd := newLoginCommand()
	cmd.SetIn(strings.NewReader("guessed\n"))
	if out, errs, err := runCommand(cmd, login1...); err == nil || strings.Contains(out+errs+err.Error(), "guessed") {
		t.Errorf("a wrong secret: %v", err)
	}
	if _, err := os.Stat(config); err == nil {
		t.Error("a login that failed left a context")
	}
	cmd = newLoginCommand()
	cmd.SetIn(strings.NewReader(oidctest.ApplicationSecret + "\n"))
	if out, errs, err := runCommand(cmd, login1...); err != nil || strings.Contains(out+errs, oidctest.ApplicationSecret) {
		t.Fatalf("%v\n%s", err, out)
	}
	onlyOwners(t, config)
	// Again, by its name only: the secret is kept.
	if _, _, err := runCommand(newLoginCommand(), "--context", "127.0.0.1"); err != nil {
		t.Error(err)
	}
	if _, _, err := runCommand(newQueryCommand(), anyQuery...); err != nil || subjectOf(t, g.token) != oidctest.Application {
		t.Errorf("asked as %q: %v", subjectOf(t, g.token), err)
	}
	if _, _, err := runCommand(newLogoutCommand(), "--forget"); err != nil {
		t.Error(err)
	}
	store := login.Store{Path: config, Tokens: config + ".tokens"}
	if file, err := store.Load(); err != nil || len(file.Contexts) != 0 {
		t.Errorf("%+v %v", file, err)
	}
	if token, err := store.LoadToken("127.0.0.1"); err != nil || token.ClientSecret != "" || token.Bearer != "" {
		t.Errorf("after --forget: %v", err)
	}
}

// TestLoginOneWay: who somebody is, is said in one way.
func TestLoginOneWay(t *testing.T) {
	noVariables(t)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"none":          {[]string{"--server", "x:1"}, "say who you are"},
		"two":           {[]string{"--server", "x:1", "--service-account", "a", "--token-file", "b"}, "none of the others can be"},
		"no gateway":    {[]string{"--service-account", "a"}, "--server host:port"},
		"no port":       {[]string{"--server", "x", "--service-account", "a"}, "is not host:port"},
		"a name of ..":  {[]string{"--server", "x:1", "--service-account", "a", "--context", "../x"}, "cannot name a context"},
		"no such":       {[]string{"--context", "police"}, `no context "police"`},
		"no key":        {[]string{"--server", "x:1", "--client-certificate", "a"}, "go together"},
		"not loopback":  {[]string{"--server", "x:1", "--oidc-issuer", "https://x", "--oidc-client-id", "y", "--callback-address", "0.0.0.0:0"}, "loopback"},
		"no client":     {[]string{"--server", "x:1", "--oidc-issuer", "https://x"}, "oidc-client-id"},
		"no such file":  {[]string{"--server", "x:1", "--token-file", "/nonexistent/token"}, "no such file"},
		"secret, alone": {[]string{"--server", "x:1", "--service-account", "a", "--client-secret-file", "-"}, "goes with --oidc-issuer"},
	} {
		if _, _, err := runCommand(newLoginCommand(), c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhoamiByVariables: what it says is of whom the queries ask as, where variables and no context say it.
func TestWhoamiByVariables(t *testing.T) {
	noVariables(t)
	g := &cannedGateway{datasets: make([]*gatewayv1.OfferedDataset, 3)}
	flags := startCanned(t, g)
	for i := 0; i+1 < len(flags); i += 2 {
		t.Setenv("ENTENTE_"+strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(flags[i], "--"), "-", "_")), flags[i+1])
	}
	for _, name := range []string{"CLIENT_CERTIFICATE", "CLIENT_KEY", "TOKEN_FILE"} {
		t.Setenv("ENTENTE_"+name, "")
	}
	if _, _, err := runCommand(newWhoamiCommand()); err == nil || !strings.Contains(err.Error(), "entente login") {
		t.Errorf("nothing says who: %v", err)
	}
	token := filepath.Join(t.TempDir(), "token")
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://login.example","sub":"ines"}`))
	if err := os.WriteFile(token, []byte("e30."+claims+".x"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ENTENTE_TOKEN_FILE", token)
	out, _, err := runCommand(newWhoamiCommand())
	if err != nil || !strings.Contains(out, "ines") || !strings.Contains(out, "yes; you may ask under 3 clauses") || strings.Contains(out, claims) {
		t.Errorf("%v\n%s", err, out)
	}
}
