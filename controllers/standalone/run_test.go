package standalone

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway"
)

// options of an installation on free ports.
func (a *agency) options() Options {
	const any = "127.0.0.1:0"
	return Options{
		Folder: a.folder, Listen: gateway.Addrs{REST: any, GRPC: any, Peer: any, Health: any}, Exchange: any,
		Logger: slog.New(slog.DiscardHandler),
	}
}

func TestRun(t *testing.T) {
	_, labor := inForceUntil(t, "2226-01-01T00:00:00Z") // what runs has the clock of this machine
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	o := labor.options()
	ready := make(chan Bound, 1)
	o.Ready = func(b Bound) { ready <- b }
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, o) }()
	var bound Bound
	select {
	case bound = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	if bound.Agency != "labor" || bound.Exchange == "" {
		t.Errorf("bound: %+v", bound)
	}
	resp, err := http.Get("http://" + bound.Gateway.Health + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("readiness: %s", resp.Status)
	}
	if err := Run(ctx, labor.options()); err == nil || !strings.Contains(err.Error(), "another") {
		t.Errorf("a second one on the same folder: %v", err)
	}

	labor.at = time.Now()
	labor.decide(v1alpha1.DecisionSuspend)
	for {
		status, err := labor.folder.Status("wages.v1")
		if err != nil {
			t.Fatal(err)
		}
		if status.Status.State == v1alpha1.StateSuspended {
			break
		}
		if time.Since(labor.at) > time.Minute {
			t.Fatalf("still %s", status.Status.State)
		}
		time.Sleep(time.Millisecond)
	}
	t.Logf("suspended within %s", time.Since(labor.at))
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRunRefusesFolder(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(a *agency)
		names []string
	}{
		"a member that is not known": {func(a *agency) { a.write("agency.yaml", agencyYAML("labor")+"  jurisdiction: [US]\n") }, []string{"agency.yaml", "spec.jurisdiction"}},
		"no agency of its own":       {func(a *agency) { a.remove("agency.yaml") }, []string{"Agency"}},
		"two agencies of its own":    {func(a *agency) { a.write("other.yaml", agencyYAML("other")) }, []string{"labor", "other", "--agency"}},
		"a resource twice":           {func(a *agency) { a.write("zz.yaml", agencyYAML("labor")) }, []string{"zz.yaml", "Agency/labor", "agency.yaml"}},
		"no folder":                  {func(a *agency) { a.folder.ConfigDir = filepath.Join(a.folder.ConfigDir, "none") }, []string{"none"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAgency(t, "labor")
			c.spoil(a)
			err := Run(t.Context(), a.options())
			for _, n := range c.names {
				if err == nil || !strings.Contains(err.Error(), n) {
					t.Errorf("error %v does not name %q", err, n)
				}
			}
			if name == "no folder" {
				if _, err := os.Stat(a.folder.ConfigDir); err == nil {
					t.Error("made the folder")
				}
			}
		})
	}
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	changed := watch(ctx, dir, slog.New(slog.DiscardHandler))
	write := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range []string{".hidden.yaml", "records.db", "notes.txt"} {
		write(other)
	}
	select {
	case <-changed:
		t.Error("told of a file that holds no resources")
	case <-time.After(50 * time.Millisecond):
	}
	write("a.yaml")
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Error("not told")
	}
}

// TestWatchPolls: without the kernel's help.
func TestWatchPolls(t *testing.T) {
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	changed := make(chan struct{}, 1)
	go look(ctx, dir, nil, changed)
	// What is there when it first looks is no change, and nobody is told when that is: so there is something new for as long as it takes.
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", time.Now().UnixNano())), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
			return
		case <-time.After(2 * poll):
		}
	}
	t.Error("not told")
}
