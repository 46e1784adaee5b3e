// Package e2e tests the whole: three agencies on a real kube-apiserver, Vault and PostgreSQL, an operator and a gateway of each as
// processes of the real binary.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/hack/testenv"
	"github.com/entente-dev/entente/internal/demo/data"
)

// shared is the stack of all tests of the package; nil under -short.
var shared *stack.Stack

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		if testing.Short() {
			return m.Run()
		}
		ctx, interrupted := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer interrupted()
		binary, remove, err := build(ctx)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer remove()
		s, err := stack.Start(ctx, stack.Options{Dir: os.Getenv("E2E_DIR"), Entente: binary, Log: os.Stdout})
		if s != nil {
			defer func() {
				if err := s.Stop(); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
			}()
		}
		if err == nil {
			err = s.Share(ctx)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		shared = s
		return m.Run()
	}())
}

// build builds the binary, unless ENTENTE_BIN names one, and says how long it took. (The stack's files stay where E2E_DIR says.)
func build(ctx context.Context) (binary string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "entente-bin-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	began := time.Now()
	if binary, err = testenv.BuildEntente(ctx, dir); err != nil {
		remove()
		return "", nil, err
	}
	fmt.Printf("entente built (%.1f s)\n", time.Since(began).Seconds())
	return binary, remove, nil
}

// scene is what the parts share.
type scene struct {
	*stack.Stack
	police, labor, border *stack.Agency
}

// The parts come in this order and leave the agreement of config/samples in force.
func TestThreeAgencies(t *testing.T) {
	if shared == nil {
		t.Skip("needs real servers: not under -short")
	}
	s := &scene{Stack: shared, police: shared.Agency(stack.Police), labor: shared.Agency(stack.Labor), border: shared.Agency(stack.Border)}
	for _, part := range []struct {
		name string
		run  func(*testing.T, *scene)
	}{
		{"resources tell the story", story},
		{"records over REST", recordsOverREST},
		{"records over gRPC", recordsOverGRPC},
		{"existence and counts", lesserGranularity},
		{"what no clause permits", notPermitted},
		{"strangers", strangers},
		{"PostgreSQL has exactly the agreed columns", columnGrants},
		{"both logs hold the disclosure", bothLogs},
		{"accounts from the log", accounts},
		{"the logs of both sides are compared", logsCompared},
		{"the way to a peer is checked", peerChecked},
		{"a decision in another's name", anothersName},
		{"broken agreements are not programmed", broken},
		{"apply to enforced, suspend to denied", latencies},
		{"suspended here, denied there", revocation},
		{"suspension ends everything", suspension},
		{"PostgreSQL down", postgresDown},
		{"Vault down", vaultDown},
		{"API server down", apiServerDown},
		{"gateway killed", gatewayKilled},
		{"rolling restart under load", rolling},
		{"operator killed during a suspension", operatorKilled},
		{"the life of an agreement", life},
		{"this release and the one before", releases},
		{"deletion ends everything", deletion},
		{"logs are whole", logsAreWhole},
	} {
		ok := t.Run(part.name, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					for _, a := range s.Agencies {
						t.Log(a.Dump(stack.Agreement))
					}
				}
			}()
			part.run(t, s)
		})
		if !ok {
			t.Fatalf("the parts after %q need what it leaves behind", part.name)
		}
	}
}

// measured prints a time for people, and for those who keep times.
func measured(t *testing.T, what string, d time.Duration) {
	t.Helper()
	line := fmt.Sprintf("%s %.3f s", what, d.Seconds())
	t.Log(line)
	fmt.Println(line)
}

const investigation = "entente:trafficking-investigation"

// about is a question about one person, known by a document.
func about(p *data.Person) stack.Question {
	return stack.Question{
		Schema: "person", Filter: fmt.Sprintf("document_number == %q", p.Document), Purpose: investigation,
		Justification: stack.Justification{CaseReference: "HTF-2026-0417", SubjectRole: "victim"},
	}
}

func ask(t *testing.T, a *stack.Agency, q stack.Question) *stack.Answer {
	t.Helper()
	answer, err := a.Analyst.Ask(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// eventually asks again until the answer satisfies, and says when and what that was. Every answer before it must satisfy meanwhile.
func eventually(ctx context.Context, who *stack.Analyst, q stack.Question, meanwhile, enough func(*stack.Answer) bool) (time.Time, *stack.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		a, err := who.Ask(ctx, q)
		switch {
		case err != nil:
			return time.Time{}, nil, err
		case enough(a):
			return time.Now(), a, nil
		case meanwhile != nil && !meanwhile(a):
			return time.Time{}, a, fmt.Errorf("unexpected in between: %+v", a)
		}
		select {
		case <-ctx.Done():
			return time.Time{}, a, fmt.Errorf("%w; the last answer was %+v", ctx.Err(), a)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// outcome says whether an agency ended so.
func outcome(agency, want string) func(*stack.Answer) bool {
	return func(a *stack.Answer) bool { return a.Of(agency).Outcome == want }
}

// patience is how long anything may take that should take moments: the machine may be busy with other things.
const patience = 2 * time.Minute

// within tries again until what is missing is "".
func within(t *testing.T, missing func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		last := missing()
		if last == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, last)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in:\n%s", p, text)
		}
	}
}
