package testenv_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/entente-dev/entente/hack/testenv"
)

func TestPostgres(t *testing.T) {
	p := testenv.RequirePostgres(t, testenv.PostgresOptions{Progress: t.Output(), Settings: map[string]string{"application_name": "it's"}})
	ctx := t.Context()
	if err := p.CreateDatabase(ctx, "state-police"); err != nil {
		t.Fatal(err)
	}
	if err := p.Exec(ctx, "state-police", "CREATE TABLE person (name text); INSERT INTO person VALUES ('Ada')"); err != nil {
		t.Fatal(err)
	}

	count := func(url string) (n int, err error) {
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			return 0, err
		}
		defer c.Close(ctx)
		return n, c.QueryRow(ctx, "SELECT count(*) FROM person").Scan(&n)
	}
	url := p.AdminURL("state-police")
	if n, err := count(url); n != 1 || err != nil {
		t.Errorf("by TLS: %d, %v", n, err)
	}
	if _, err := count(p.URL("state-police", "postgres", "wrong")); err == nil || !strings.Contains(err.Error(), "password") {
		t.Errorf("with a wrong password: %v", err)
	}
	if _, err := count(strings.Replace(url, "sslmode=verify-full", "sslmode=disable", 1)); err == nil {
		t.Error("the server takes connections without TLS")
	}
	user, password := p.Superuser()
	socket := "host=" + p.SocketDir() + " port=" + strings.TrimPrefix(p.Addr(), "127.0.0.1:") + " dbname=state-police user=" + user + " password=" + password
	if n, err := count(socket); n != 1 || err != nil {
		t.Errorf("by the socket: %d, %v", n, err)
	}

	for name, end := range map[string]func() error{"Down": p.Down, "Crash": p.Crash} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if _, err := count(url); err == nil {
			t.Errorf("the server answers after %s", name)
		}
		if err := p.Up(ctx); err != nil {
			t.Fatal(err)
		}
		if n, err := count(url); n != 1 || err != nil {
			t.Errorf("up again after %s: %d, %v", name, n, err)
		}
	}
}
