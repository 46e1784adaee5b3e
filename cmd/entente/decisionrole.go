package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// verbOf is what RBAC calls a decision: see config/admission.
func verbOf(d v1alpha1.Decision) string { return strings.ToLower(string(d)) }

// ownRole is the role in which the caller decides when they do not say: the only one in which the cluster lets them.
func (d clusterDesk) ownRole(ctx context.Context, decision v1alpha1.Decision) (string, error) {
	review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: d.namespace}}
	if err := d.client.Create(ctx, review); err != nil {
		return "", fmt.Errorf("asking the cluster in which role you may %s (or use --role): %w", verbOf(decision), err)
	}
	roles, every := rolesFor(review.Status.ResourceRules, decision)
	switch {
	case len(roles) == 1 && !every:
		return roles[0], nil
	case every:
		return "", errors.New("--role says in which role you decide: you may in every one")
	case len(roles) > 1:
		return "", fmt.Errorf("--role says in which role you decide: you may in %s", strings.Join(roles, ", "))
	}
	return "", fmt.Errorf("you may not %s in any role in namespace %s: ask for a RoleBinding to a Role with the verb %s on the resource decisionroles of %s, named after your role (the chart makes them of rbac.people.deciders)",
		verbOf(decision), d.namespace, verbOf(decision), v1alpha1.GroupVersion.Group)
}

// rolesFor are the roles in which rules let somebody decide so, sorted; every: in whatever role.
func rolesFor(rules []authorizationv1.ResourceRule, decision v1alpha1.Decision) (roles []string, every bool) {
	has := func(list []string, want string) bool {
		return slices.Contains(list, want) || slices.Contains(list, "*")
	}
	for _, r := range rules {
		if !has(r.APIGroups, v1alpha1.GroupVersion.Group) || !has(r.Resources, "decisionroles") || !has(r.Verbs, verbOf(decision)) {
			continue
		}
		every = every || len(r.ResourceNames) == 0
		roles = append(roles, r.ResourceNames...)
	}
	slices.Sort(roles)
	return slices.Compact(roles), every
}

// refusedDecision says a refusal of the API server in the words of whoever refused: the admission policy says what to ask for.
func refusedDecision(err error) error {
	if !apierrors.IsForbidden(err) {
		return err
	}
	if _, said, ok := strings.Cut(err.Error(), "denied request: "); ok {
		return errors.New(said)
	}
	return fmt.Errorf("%w (ask for a RoleBinding to the Role entente-decider, which lets people file decisions)", err)
}
