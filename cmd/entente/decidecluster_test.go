package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/entente-dev/entente/hack/testenv"
)

// TestDecideCluster decides on a real API server with the admission policy and the people of the samples: what is refused says what to ask
// for, and whoever has one role need not say it.
func TestDecideCluster(t *testing.T) {
	kube := testenv.RequireKube(t, testenv.KubeOptions{CRDDirs: []string{"../../config/crd"}})
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := kube.WriteAdminKubeconfig(kubeconfig); err != nil {
		t.Fatal(err)
	}
	const police = "@police.state.example"
	for _, args := range [][]string{
		{"create", "namespace", "state-police"},
		{"apply", "-k", "../../config/admission"},
		{"apply", "-n", "state-police", "-k", "../../config/rbac"},
		{"apply", "-n", "state-police", "-f", "../../config/samples/people.yaml"},
		{"apply", "-n", "state-police", "-f", "../../config/samples/sharingagreement-harbor-task-force.yaml"},
		// Somebody with two roles, and somebody with none.
		{"create", "rolebinding", "more", "-n", "state-police", "--role=entente-decider-privacy-officer", "--user=system-owner" + police},
		{"create", "rolebinding", "clerks", "-n", "state-police", "--role=entente-decider", "--user=clerk" + police},
	} {
		if _, err := kube.Kubectl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := kube.WaitRefused(t.Context(), "create", "--dry-run=server", "-n", "state-police", "-f", "../../config/samples/decision/accept.yaml"); err != nil {
		t.Fatal(err)
	}
	const agreement = "harbor-task-force.v1"
	for _, c := range []struct {
		as    string
		flags []string
		code  int
		want  string
	}{
		{"privacy-officer", []string{"--accept"}, 0, "Accept " + agreement + " in role privacy-officer, digest sha256:"},
		{"privacy-officer", []string{"--suspend", "--role", "privacy-officer"}, 0, "Suspend " + agreement + " in role privacy-officer"},
		{"privacy-officer", []string{"--accept", "--role", "system-owner"}, 1,
			"Error: privacy-officer" + police + " may not accept in role system-owner in namespace state-police: decide in a role that is yours"},
		{"privacy-officer", []string{"--accept", "--decided-by", "chief" + police}, 1, "Error: spec.decidedBy is chief" + police},
		{"system-owner", []string{"--accept"}, 1, "--role says in which role you decide: you may in privacy-officer, system-owner"},
		{"system-owner", []string{"--terminate", "--role", "system-owner"}, 0, "Terminate " + agreement + " in role system-owner"},
		{"clerk", []string{"--suspend"}, 1, "you may not suspend in any role in namespace state-police: ask for a RoleBinding to a Role with the verb suspend"},
		{"clerk", []string{"--suspend", "--role", "privacy-officer"}, 1, "Error: clerk" + police + " may not suspend in role privacy-officer"},
		{"platform", []string{"--accept", "--role", "privacy-officer"}, 1, "ask for a RoleBinding to the Role entente-decider"},
		{"", []string{"--accept"}, 1, "--role says in which role you decide: you may in every one"},
	} {
		args := append([]string{"decide", agreement, "--kubeconfig", kubeconfig, "-n", "state-police"}, c.flags...)
		if c.as != "" {
			args = append(args, "--as", c.as+police)
		}
		out, code, err := runAgreement(t, args...)
		if err != nil {
			out += "Error: " + err.Error()
		}
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%s %v: exit code %d, want %d; no %q in\n%s", c.as, c.flags, code, c.code, c.want, out)
		}
	}
}
