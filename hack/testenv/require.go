package testenv

import (
	"context"
	"path/filepath"
	"testing"
)

// RequireKube is StartKube for one test: skipped under -short, stopped with the test, whose failure shows the logs' ends.
func RequireKube(tb testing.TB, o KubeOptions) *Kube {
	tb.Helper()
	ctx := require(tb, &o.Dir)
	return started(tb, o.Dir, func() (*Kube, error) { return StartKube(ctx, o) })
}

// RequireVault is StartVault for one test; see RequireKube.
func RequireVault(tb testing.TB, o VaultOptions) *Vault {
	tb.Helper()
	ctx := require(tb, &o.Dir)
	return started(tb, o.Dir, func() (*Vault, error) { return StartVault(ctx, o) })
}

// RequirePostgres is StartPostgres for one test; see RequireKube.
func RequirePostgres(tb testing.TB, o PostgresOptions) *Postgres {
	tb.Helper()
	ctx := require(tb, &o.Dir)
	return started(tb, o.Dir, func() (*Postgres, error) { return StartPostgres(ctx, o) })
}

func require(tb testing.TB, dir *string) context.Context {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs real servers: run without -short")
	}
	if *dir == "" {
		*dir = tb.TempDir()
	}
	return tb.Context()
}

func started[S interface{ Stop() error }](tb testing.TB, dir string, start func() (S, error)) S {
	tb.Helper()
	server, err := start()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
			for _, log := range logs {
				tb.Logf("the end of %s:\n%s", log, tail(log, 30))
			}
		}
		if err := server.Stop(); err != nil {
			tb.Errorf("stop: %v", err)
		}
	})
	return server
}
