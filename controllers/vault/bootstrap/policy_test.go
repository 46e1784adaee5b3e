package bootstrap

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	gwvault "github.com/entente-dev/entente/gateway/vault"
)

var update = flag.Bool("update", false, "write config/vault anew")

// The files of config/vault are for those who set Vault up by hand: the same policies, for an example agency.
func TestPolicyFiles(t *testing.T) {
	const agency, trustDomain = "state-police", "police.example.gov"
	for name, text := range map[string]string{
		"operator.hcl": OperatorPolicy(agency, trustDomain, gwvault.Mounts{}),
		"gateway.hcl":  GatewayPolicy(agency, gwvault.Mounts{}),
	} {
		path := filepath.Join("..", "..", "..", "config", "vault", name)
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(b) != text {
			t.Errorf("config/vault/%s is not what bootstrap writes: run go test ./controllers/vault/bootstrap -run TestPolicyFiles -update", name)
		}
	}
}
