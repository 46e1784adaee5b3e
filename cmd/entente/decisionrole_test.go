package main

import (
	"slices"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

func TestRolesFor(t *testing.T) {
	rule := func(resource string, verbs []string, names ...string) authorizationv1.ResourceRule {
		return authorizationv1.ResourceRule{APIGroups: []string{"entente.dev"}, Resources: []string{resource}, Verbs: verbs, ResourceNames: names}
	}
	board := rule("decisionroles", []string{"accept", "suspend"}, "data-integrity-board")
	owner := rule("decisionroles", []string{"*"}, "system-owner", "data-integrity-board")
	duty := rule("decisionroles", []string{"suspend"}, "duty-officer")
	admin := authorizationv1.ResourceRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}
	filing := rule("agreementdecisions", []string{"create", "accept"})
	foreign := authorizationv1.ResourceRule{APIGroups: []string{"apps"}, Resources: []string{"decisionroles"}, Verbs: []string{"accept"}, ResourceNames: []string{"chief"}}
	for _, c := range []struct {
		name     string
		rules    []authorizationv1.ResourceRule
		decision v1alpha1.Decision
		roles    []string
		every    bool
	}{
		{"none", nil, v1alpha1.DecisionAccept, nil, false},
		{"who may file decisions only", []authorizationv1.ResourceRule{filing, foreign}, v1alpha1.DecisionAccept, nil, false},
		{"one", []authorizationv1.ResourceRule{filing, board, duty}, v1alpha1.DecisionAccept, []string{"data-integrity-board"}, false},
		{"two", []authorizationv1.ResourceRule{duty, board}, v1alpha1.DecisionSuspend, []string{"data-integrity-board", "duty-officer"}, false},
		{"another decision", []authorizationv1.ResourceRule{board, duty}, v1alpha1.DecisionTerminate, nil, false},
		{"all decisions", []authorizationv1.ResourceRule{owner, board}, v1alpha1.DecisionTerminate, []string{"data-integrity-board", "system-owner"}, false},
		{"all roles", []authorizationv1.ResourceRule{admin, board}, v1alpha1.DecisionAccept, []string{"data-integrity-board"}, true},
	} {
		roles, every := rolesFor(c.rules, c.decision)
		if !slices.Equal(roles, c.roles) || every != c.every {
			t.Errorf("%s: %q, %v", c.name, roles, every)
		}
	}
}
