package stack

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/entente-dev/entente/hack/testenv"
)

func (s *Stack) startVault(ctx context.Context) (err error) {
	began := time.Now()
	if s.Vault, err = testenv.StartVault(ctx, testenv.VaultOptions{Dir: filepath.Join(s.Dir, "vault")}); err != nil {
		return err
	}
	s.told(began, "Vault serves at %s", s.Vault.Address())
	return nil
}

// connection is the name by which Datasets refer to an agency's database.
const connection = "records"

// bootstrapVault sets up the agency's part of Vault by the command that its platform team uses.
func (s *Stack) bootstrapVault(ctx context.Context, a *Agency) error {
	host, _, err := net.SplitHostPort(a.Addresses.REST)
	if err != nil {
		return err
	}
	out, err := s.commandWith(ctx, s.Vault.Environment(), "bootstrap", "vault",
		"--agency", a.Name, "--trust-domain", a.TrustDomain, "--mount-prefix", a.Short, "--kubeconfig", s.Kubeconfig,
		"--gateway-name", host, "--gateway-name", "localhost",
		"--database", fmt.Sprintf("name=%s,url=%s,username=%s,password-file=%s,ca-file=%s",
			connection, s.Postgres.VaultURL(a.Short), a.admin(), a.File("admin.password"), s.Postgres.CAFile()),
		"--rotate-root")
	if err != nil {
		return err
	}
	if err := os.WriteFile(a.File("bootstrap-vault.txt"), []byte(out), 0o644); err != nil {
		return err
	}
	// Nobody needs it any more: Vault has replaced it.
	if err := os.Remove(a.File("admin.password")); err != nil {
		return err
	}
	return s.writeTrustBundle(ctx, a)
}

// writeTrustBundle writes the authority of the agency's gateway for the agency's own users.
func (s *Stack) writeTrustBundle(ctx context.Context, a *Agency) error {
	answer, err := s.Vault.Call(ctx, http.MethodGet, a.Short+"/pki/cert/ca_chain", nil)
	if err != nil {
		return err
	}
	data, _ := answer["data"].(map[string]any)
	text, _ := data["ca_chain"].(string)
	if text == "" {
		text, _ = data["certificate"].(string)
	}
	if block, _ := pem.Decode([]byte(text)); block == nil {
		return errors.New("vault has no authority for the agency's trust domain")
	}
	return os.WriteFile(a.File("ca.pem"), []byte(text), 0o644)
}

// SourceLeases lists the credentials for the agency's database that Vault has out under an agreement.
func (a *Agency) SourceLeases(ctx context.Context, agreementID string) ([]string, error) {
	answer, err := a.stack.Vault.Call(ctx, "LIST", "sys/leases/lookup/"+a.Short+"/database/creds/"+a.SourceRole(agreementID)+"/", nil)
	var ve *testenv.VaultError
	if errors.As(err, &ve) && ve.Status == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	data, _ := answer["data"].(map[string]any)
	keys, _ := data["keys"].([]any)
	for _, k := range keys {
		out = append(out, fmt.Sprint(k))
	}
	return out, nil
}

// SourceCredential has Vault make a user of the agency's database with the rights under an agreement, as for a gateway.
func (a *Agency) SourceCredential(ctx context.Context, agreementID string) (user, password string, err error) {
	answer, err := a.stack.Vault.Call(ctx, http.MethodGet, a.Short+"/database/creds/"+a.SourceRole(agreementID), nil)
	if err != nil {
		return "", "", err
	}
	data, _ := answer["data"].(map[string]any)
	user, _ = data["username"].(string)
	password, _ = data["password"].(string)
	if user == "" {
		return "", "", errors.New("vault gave no user")
	}
	return user, password, nil
}

// HasSourceRole says whether Vault could make such a user.
func (a *Agency) HasSourceRole(ctx context.Context, agreementID string) (bool, error) {
	_, err := a.stack.Vault.Call(ctx, http.MethodGet, a.Short+"/database/roles/"+a.SourceRole(agreementID), nil)
	var ve *testenv.VaultError
	if errors.As(err, &ve) && ve.Status == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}
