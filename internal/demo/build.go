package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/internal/demo/data"
)

// build brings the agreement into force by the way that people go.
func (s *stage) build(ctx context.Context) error {
	if err := s.takePorts(); err != nil {
		return err
	}
	if err := writeFiles(s.root, s.agencies, time.Now()); err != nil {
		return err
	}
	for _, do := range []struct {
		what, how string
		run       func(context.Context) (string, error)
	}{
		{"synthetic records", "", s.generate},
		{"agencies introduce each other", "entente agency export --config labor-inspectorate > state-police/peer-labor-inspectorate.yaml", s.introduce},
		{"three installations start", "entente standalone --config state-police", s.start},
		{"privacy officers accept", "entente agreement decide " + agreement + " --accept --role privacy-officer --config state-police …", s.accept},
		{"signatures are exchanged", "entente agreement signature export " + agreement + " --config labor-inspectorate | \\\n  entente agreement signature import " + agreement + " -f - --config state-police", s.exchangeSignatures},
		{"in force everywhere", "", s.inForce},
		{"an analyst at each agency", "entente standalone user analyst --config state-police --out people/state-police", s.hire},
	} {
		began := time.Now()
		told, err := do.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", do.what, err)
		}
		s.out.line("   %s %-31s %s %s", s.out.paint(green, "✓"), do.what, s.out.paint(dim, fmt.Sprintf("%4.1f s", time.Since(began).Seconds())), told)
		for i, l := range strings.Split(do.how, "\n") {
			if l != "" {
				s.out.line("     %s%s", s.out.paint(dim, []string{"$ ", "  "}[min(i, 1)]), s.out.paint(cyan, l))
			}
		}
	}
	return nil
}

// takePorts finds free ports; all are held until all are found, so that no two are the same.
func (s *stage) takePorts() error {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for _, a := range s.agencies {
		for _, p := range []*string{&a.Ports.REST, &a.Ports.GRPC, &a.Ports.Peer, &a.Ports.Exchange, &a.Ports.Health} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			held = append(held, l)
			*p = l.Addr().String()
		}
	}
	return nil
}

func (s *stage) generate(ctx context.Context) (string, error) {
	path := func(file string) string {
		for _, a := range s.agencies {
			if data.Databases[a.Name] == file {
				return filepath.Join(a.dir, "records", file)
			}
		}
		return filepath.Join(s.root, file)
	}
	const total = 3 * data.Population
	rows, err := data.Generate(ctx, path, func(done int) { s.out.progress("synthetic records", float64(done)/total) })
	if err != nil {
		return "", err
	}
	told := fmt.Sprintf("%d people:", data.Population)
	for _, a := range s.agencies {
		told += fmt.Sprintf(" %s knows %d,", a.Name, rows[data.Databases[a.Name]])
	}
	return strings.TrimSuffix(told, ","), nil
}

// eachPair does something for every ordered pair of agencies.
func (s *stage) eachPair(do func(from, to *agency) error) error {
	for _, from := range s.agencies {
		for _, to := range s.agencies {
			if from == to {
				continue
			}
			if err := do(from, to); err != nil {
				return fmt.Errorf("%s → %s: %w", from.Name, to.Name, err)
			}
		}
	}
	return nil
}

func (s *stage) introduce(ctx context.Context) (string, error) {
	exported := map[*agency][]byte{}
	return "", s.eachPair(func(from, to *agency) error {
		if exported[from] == nil {
			text, err := s.command(ctx, "agency", "export", "--config", from.dir)
			if err != nil {
				return err
			}
			exported[from] = text
		}
		return os.WriteFile(filepath.Join(to.dir, "peer-"+from.Name+".yaml"), exported[from], 0o644)
	})
}

func (s *stage) startAgency(a *agency) error {
	return s.troupe.start(a.Name, filepath.Join(a.dir, ".entente", "standalone.log"), s.Binary,
		"standalone", "--config", a.dir, "--rest-address", a.Ports.REST, "--grpc-address", a.Ports.GRPC,
		"--peer-address", a.Ports.Peer, "--exchange-address", a.Ports.Exchange, "--metrics-address", a.Ports.Health)
}

