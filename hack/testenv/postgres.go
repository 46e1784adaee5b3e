package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresOptions says what PostgreSQL to start. The zero value is useful.
type PostgresOptions struct {
	// Dir gets the log and the certificate authority, and the data if the server's user can reach it. Empty: a temporary folder
	// that Stop removes.
	Dir string
	// NoSync lets commits return before they are on the disk. Not for benchmarks.
	NoSync bool
	// Settings are further lines of postgresql.conf, which win over those set here. Values are quoted.
	Settings map[string]string
	// Progress, if set, is told what has started and how long it took.
	Progress io.Writer
}

// Postgres is a running server. It takes TLS connections on 127.0.0.1 only, and plain ones on its socket, with passwords by
// SCRAM-SHA-256.
type Postgres struct {
	dir      workDir
	data     workDir // what the server's own user owns
	bin      string
	user     *syscall.Credential // nil: this process's user
	port     port
	password string
	caFile   string

	mu      sync.Mutex
	process *process
}

// StartPostgres makes a new database cluster and starts it.
func StartPostgres(ctx context.Context, o PostgresOptions) (_ *Postgres, err error) {
	began := time.Now()
	tools, err := Tools(ctx, PostgresTools)
	if err != nil {
		return nil, err
	}
	p := &Postgres{bin: tools.PostgresBin, password: rand.Text()}
	if p.dir, err = newWorkDir(o.Dir, "postgres"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Stop())
		}
	}()
	if p.port, err = freePort(); err != nil {
		return nil, err
	}
	if p.user, err = serverUser(); err != nil {
		return nil, err
	}
	if p.data, err = newDataDir(p.dir, p.user); err != nil {
		return nil, err
	}
	if err := p.initialise(ctx); err != nil {
		return nil, err
	}
	if err := p.configure(o); err != nil {
		return nil, err
	}
	p.process = &process{
		path: filepath.Join(p.bin, "postgres"), args: []string{"-D", p.cluster()},
		env: p.serverEnv(), dir: p.data.path, logFile: p.dir.file("postgres.log"), user: p.user,
		orphaned: syscall.SIGQUIT, // so that it takes its children along
	}
	if err := p.Up(ctx); err != nil {
		return nil, err
	}
	progress(o.Progress, began, "PostgreSQL serves at %s", p.Addr())
	return p, nil
}

func (p *Postgres) cluster() string { return p.data.file("data") }

// serverEnv is this process's environment without what would steer PostgreSQL.
func (p *Postgres) serverEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "PG") })
}

// initialise runs initdb.
func (p *Postgres) initialise(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	passwordFile, err := p.data.write("password", []byte(p.password))
	if err != nil {
		return err
	}
	defer os.Remove(passwordFile)
	if err := p.own(passwordFile); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "initdb"), "--pgdata="+p.cluster(), "--username=postgres",
		"--pwfile="+passwordFile, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	cmd.Env, cmd.Dir = p.serverEnv(), p.data.path
	cmd.SysProcAttr = withDeathSignal(syscall.SIGKILL, p.user)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err = onStarter(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("testenv: initdb in %s: %w: %s", p.data.path, err, strings.TrimSpace(out.String()))
	}
	return nil
}

// Addr is the host and port.
func (p *Postgres) Addr() string { return p.port.addr() }

// Port is the port on 127.0.0.1.
func (p *Postgres) Port() int { return p.port.number }

// SocketDir is the folder of the Unix socket, as a host in a connection string.
func (p *Postgres) SocketDir() string { return p.data.path }

// Superuser is the superuser's name and password.
func (p *Postgres) Superuser() (user, password string) { return "postgres", p.password }

// CAFile is the PEM file of the authority that the server's certificate is from.
func (p *Postgres) CAFile() string { return p.caFile }

// URL is a connection string for a user of a database, by TCP with a verified server certificate.
func (p *Postgres) URL(database, user, password string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password), Host: p.Addr(), Path: "/" + database,
		RawQuery: url.Values{"sslmode": {"verify-full"}, "sslrootcert": {p.caFile}}.Encode(),
	}
	return u.String()
}

// AdminURL is URL for the superuser.
func (p *Postgres) AdminURL(database string) string { return p.URL(database, "postgres", p.password) }

// VaultURL is the connection_url for Vault's database engine, in which Vault puts the user and the password.
func (p *Postgres) VaultURL(database string) string {
	return strings.Replace(p.URL(database, "user", "password"), "user:password@", "{{username}}:{{password}}@", 1)
}

// Exec runs SQL statements, separated by semicolons, as the superuser.
func (p *Postgres) Exec(ctx context.Context, database, sql string) error {
	c, err := pgx.Connect(ctx, p.AdminURL(database))
	if err != nil {
		return fmt.Errorf("testenv: %w", err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	if _, err := c.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("testenv: %.200s: %w", sql, err)
	}
	return nil
}

// CreateDatabase creates a database, owned by the superuser.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) error {
	return p.Exec(ctx, "postgres", "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
}

func (p *Postgres) ready(ctx context.Context) error { return p.Exec(ctx, "postgres", "SELECT 1") }

// stopTimeout is generous: a postmaster that is killed leaves its children, and with them the server does not start again.
const stopTimeout = time.Minute

// Down stops the server, which ends all sessions. The data stay.
func (p *Postgres) Down() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process.stop(syscall.SIGINT, stopTimeout)
}

// Crash stops the server as a crash of its machine would: it recovers from its log in the next Up.
func (p *Postgres) Crash() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process.stop(syscall.SIGQUIT, stopTimeout)
}

// Up starts the server after Down or Crash, and returns when it answers. (For a server that hangs, put a Proxy before it.)
func (p *Postgres) Up(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.process.running() {
		if err := p.process.start(); err != nil {
			return err
		}
	}
	return p.process.waitReady(ctx, p.ready)
}

// Stop ends the server for good and deletes its data. It may be called more than once.
func (p *Postgres) Stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	errs := []error{p.process.stop(syscall.SIGQUIT, stopTimeout)}
	if p.data.path != "" {
		errs = append(errs, os.RemoveAll(p.data.path))
	}
	if p.port.release != nil {
		errs = append(errs, p.port.release())
		p.port.release = nil
	}
	return errors.Join(append(errs, p.dir.remove())...)
}
