package charts

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// checkRights tries, as each account and person, what they may and what they may not do, on the API server itself.
func (c *cluster) checkRights(t *testing.T) {
	const here, elsewhere = "state-police", "border-service"
	lease := func(name string) string {
		return c.file(t, "lease-"+name+".yaml", fmt.Sprintf("apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: %s}\nspec: {holderIdentity: x}\n", name))
	}
	own, second, others := lease("entente-gateway-entente-gateway-0"), lease("entente-gateway-entente-gateway-1"), lease("entente-gateway-entente-gateway-2")
	election := lease("entente-operator")
	route := c.route(t, "forged")
	// So that whoever may not delete or change anything has something to try it on.
	c.kubectl(t, "create", "-n", here, "-f", c.route(t, "real"))
	pod := c.file(t, "pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: x, image: x}]}\n")
	role := c.file(t, "role.yaml", "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: more}\nrules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]\n")
	samples := filepath.Join(root(t), "config", "samples")
	decision := filepath.Join(samples, "decision", "accept.yaml")
	anothers := c.file(t, "anothers.yaml", strings.NewReplacer("privacy-officer@", "somebody-else@", "-v1-accept", "-v1-forged").Replace(read(t, decision)))
	anotherRole := c.file(t, "another-role.yaml", strings.NewReplacer("role: privacy-officer", "role: system-owner", "-v1-accept", "-v1-claimed").Replace(read(t, decision)))
	agency := filepath.Join(samples, "agency.yaml")
	const agreement = "harbor-task-force.v1"
	apply := []string{"apply", "--server-side", "--field-manager=entente-gateway", "--force-conflicts", "-f"}
	add := func(words []string, more ...string) []string { return append(append([]string{}, words...), more...) }

	for _, who := range []struct {
		name, user string
		may, not   [][]string
	}{
		{
			// Bound by config/samples/people.yaml to the chart's roles.
			"decider", "privacy-officer@police.state.example",
			[][]string{{"get", "sharingagreements"}, {"create", "-f", decision}},
			[][]string{
				{"create", "-f", anothers},
				{"create", "-f", anotherRole},
				{"patch", "agreementdecision", "harbor-task-force-v1-accept", "--type=merge", "-p", "{}"},
				{"delete", "agreementdecision", "harbor-task-force-v1-accept"},
				{"apply", "--server-side", "-f", agency}, {"delete", "sharingagreement", agreement}, {"create", "-f", route},
				{"get", "secrets"}, {"get", "agreementdecisions", "-n", elsewhere},
			},
		},
		{
			"gateway", "system:serviceaccount:" + here + ":entente-gateway",
			[][]string{
				{"get", "gatewayroutes"},
				add(apply, own), add(apply, own), // makes it, then renews it
				add(apply, second),
				{"get", "lease", "entente-gateway-entente-gateway-0"},
			},
			[][]string{
				add(apply, others), // there is no third replica
				add(apply, election),
				{"create", "-f", others},
				{"get", "leases"},
				{"delete", "lease", "entente-gateway-entente-gateway-0"},
				{"create", "-f", route},
				{"patch", "gatewayroute", "real", "--type=merge", "-p", "{}"},
				{"delete", "gatewayroute", "real"},
				{"get", "sharingagreements"}, {"get", "agencies"}, {"get", "datasets"}, {"get", "agreementdecisions"}, {"get", "exchangeschemas"},
				{"get", "secrets"}, {"get", "configmaps"}, {"get", "pods"}, {"get", "events"}, {"get", "serviceaccounts"},
				{"create", "-f", pod}, {"create", "-f", role}, {"create", "token", "entente-operator"},
				{"get", "gatewayroutes", "-n", elsewhere}, {"get", "gatewayroutes", "-A"},
				{"get", "namespaces"}, {"get", "nodes"}, {"get", "crd"},
			},
		},
		{
			"operator", "system:serviceaccount:" + here + ":entente-operator",
			[][]string{
				{"get", "agencies,exchangeschemas,datasets,sharingagreements,agreementdecisions,agreementprofiles,taskforces,gatewayroutes,leases"},
				{"create", "-f", election},
				{"patch", "lease", "entente-operator", "--type=merge", "-p", `{"spec":{"holderIdentity":"y"}}`},
				{"patch", "sharingagreement", agreement, "--subresource=status", "--type=merge", "-p", `{"status":{}}`},
				{"patch", "sharingagreement", agreement, "--type=merge", "-p", `{"metadata":{"finalizers":["entente.dev/try"]}}`},
				{"patch", "sharingagreement", agreement, "--type=merge", "-p", `{"metadata":{"finalizers":[]}}`},
			},
			[][]string{
				{"patch", "lease", "entente-gateway-entente-gateway-0", "--type=merge", "-p", `{"spec":{"holderIdentity":"y"}}`},
				{"delete", "lease", "entente-operator"},
				{"delete", "sharingagreement", agreement}, {"delete", "agreementdecision", "harbor-task-force-v1-accept"},
				{"patch", "agency", here, "--type=merge", "-p", "{}"}, {"delete", "agency", here}, {"patch", "dataset", "case-subjects", "--type=merge", "-p", "{}"},
				{"get", "secrets"}, {"get", "configmaps"}, {"get", "pods"},
				{"create", "-f", pod}, {"create", "-f", role}, {"create", "token", "entente-gateway"},
				{"get", "sharingagreements", "-n", elsewhere}, {"get", "sharingagreements", "-A"},
				{"get", "namespaces"}, {"get", "nodes"}, {"get", "crd"}, {"get", "validatingadmissionpolicies"},
			},
		},
		{
			"platform team", "platform@police.state.example",
			[][]string{{"get", "agreementdecisions"}, {"apply", "--server-side", "--force-conflicts", "-f", agency}},
			[][]string{
				{"create", "-f", anothers}, {"delete", "agreementdecision", "harbor-task-force-v1-accept"}, {"create", "-f", route},
				{"patch", "sharingagreement", agreement, "--subresource=status", "--type=merge", "-p", `{"status":{}}`},
				{"get", "secrets"}, {"create", "-f", pod}, {"get", "agencies", "-n", elsewhere},
			},
		},
		{
			"nobody", "nobody@police.state.example", nil,
			[][]string{{"get", "agencies"}, {"get", "gatewayroutes"}, {"create", "-f", anothers}},
		},
	} {
		t.Run(who.name, func(t *testing.T) {
			as := func(args []string) []string {
				all := []string{"--as=" + who.user}
				if !strings.Contains(strings.Join(args, " ")+" ", " -n ") {
					all = append(all, "-n", here)
				}
				return append(all, args...)
			}
			for _, args := range who.may {
				if out, err := c.Kubectl(t.Context(), as(args)...); err != nil {
					t.Errorf("%v %s", err, out)
				}
			}
			for _, args := range who.not {
				c.refused(t, "orbidden", as(args)...)
			}
		})
	}
}

// route is a file with a route that the API server takes, signed by nobody.
func (c *cluster) route(t *testing.T, name string) string {
	return c.file(t, "route-"+name+".yaml", fmt.Sprintf(`apiVersion: entente.dev/v1alpha1
kind: GatewayRoute
metadata: {name: %s}
spec: {inbound: 0, outbound: 0, keyID: x, payload: e30=, sequence: 1, signature: eA==, state: Tombstone}
`, name))
}
