package e2e

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/hack/testenv"
	"github.com/entente-dev/entente/internal/demo/data"
)

// previousRelease is the commit of the release before this one, with which this one works together. Who makes a release writes its
// commit here.
//
//go:embed previous-release
var previousRelease string

// releases runs operators, gateways and exchanges of this release and of the one before together, each with each; then all of the
// one before on what this one left, and all of this one again.
func releases(t *testing.T, s *scene) {
	ctx := t.Context()
	before := previousBinary(t)
	now := s.Entente
	police, labor, border := s.police, s.labor, s.border
	for i, mix := range []struct {
		name                                 string
		laborOperator, laborGateway          string
		policeOperator, policeGateway, other string
	}{
		{"source: operator of this release, gateway of the one before; recipient: the reverse", now, before, before, now, before},
		{"source: operator of the release before, gateway of this one; recipient: the reverse", before, now, now, before, now},
		{"all of the release before, on what this one left", before, before, before, before, before},
		{"all of this release, on what the one before left", now, now, now, now, now},
	} {
		began := time.Now()
		for _, p := range []struct {
			program *testenv.Program
			binary  string
			start   func(context.Context) error
		}{
			{labor.Operator, mix.laborOperator, labor.StartOperator}, {labor.Gateway, mix.laborGateway, labor.StartGateway},
			{police.Operator, mix.policeOperator, police.StartOperator}, {police.Gateway, mix.policeGateway, police.StartGateway},
			{border.Operator, mix.other, border.StartOperator}, {border.Gateway, mix.other, border.StartGateway},
		} {
			if p.program.Path == p.binary {
				continue
			}
			must(t, p.program.Stop(patience))
			p.program.Path = p.binary
			if err := p.start(ctx); err != nil {
				t.Fatalf("%s: %v", mix.name, err)
			}
		}
		// What was in force still is.
		inForceAgain(t, s)
		// And the life of an agreement: proposed over the exchange, decided, answered, suspended by the recipient, resumed.
		terms := narrow(t, s, fmt.Sprintf("releases-%d", i), fmt.Sprintf("entente:releases-%d", i))
		name := stack.ObjectName(terms)
		q := about(data.Marisol())
		q.Purpose, q.Agencies = terms.Clauses[0].Purposes[0], []string{stack.Labor}
		must(t, labor.ApplyTerms(ctx, terms))
		must(t, labor.Accept(ctx, name))
		must(t, police.WaitState(ctx, name, v1alpha1.StateProposed))
		must(t, police.Accept(ctx, name))
		for _, a := range []*stack.Agency{labor, police} {
			if err := a.WaitConditions(ctx, name, stack.InForce...); err != nil {
				t.Fatalf("%s: %v", mix.name, err)
			}
		}
		for _, want := range []struct {
			decision v1alpha1.Decision
			outcome  string
		}{{"", "OK"}, {v1alpha1.DecisionSuspend, "DENIED"}, {v1alpha1.DecisionResume, "OK"}} {
			if want.decision != "" {
				must(t, police.Decide(ctx, name, want.decision))
			}
			if _, a, err := eventually(ctx, police.Analyst, q, nil, outcome(stack.Labor, want.outcome)); err != nil {
				t.Fatalf("%s: %s: %v (%+v)", mix.name, want.decision, err, a)
			}
		}
		t.Logf("%s: %.1f s", mix.name, time.Since(began).Seconds())
	}
	logsAreWhole(t, s)
}

// previousBinary builds the release before, once a machine.
func previousBinary(t *testing.T) string {
	t.Helper()
	commit := strings.TrimSpace(previousRelease)
	root, err := testenv.Root()
	must(t, err)
	cache, err := os.UserCacheDir()
	must(t, err)
	binary := filepath.Join(cache, "entente", "releases", commit, "entente")
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	git := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir, cmd.Stderr = root, os.Stderr
		return cmd
	}
	if git("cat-file", "-e", commit+"^{commit}").Run() != nil {
		t.Skipf("this clone does not have commit %s of the release before: git fetch --unshallow", commit)
	}
	began := time.Now()
	source := t.TempDir()
	archive := filepath.Join(t.TempDir(), "source.tar")
	must(t, git("archive", "--output", archive, commit).Run())
	out, err := exec.CommandContext(t.Context(), "tar", "-xf", archive, "-C", source).CombinedOutput()
	if err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	must(t, os.MkdirAll(filepath.Dir(binary), 0o755))
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary+".new", "./cmd/entente")
	build.Dir, build.Env = source, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build of %s: %v: %s", commit, err, out)
	}
	must(t, os.Rename(binary+".new", binary))
	t.Logf("the release before (%s) is built: %.1f s", commit, time.Since(began).Seconds())
	return binary
}
