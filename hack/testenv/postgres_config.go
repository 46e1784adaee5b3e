package testenv

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// serverUser is whom PostgreSQL runs as: this process's user (nil), but never root, whom it refuses to serve.
func serverUser() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	var errs []error
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			errs = append(errs, err)
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("testenv: PostgreSQL does not run as root, and there is no other user for it (create one named postgres): %w", errors.Join(errs...))
}

// maxSocketPath is what fits into the address of a Unix socket, less the socket's name.
const maxSocketPath = 107 - len("/.s.PGSQL.65535.lock")

// newDataDir makes a folder that the server's user owns: in dir if that user can reach it and its path is short enough for a
// socket, else among the temporary files.
func newDataDir(dir workDir, owner *syscall.Credential) (workDir, error) {
	var errs []error
	for _, base := range []string{dir.path, os.TempDir(), "/tmp"} {
		if !reachable(base, owner) {
			errs = append(errs, fmt.Errorf("user %d cannot reach %s", owner.Uid, base))
			continue
		}
		path, err := os.MkdirTemp(base, "entente-pg-")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		d := workDir{path: path}
		if len(path) > maxSocketPath {
			err = fmt.Errorf("%s is too long for a socket", path)
		} else {
			err = chown(path, owner)
		}
		if err == nil {
			return d, nil
		}
		errs = append(errs, err, os.Remove(path))
	}
	return workDir{}, fmt.Errorf("testenv: no folder for PostgreSQL's data: %w", errors.Join(errs...))
}

// reachable: may another user pass through the folder and all above it?
func reachable(path string, who *syscall.Credential) bool {
	if who == nil {
		return true
	}
	for {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		parent := filepath.Dir(path)
		if parent == path {
			return true
		}
		path = parent
	}
}

func chown(path string, owner *syscall.Credential) error {
	if owner == nil {
		return nil
	}
	return os.Chown(path, int(owner.Uid), int(owner.Gid))
}

// own gives a file in the data folder to the server's user.
func (p *Postgres) own(path string) error {
	if err := chown(path, p.user); err != nil {
		return fmt.Errorf("testenv: %w", err)
	}
	return nil
}

// configure makes the certificates and writes postgresql.conf and pg_hba.conf.
func (p *Postgres) configure(o PostgresOptions) error {
	ca, err := newAuthority("entente-testenv-postgres")
	if err != nil {
		return err
	}
	cert, key, err := ca.server()
	if err != nil {
		return err
	}
	p.caFile = p.dir.file("postgres-ca.pem")
	if err := os.WriteFile(p.caFile, ca.pem, 0o644); err != nil {
		return fmt.Errorf("testenv: %w", err)
	}
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(p.port.number),
		"unix_socket_directories": p.data.path,
		"ssl":                     "on",
		"ssl_cert_file":           "server.crt", // from the data folder
		"ssl_key_file":            "server.key",
		"password_encryption":     "scram-sha-256",
		"max_connections":         "300",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
	}
	if o.NoSync {
		maps.Copy(settings, map[string]string{"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"})
	}
	maps.Copy(settings, o.Settings)
	var conf strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&conf, "%s = '%s'\n", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	const access = "local all all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
	for name, data := range map[string][]byte{
		"server.crt": cert, "server.key": key, "postgresql.conf": []byte(conf.String()), "pg_hba.conf": []byte(access),
	} {
		path, err := p.data.write(filepath.Join("data", name), data)
		if err != nil {
			return err
		}
		if err := p.own(path); err != nil {
			return err
		}
	}
	return nil
}
