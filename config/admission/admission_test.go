// Package admission tests what is in this folder on a real API server.
package admission

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/hack/testenv"
)

const namespace = "state-police"

// person is who asks: a user, and the groups that the identity provider puts them in.
type person struct {
	user   string
	groups []string
}

var (
	officer = person{"privacy-officer@police.state.example", nil}
	member  = person{"kim@police.state.example", []string{"data-integrity-board"}}
	owner   = person{"system-owner@police.state.example", nil}
	duty    = person{"night@police.state.example", []string{"duty-officers"}}
	clerk   = person{"clerk@police.state.example", nil} // may file decisions, and decides in no role
	nobody  = person{"nobody@police.state.example", nil}
)

// world is a real API server with the roles and bindings of the samples.
type world struct {
	*testenv.Kube
	scheme *runtime.Scheme
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{testenv.RequireKube(t, testenv.KubeOptions{CRDDirs: []string{"../crd"}}), runtime.NewScheme()}
	if err := v1alpha1.AddToScheme(w.scheme); err != nil {
		t.Fatal(err)
	}
	clerks := filepath.Join(t.TempDir(), "clerks.yaml")
	err := os.WriteFile(clerks, []byte(`apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: clerks}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: entente-decider}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: `+clerk.user+`}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: renewals}
rules: [{apiGroups: [entente.dev], resources: [decisionroles], resourceNames: [system-owner], verbs: [renew]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: renewals}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: renewals}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: `+owner.user+`}]
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"create", "namespace", namespace},
		{"create", "namespace", "border-service"},
		{"apply", "-k", "."},
		{"apply", "-n", namespace, "-k", "../rbac"},
		{"apply", "-n", namespace, "-f", "../samples/people.yaml"},
		{"apply", "-n", namespace, "-f", clerks},
	} {
		if _, err := w.Kubectl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WaitRefused(t.Context(), "create", "--dry-run=server", "-n", namespace, "-f", "../samples/decision/accept.yaml"); err != nil {
		t.Fatal(err)
	}
	return w
}

// create creates a decision as a person.
func (w *world) create(ctx context.Context, as person, d *v1alpha1.AgreementDecision) error {
	config := w.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: as.user, Groups: as.groups}
	c, err := client.New(config, client.Options{Scheme: w.scheme})
	if err != nil {
		return err
	}
	return c.Create(ctx, d)
}

// renewals has a decision accept renewals in advance.
func renewals(d *v1alpha1.AgreementDecision) { d.Spec.Renewals = &v1alpha1.Renewals{When: "true"} }

func decision(by person, what v1alpha1.Decision, role string) *v1alpha1.AgreementDecision {
	return &v1alpha1.AgreementDecision{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "d-"},
		Spec: v1alpha1.AgreementDecisionSpec{
			Agreement: "anvil.v1", Digest: "sha256:" + strings.Repeat("A", 43), Decision: what, Role: role, DecidedBy: by.user,
		},
	}
}

// What each person may decide, and what they are told when they may not.
func TestWhoMayDecide(t *testing.T) {
	w := newWorld(t)
	const (
		notTheirs = " in role "
		noRole    = "spec.role is empty: say in which role you "
	)
	for _, c := range []struct {
		name string
		as   person
		what v1alpha1.Decision
		role string
		edit func(*v1alpha1.AgreementDecision)
		want []string // parts of the refusal; nil: allowed
	}{
		{"officer accepts", officer, v1alpha1.DecisionAccept, "privacy-officer", nil, nil},
		{"officer rejects", officer, v1alpha1.DecisionReject, "privacy-officer", nil, nil},
		{"officer suspends", officer, v1alpha1.DecisionSuspend, "privacy-officer", nil, nil},
		{"officer resumes", officer, v1alpha1.DecisionResume, "privacy-officer", nil, nil},
		{"officer terminates", officer, v1alpha1.DecisionTerminate, "privacy-officer", nil, nil},
		{"officer attests", officer, v1alpha1.DecisionAttest, "privacy-officer", func(d *v1alpha1.AgreementDecision) { d.Spec.Duty = "security" }, nil},
		{"member of the board, by a group", member, v1alpha1.DecisionAccept, "data-integrity-board", nil, nil},
		{"system owner", owner, v1alpha1.DecisionAccept, "system-owner", nil, nil},
		{"duty officer suspends", duty, v1alpha1.DecisionSuspend, "duty-officer", nil, nil},

		{"in another role", officer, v1alpha1.DecisionAccept, "system-owner", nil, []string{
			officer.user + " may not accept in role system-owner in namespace " + namespace, "a RoleBinding to a Role with the verb accept",
			"decisionroles of entente.dev named system-owner", "entente-decider-system-owner",
		}},
		{"in a role that nobody has", owner, v1alpha1.DecisionAccept, "chief", nil, []string{notTheirs + "chief", "entente-decider-chief"}},
		{"duty officer resumes", duty, v1alpha1.DecisionResume, "duty-officer", nil, []string{"may not resume in role duty-officer", "the verb resume"}},
		{"duty officer terminates", duty, v1alpha1.DecisionTerminate, "duty-officer", nil, []string{"may not terminate in role duty-officer"}},
		{"duty officer accepts", duty, v1alpha1.DecisionAccept, "duty-officer", nil, []string{"may not accept in role duty-officer"}},
		{"duty officer attests", duty, v1alpha1.DecisionAttest, "duty-officer", func(d *v1alpha1.AgreementDecision) { d.Spec.Duty = "security" }, []string{"may not attest in role duty-officer"}},
		{"the name of a group is no role", member, v1alpha1.DecisionAccept, "duty-officers", nil, []string{notTheirs + "duty-officers"}},
		{"a clerk claims a role", clerk, v1alpha1.DecisionAccept, "data-integrity-board", nil, []string{clerk.user + " may not accept in role data-integrity-board"}},
		{"a clerk stops", clerk, v1alpha1.DecisionSuspend, "privacy-officer", nil, []string{"may not suspend in role privacy-officer"}},
		{"a clerk without a role", clerk, v1alpha1.DecisionAccept, "", nil, []string{noRole + "accept"}},
		{"an officer without a role", officer, v1alpha1.DecisionTerminate, "", nil, []string{noRole + "terminate"}},
		{"the owner accepts a renewal in advance", owner, v1alpha1.DecisionAccept, "system-owner", renewals, nil},
		{"the officer does, without that right", officer, v1alpha1.DecisionAccept, "privacy-officer", renewals, []string{
			officer.user + " may not accept renewals in advance in role privacy-officer", "with the verb renew", "named privacy-officer",
		}},
		{"the owner does, in another role", owner, v1alpha1.DecisionAccept, "privacy-officer", renewals, []string{"may not accept in role privacy-officer"}},
		{"in another's name", officer, v1alpha1.DecisionAccept, "privacy-officer", func(d *v1alpha1.AgreementDecision) { d.Spec.DecidedBy = owner.user }, []string{
			"spec.decidedBy is " + owner.user + ", but you are " + officer.user,
		}},
		{"in another's name and role", officer, v1alpha1.DecisionAccept, "system-owner", func(d *v1alpha1.AgreementDecision) { d.Spec.DecidedBy = owner.user }, []string{
			"spec.decidedBy is " + owner.user,
		}},
		{"in another namespace", officer, v1alpha1.DecisionAccept, "privacy-officer", func(d *v1alpha1.AgreementDecision) { d.Namespace = "border-service" }, []string{
			"cannot create resource", // by RBAC itself
		}},
		{"nobody", nobody, v1alpha1.DecisionSuspend, "privacy-officer", nil, []string{"cannot create resource"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := decision(c.as, c.what, c.role)
			if c.edit != nil {
				c.edit(d)
			}
			err := w.create(t.Context(), c.as, d)
			if c.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !apierrors.IsForbidden(err) {
				t.Fatalf("not forbidden: %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %q", err, want)
				}
			}
		})
	}
	t.Run("it is not changed afterwards", func(t *testing.T) { w.checkUnchangeable(t) })
	t.Run("who may, can be asked", func(t *testing.T) { w.checkAsked(t) })
	t.Run("a right in one namespace is none in another", func(t *testing.T) { w.checkElsewhere(t) })
}

// checkUnchangeable: a right to write decisions is none to give them another role or author later.
func (w *world) checkUnchangeable(t *testing.T) {
	d := decision(officer, v1alpha1.DecisionSuspend, "privacy-officer")
	if err := w.create(t.Context(), officer, d); err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(w.Config(), client.Options{Scheme: w.scheme})
	if err != nil {
		t.Fatal(err)
	}
	d.Spec.Role = "system-owner"
	if err := admin.Update(t.Context(), d); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "create-only") {
		t.Errorf("its role was changed: %v", err)
	}
}

// checkAsked: `kubectl auth can-i --list` tells who may decide what. (Asked for one resource, it finds none that no API serves.)
func (w *world) checkAsked(t *testing.T) {
	for _, c := range []struct {
		as   person
		want string
	}{
		{officer, "decisionroles.entente.dev [] [privacy-officer] [accept reject suspend resume terminate attest]"},
		{duty, "decisionroles.entente.dev [] [duty-officer] [suspend]"},
		{clerk, ""},
	} {
		args := []string{"auth", "can-i", "--list", "-n", namespace, "--as", c.as.user}
		for _, g := range c.as.groups {
			args = append(args, "--as-group", g)
		}
		out, err := w.Kubectl(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "decisionroles.") {
				got += strings.Join(strings.Fields(line), " ")
			}
		}
		if got != c.want {
			t.Errorf("%v: %q, want %q", args, got, c.want)
		}
	}
}

// checkElsewhere: whoever may file decisions in another namespace has no role there by having it here.
func (w *world) checkElsewhere(t *testing.T) {
	_, err := w.Kubectl(t.Context(), "apply", "-n", "border-service", "-k", "../rbac")
	_, err2 := w.Kubectl(t.Context(), "create", "rolebinding", "clerks", "-n", "border-service", "--role=entente-decider", "--user="+officer.user)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	d := decision(officer, v1alpha1.DecisionAccept, "privacy-officer")
	d.Namespace = "border-service"
	if err := w.create(t.Context(), officer, d); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "in role privacy-officer in namespace border-service") {
		t.Errorf("%v", err)
	}
}