func (s *stage) start(ctx context.Context) (string, error) {
	for _, a := range s.agencies {
		if err := s.startAgency(a); err != nil {
			return "", err
		}
	}
	for _, a := range s.agencies {
		if err := s.until(ctx, func() error { return ready(ctx, a.Ports.Health) }); err != nil {
			return "", fmt.Errorf("%s is not ready: %w", a.Name, err)
		}
	}
	return "", nil
}

func ready(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// patience is how long anything may take that should take moments.
const patience = 30 * time.Second

// until tries again until it succeeds, somebody stops it, a child dies, or patience ends.
func (s *stage) until(ctx context.Context, try func() error) error {
	deadline := time.After(patience)
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case dead := <-s.troupe.died:
			return dead
		case <-deadline:
			return fmt.Errorf("not within %s: %w", patience, err)
		case <-time.After(25 * time.Millisecond):
		}
	}
}

func (s *stage) accept(ctx context.Context) (string, error) {
	for _, a := range s.agencies {
		if _, err := s.command(ctx, "agreement", "decide", agreement, "--accept", "--role", "privacy-officer",
			"--decided-by", "privacy-officer@"+a.TrustDomain, "--config", a.dir); err != nil {
			return "", err
		}
	}
	for _, a := range s.agencies {
		if err := s.state(ctx, a, agreement, v1alpha1.StateSigned); err != nil {
			return "", err
		}
	}
	return "", nil
}

// state waits for a state of an agreement at an agency.
func (s *stage) state(ctx context.Context, a *agency, name string, want v1alpha1.AgreementState) error {
	return s.until(ctx, func() error {
		status, err := a.folder().Status(name)
		if err != nil {
			return err
		}
		if status.Status.State == want {
			return nil
		}
		said := ""
		for _, c := range status.Status.Conditions {
			if c.Status != "True" {
				said += "; " + c.Message
			}
		}
		return fmt.Errorf("%s has %s as %s%s", a.Name, name, status.Status.State, said)
	})
}

func (s *stage) exchangeSignatures(ctx context.Context) (string, error) {
	return "", s.exchangeSignaturesOn(ctx, agreement, s.agencies)
}

// exchangeSignaturesOn brings each party's signature on an agreement to the others.
func (s *stage) exchangeSignaturesOn(ctx context.Context, name string, parties []*agency) error {
	for _, from := range parties {
		text, err := s.command(ctx, "agreement", "signature", "export", name, "--config", from.dir)
		if err != nil {
			return err
		}
		file := filepath.Join(s.root, from.Name+".signature.yaml")
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return err
		}
		for _, to := range parties {
			if to == from {
				continue
			}
			if _, err := s.command(ctx, "agreement", "signature", "import", name, "-f", file, "--config", to.dir); err != nil {
				return err
			}
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) inForce(ctx context.Context) (string, error) {
	for _, a := range s.agencies {
		if err := s.state(ctx, a, agreement, v1alpha1.StateInForce); err != nil {
			return "", err
		}
	}
	return agreement, nil
}

func (s *stage) hire(ctx context.Context) (string, error) {
	for _, a := range s.agencies {
		dir := filepath.Join(s.root, "people", a.Name)
		if _, err := s.command(ctx, "standalone", "user", "analyst", "--config", a.dir, "--out", dir); err != nil {
			return "", err
		}
		c, err := newClient(a.Ports, dir)
		if err != nil {
			return "", err
		}
		lines := "# What `entente query` needs: . " + filepath.Join(dir, "env") + "\n"
		for _, v := range c.env() {
			lines += "export " + v + "\n"
		}
		if err := os.WriteFile(filepath.Join(dir, "env"), []byte(lines), 0o644); err != nil {
			return "", err
		}
		s.people[a.Name] = c
	}
	return "", nil
}
