// Command demo-kubernetes brings three agencies up on a real kube-apiserver, Vault and PostgreSQL for a person to play with, prints
// how, and takes everything away again at Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/internal/demo/data"
)

func main() {
	entente := flag.String("entente", "bin/entente", "the entente binary")
	dir := flag.String("dir", "", "folder for the files, which then stay; default: a temporary one")
	people := flag.Int("people", data.Population, "size of the synthetic population")
	once := flag.Bool("once", false, "stop when everything is up and was tried")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, stack.Options{Dir: *dir, Entente: *entente, People: *people, Log: os.Stderr}, *once)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o stack.Options, once bool) (err error) {
	began := time.Now()
	s, err := stack.Start(ctx, o)
	if err != nil {
		return stopped(ctx, err)
	}
	defer func() {
		fmt.Fprintln(os.Stderr, "\nStopping.")
		err = errors.Join(err, s.Stop())
	}()
	if err := s.Share(ctx); err != nil {
		return stopped(ctx, err)
	}
	if err := invite(ctx, s, time.Since(began)); err != nil {
		return stopped(ctx, err)
	}
	if once {
		return nil
	}
	return watch(ctx, s)
}

// stopped says it in a word when somebody stopped it.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("stopped")
	}
	return err
}

// watch waits for Ctrl-C, and tells when something ends by itself.
func watch(ctx context.Context, s *stack.Stack) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if ctx.Err() != nil {
				return nil // Ctrl-C reaches all processes at once
			}
			for _, a := range s.Agencies {
				if !a.Operator.Running() {
					return fmt.Errorf("the operator of %s ended:\n%s", a.Name, a.Operator.LogTail(20))
				}
				if !a.Gateway.Running() {
					return fmt.Errorf("the gateway of %s ended:\n%s", a.Name, a.Gateway.LogTail(20))
				}
			}
		}
	}
}

// question is about a person whom all three agencies know.
func question() stack.Question {
	return stack.Question{
		Schema: "person", Filter: fmt.Sprintf("document_number == %q", data.Marisol().Document), Purpose: "entente:trafficking-investigation",
		Justification: stack.Justification{CaseReference: "HTF-2026-0417", SubjectRole: "victim"},
	}
}

// invite tries what it prints, and says how to go on.
func invite(ctx context.Context, s *stack.Stack, took time.Duration) error {
	police, border := s.Agency(stack.Police), s.Agency(stack.Border)
	kubectl, entente := s.Kube.KubectlPath(), s.Entente
	q := question()
	answer, err := police.Analyst.Ask(ctx, q)
	if err != nil {
		return err
	}
	if len(answer.Records) != 2 {
		return fmt.Errorf("two records were expected of two agencies: %+v", answer)
	}
	resources, err := s.Kubectl(ctx, "get", "agr,gwr,dset,agency", "-n", police.Name)
	if err != nil {
		return err
	}
	fmt.Printf(`
Three agencies are up, after %.0f s; %s is in force at all of them, and a query of the police was just answered by two.
Nothing leaves this machine, and the people are synthetic. Files and logs: %s

To look around (kubectl is %s):

  export KUBECONFIG=%s PATH=%s:%s:$PATH

  kubectl get agr,gwr,dset,agency -n %s

%s
  kubectl describe agr %s -n %s
  kubectl explain agr.spec.terms.clauses

To ask, as the police's analyst, over REST and by the command (which speaks gRPC):

  %s

  . %s/env
  entente query person --filter '%s' \
    --purpose %s --case-reference %s --subject-role %s
  entente datasets

To suspend, as the privacy officer of the %s, whose answer is then DENIED at once, and to resume:

  entente agreement decide %s --suspend -n %s --as %s
  entente agreement decide %s --resume -n %s --as %s

To see in PostgreSQL that the role of the agreement has exactly the agreed columns, and is gone after the suspension:

  PGPASSWORD=%s psql 'host=127.0.0.1 port=%d user=postgres dbname=%s sslmode=require' -c '\du entente-*%s*' -c '\dp %s'

To see what was logged, on both sides:

  entente audit show --dir %s --since 1h
  entente audit show --dir %s --since 1h

`,
		took.Seconds(), stack.Agreement, s.Dir, kubectl,
		s.Kubeconfig, filepath.Dir(entente), filepath.Dir(kubectl),
		police.Name, indent(resources), stack.Agreement, police.Name,
		indentAfterFirst(police.Analyst.Curl(q)),
		police.Analyst.Dir, q.Filter, q.Purpose, q.Justification.CaseReference, q.Justification.SubjectRole,
		border.Name, stack.Agreement, border.Name, border.Officer, stack.Agreement, border.Name, border.Officer,
		password(s), s.Postgres.Port(), border.Short, border.Dataset, border.Relation,
		border.LogDir(), police.LogDir())
	rows := [][]string{{"AGENCY", "REST", "GRPC", "GATEWAY HEALTH", "OPERATOR HEALTH"}}
	for _, a := range s.Agencies {
		rows = append(rows, []string{a.Name, "https://" + a.Addresses.REST, a.Addresses.GRPC, "http://" + a.Addresses.Health + "/readyz", "http://" + a.Addresses.OperatorHealth + "/readyz"})
	}
	for _, r := range rows {
		fmt.Printf("  %-20s %-24s %-18s %-32s %s\n", r[0], r[1], r[2], r[3], r[4])
	}
	fmt.Printf("\nVault: %s\nIt stays up. Ctrl-C stops it and removes everything.\n", strings.Join(s.Vault.Environment(), " "))
	return nil
}

func password(s *stack.Stack) string {
	_, p := s.Postgres.Superuser()
	return p
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("    " + line)
	}
	return b.String()
}

func indentAfterFirst(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }
