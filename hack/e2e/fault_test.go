package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/internal/demo/data"
)

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }

// postgresDown: the sources are UNAVAILABLE soon and nothing hangs; afterwards they answer again by themselves.
func postgresDown(t *testing.T, s *scene) {
	must(t, s.Postgres.Down())
	t.Cleanup(func() { _ = s.Postgres.Up(context.Background()) })
	q := about(data.Marisol())
	began := time.Now()
	a := ask(t, s.police, q)
	took := time.Since(began)
	for _, name := range []string{stack.Labor, stack.Border} {
		if src := a.Of(name); src.Outcome != "UNAVAILABLE" {
			t.Errorf("%s: %+v", name, src)
		}
	}
	measured(t, "PostgreSQL down→UNAVAILABLE", took)
	if took > 25*time.Second { // the client itself waits for 30
		t.Error("past the deadline")
	}
	must(t, s.Postgres.Up(t.Context()))
	began = time.Now()
	at, _, err := eventually(t.Context(), s.police.Analyst, q, nil, func(a *stack.Answer) bool { return len(a.Records) == 2 })
	must(t, err)
	measured(t, "PostgreSQL up→answered", at.Sub(began))
}

// vaultDown: what was issued goes on, and conditions and metrics say that nothing can be issued.
func vaultDown(t *testing.T, s *scene) {
	expectMarisol(t, ask(t, s.police, about(data.Marisol())))
	must(t, s.Vault.Down())
	t.Cleanup(func() { _ = s.Vault.Up(context.Background()) })
	within(t, func() string {
		expectMarisol(t, ask(t, s.police, about(data.Marisol())))
		c, err := s.labor.Condition(t.Context(), stack.Agreement, v1alpha1.ConditionCredentialsReady)
		must(t, err)
		up, err := s.labor.OperatorMetric(t.Context(), "entente_operator_vault_up")
		must(t, err)
		if c.Status != metav1.ConditionUnknown || c.Reason != v1alpha1.ReasonVaultError || up != 0 {
			return fmt.Sprintf("CredentialsReady=%s %s, vault_up %v", c.Status, c.Reason, up)
		}
		return ""
	})
	c, err := s.labor.Condition(t.Context(), stack.Agreement, v1alpha1.ConditionInForce)
	must(t, err)
	if c.Status != metav1.ConditionTrue {
		t.Errorf("InForce without Vault: %+v", c)
	}

	// A suspension does not wait for Vault: the route ends now, the credentials as soon as they can be ended.
	officer, err := s.ClientAs(s.labor.Officer)
	must(t, err)
	decision, err := s.labor.Decision(t.Context(), stack.Agreement, v1alpha1.DecisionSuspend)
	must(t, err)
	q := about(data.Marisol())
	began, at := whileAsking(t, s.police, q, okOrCut(stack.Labor), outcome(stack.Labor, "DENIED"), func() error {
		return officer.Create(t.Context(), decision)
	})
	measured(t, "suspend→denied, without Vault", at.Sub(began))
	must(t, s.Vault.Up(t.Context()))
	within(t, func() string {
		if left := rolesOf(t, s, s.labor, stack.AgreementID); len(left) > 0 {
			return fmt.Sprintf("roles are left in PostgreSQL: %v", left)
		}
		return ""
	})
	must(t, s.labor.Decide(t.Context(), stack.Agreement, v1alpha1.DecisionResume))
	inForceAgain(t, s)
}

// apiServerDown: gateways serve the last routes, and hear of what was decided as soon as they can.
func apiServerDown(t *testing.T, s *scene) {
	must(t, s.Kube.Down())
	t.Cleanup(func() { _ = s.Kube.Up(context.Background()) })
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		expectMarisol(t, ask(t, s.police, about(data.Marisol())))
	}
	for _, a := range s.Agencies {
		if !a.Gateway.Running() || !a.Operator.Running() {
			t.Fatalf("%s: a process ended without the API server", a.Name)
		}
	}
	must(t, s.Kube.Up(t.Context()))
	// From here on decisions are heard again.
	officer, err := s.ClientAs(s.border.Officer)
	must(t, err)
	decision, err := s.border.Decision(t.Context(), stack.Agreement, v1alpha1.DecisionSuspend)
	must(t, err)
	q := about(data.Marisol())
	began, at := whileAsking(t, s.police, q, nil, outcome(stack.Border, "DENIED"), func() error { return officer.Create(t.Context(), decision) })
	measured(t, "suspend→denied, just after the API server's return", at.Sub(began))
	must(t, s.border.Decide(t.Context(), stack.Agreement, v1alpha1.DecisionResume))
	inForceAgain(t, s)
}

