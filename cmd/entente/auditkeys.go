package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/gateway/audit"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

// logKeyFlags say where the keys of a log's payloads are: in a file, or with Vault.
type logKeyFlags struct {
	file, agency string
	vault        gwvault.Config
}

func (f *logKeyFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.file, "key-file", "", "local key of a standalone installation's log (default: the folder's name with .key, if it is there)")
	fl.StringVar(&f.agency, "agency", "", "agency whose Vault has the log's key: log in with VAULT_ADDR and VAULT_TOKEN, or with --vault-jwt-file")
	fl.StringVar(&f.vault.Address, "vault-address", "", "address of Vault (default: VAULT_ADDR)")
	fl.StringVar(&f.vault.CACert, "vault-ca-file", "", "PEM file of the authority of Vault's certificate (default: VAULT_CACERT)")
	fl.StringVar(&f.vault.Mounts.Prefix, "vault-mount-prefix", gwvault.DefaultPrefix, "where the agency's mounts are")
	fl.StringVar(&f.vault.JWTPath, "vault-jwt-file", "", "projected service account token to log in with as the gateway")
	cmd.MarkFlagsMutuallyExclusive("key-file", "agency")
}

// ring is nil when none is named: then it is the local key beside the folder, if that is there.
func (f *logKeyFlags) ring() (audit.KeyRing, error) {
	switch {
	case f.agency != "":
		if f.vault.JWTPath != "" {
			f.vault.Role = gwvault.RoleGateway
		}
		session, err := gwvault.NewSession(f.vault)
		if err != nil {
			return nil, err
		}
		return gwvault.LogKeys{Session: session, Agency: f.agency}, nil
	case f.file != "":
		keys, err := audit.ReadLocalKeys(f.file)
		if err != nil {
			return nil, fmt.Errorf("--key-file: %v", err) // not a log that is missing
		}
		return keys, nil
	}
	return nil, nil
}

// read are the options to read the log with.
func (f *logKeyFlags) read(ctx context.Context) ([]audit.ReadOption, error) {
	ring, err := f.ring()
	if ring == nil || err != nil {
		return nil, err
	}
	return []audit.ReadOption{audit.WithKeys(ctx, ring)}, nil
}

// noLog says what to do when there is no log, or no key, rather than that a file is missing.
func noLog(err error, dir string) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is not a gateway's log: want the folder that has the file origin in it", dir)
	}
	return keyless(err)
}

// keyless says what to do when there is no key.
func keyless(err error) error {
	if errors.Is(err, audit.ErrSealed) {
		return fmt.Errorf("%w: name the agency whose Vault has it (--agency, with VAULT_ADDR and VAULT_TOKEN), or the file (--key-file)", err)
	}
	return err
}
