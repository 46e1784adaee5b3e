package vault_test

import (
	"testing"

	"github.com/entente-dev/entente/controllers/vault/vaulttest"
)

func TestMain(m *testing.M) { vaulttest.Main(m) }