// gatewayKilled: a crashed gateway comes back with its routes and its log.
func gatewayKilled(t *testing.T, s *scene) {
	must(t, s.labor.Gateway.Kill())
	q := about(data.Marisol())
	if a := ask(t, s.police, q); a.Of(stack.Labor).Outcome != "UNAVAILABLE" || a.Of(stack.Border).Outcome != "OK" {
		t.Errorf("with a dead source: %+v", a)
	}
	began := time.Now()
	must(t, s.labor.StartGateway(t.Context()))
	at, _, err := eventually(t.Context(), s.police.Analyst, q, nil, func(a *stack.Answer) bool { return len(a.Records) == 2 })
	must(t, err)
	measured(t, "gateway restarted→answered", at.Sub(began))
	must(t, s.labor.WaitConditions(t.Context(), stack.Agreement, stack.InForce...))
	out, err := s.Command(t.Context(), "audit", "verify", "--dir", s.labor.LogDir())
	must(t, err)
	contains(t, out, "whole")
}

// operatorKilled: killed after the route ended and before the credentials did, the operator goes on where it was.
func operatorKilled(t *testing.T, s *scene) {
	expectMarisol(t, ask(t, s.police, about(data.Marisol())))
	officer, err := s.ClientAs(s.border.Officer)
	must(t, err)
	decision, err := s.border.Decision(t.Context(), stack.Agreement, v1alpha1.DecisionSuspend)
	must(t, err)
	must(t, officer.Create(t.Context(), decision))
	route := &v1alpha1.GatewayRoute{ObjectMeta: metav1.ObjectMeta{Name: stack.AgreementID}}
	for route.Spec.State != "Tombstone" {
		must(t, s.border.Get(t.Context(), route))
	}
	must(t, s.border.Operator.Kill())
	left := rolesOf(t, s, s.border, stack.AgreementID)
	t.Logf("killed with %d roles left in PostgreSQL", len(left))
	q := about(data.Marisol())
	_, _, err = eventually(t.Context(), s.police.Analyst, q, nil, outcome(stack.Border, "DENIED"))
	must(t, err)
	must(t, s.border.StartOperator(t.Context()))
	within(t, func() string {
		roles := rolesOf(t, s, s.border, stack.AgreementID)
		leases, err := s.border.SourceLeases(t.Context(), stack.AgreementID)
		must(t, err)
		has, err := s.border.HasSourceRole(t.Context(), stack.AgreementID)
		must(t, err)
		if len(roles)+len(leases) > 0 || has {
			return fmt.Sprintf("left: roles %v, leases %v, role in Vault %v", roles, leases, has)
		}
		return ""
	})
	if a := ask(t, s.police, q); a.Of(stack.Border).Outcome != "DENIED" {
		t.Errorf("after the operator's return: %+v", a.Of(stack.Border))
	}
	must(t, s.border.Decide(t.Context(), stack.Agreement, v1alpha1.DecisionResume))
	inForceAgain(t, s)
}

// deletion: an agreement goes only after its credentials are gone.
func deletion(t *testing.T, s *scene) {
	terms := narrow(t, s, "short-lived", "entente:short-lived")
	must(t, s.Agree(t.Context(), terms))
	q := about(data.Marisol())
	q.Purpose, q.Agencies = "entente:short-lived", []string{stack.Labor}
	_, _, err := eventually(t.Context(), s.police.Analyst, q, nil, outcome(stack.Labor, "OK"))
	must(t, err)
	if len(rolesOf(t, s, s.labor, terms.ID)) == 0 {
		t.Error("no role, though it answered")
	}
	_, err = s.Kubectl(t.Context(), "delete", "agr", stack.ObjectName(terms), "-n", s.labor.Name, "--as", s.labor.Platform, "--wait=false")
	must(t, err)
	within(t, func() string {
		o := &v1alpha1.SharingAgreement{ObjectMeta: metav1.ObjectMeta{Name: stack.ObjectName(terms)}}
		if err := s.labor.Get(t.Context(), o); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("it is still there, finalizers %v, %v", o.Finalizers, err)
		}
		return ""
	})
	if left := rolesOf(t, s, s.labor, terms.ID); len(left) > 0 {
		t.Errorf("it is gone, and %v are left", left)
	}
	if leases, err := s.labor.SourceLeases(t.Context(), terms.ID); err != nil || len(leases) > 0 {
		t.Errorf("leases %v %v", leases, err)
	}
	if a := ask(t, s.police, q); a.Of(stack.Labor).Outcome != "DENIED" || len(a.Records) > 0 {
		t.Errorf("after its deletion: %+v", a)
	}
}
