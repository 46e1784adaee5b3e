package bootstrap

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	vault "github.com/entente-dev/entente/controllers/vault"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

// PolicyName of an agency's operator or gateway.
func PolicyName(agency, role string) string { return "entente-" + agency + "-" + role }

// rule is one path of a policy.
type rule struct {
	why          string
	path         string
	capabilities []string
	allowed      map[string]any // parameters that may be sent, with the one value; nil: any
	denied       map[string]any
}

// GatewayPolicy is all that a gateway may do: be itself, verify routes, seal its log, and read its own source systems.
func GatewayPolicy(agency string, m gwvault.Mounts) string {
	return render("What the Entente gateways of "+agency+" may do.", append([]rule{
		{why: "Its own X.509 identity.", path: m.PKI() + "/sign/" + gwvault.RoleGateway, capabilities: []string{"update"}},
		{why: "The authorities of its own trust domain.", path: m.PKI() + "/cert/ca_chain", capabilities: []string{"read"}},
		{why: "The public keys that verify gateway routes.", path: m.Transit() + "/keys/" + gwvault.RouteKey(agency), capabilities: []string{"read"}},
		{why: "Wrapping the data keys of its own log.", path: m.Transit() + "/encrypt/" + gwvault.LogKey(agency), capabilities: []string{"update"}},
		{path: m.Transit() + "/decrypt/" + gwvault.LogKey(agency), capabilities: []string{"update"}},
		{why: "Source credentials.", path: m.Database() + "/creds/*", capabilities: []string{"read"}},
		{why: "Secrets of its own HTTP services.", path: m.KV() + "/data/sources/*", capabilities: []string{"read"}},
		{why: "Reading catalogues is the operator's business.", path: m.Database() + "/creds/" + vault.ProbeRole("*"), capabilities: []string{"deny"}},
	}, ownToken()...))
}

// OperatorPolicy is all that an operator may do: sign agreements and routes, keep the roles of agreements, and end what came
// of them. It cannot take a source credential, export or change a key, nor make a certificate for an identity outside
// /agreement/ but its own: all fields of the PKI roles that it writes are pinned.
func OperatorPolicy(agency, trustDomain string, m gwvault.Mounts) string {
	pinned := vault.AgreementRoleFields("spiffe://" + trustDomain + "/agreement/*")
	db := m.Database()
	return render("What the Entente operator of "+agency+" may do.", append([]rule{
		{why: "Its own X.509 identity, and agreement credentials.", path: m.PKI() + "/sign/*", capabilities: []string{"update"}},
		{why: "It is not the gateway.", path: m.PKI() + "/sign/" + gwvault.RoleGateway, capabilities: []string{"deny"}},
		{why: "The authorities of its own trust domain.", path: m.PKI() + "/cert/ca_chain", capabilities: []string{"read"}},
		{
			why:          "PKI roles of agreements: client certificates for agreement SPIFFE IDs of the own trust domain, and nothing else.",
			path:         m.PKI() + "/roles/*",
			capabilities: []string{"create", "read", "update", "delete", "list"},
			allowed:      pinned,
			denied:       map[string]any{"allowed_uri_sans": "*,*"}, // a list in one string would get around the above
		},
		{why: "The roles of the two processes are not the operator's to change.", path: m.PKI() + "/roles/" + gwvault.RoleGateway, capabilities: []string{"read"}},
		{path: m.PKI() + "/roles/" + gwvault.RoleOperator, capabilities: []string{"read"}},
		{why: "Signing agreements.", path: m.Transit() + "/keys/" + gwvault.AgreementKey(agency), capabilities: []string{"read"}},
		{path: m.Transit() + "/sign/" + gwvault.AgreementKey(agency) + "/sha2-256", capabilities: []string{"update"}},
		{why: "Signing gateway routes.", path: m.Transit() + "/keys/" + gwvault.RouteKey(agency), capabilities: []string{"read"}},
		{path: m.Transit() + "/sign/" + gwvault.RouteKey(agency), capabilities: []string{"update"}},
		{why: "Database roles of agreements.", path: db + "/roles/*", capabilities: []string{"create", "read", "update", "delete", "list"}},
		{why: "A user without any rights, to see which columns a relation has.", path: db + "/creds/" + vault.ProbeRole("*"), capabilities: []string{"read"}},
		{why: "Ending source credentials, and seeing that they are gone.", path: "sys/leases/revoke-prefix/" + db + "/creds/*", capabilities: []string{"update", "sudo"}},
		{path: "sys/leases/lookup/" + db + "/creds/*", capabilities: []string{"list", "sudo"}},
	}, ownToken()...))
}

// ownToken replaces the default policy, which the roles do not get.
func ownToken() []rule {
	return []rule{
		{why: "Its own token.", path: "auth/token/lookup-self", capabilities: []string{"read"}},
		{path: "auth/token/renew-self", capabilities: []string{"update"}},
		{path: "auth/token/revoke-self", capabilities: []string{"update"}},
	}
}

func render(title string, rules []rule) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s Written by `entente bootstrap vault`.\n", title)
	for _, r := range rules {
		b.WriteString("\n")
		if r.why != "" {
			fmt.Fprintf(&b, "# %s\n", r.why)
		}
		fmt.Fprintf(&b, "path %s {\n", strconv.Quote(r.path))
		caps := make([]string, len(r.capabilities))
		for i, c := range r.capabilities {
			caps[i] = strconv.Quote(c)
		}
		fmt.Fprintf(&b, "  capabilities = [%s]\n", strings.Join(caps, ", "))
		parameters(&b, "allowed_parameters", r.allowed)
		parameters(&b, "denied_parameters", r.denied)
		b.WriteString("}\n")
	}
	return b.String()
}

func parameters(b *strings.Builder, name string, values map[string]any) {
	if values == nil {
		return
	}
	width := 0
	for k := range values {
		width = max(width, len(k))
	}
	fmt.Fprintf(b, "  %s = {\n", name)
	for _, k := range slices.Sorted(maps.Keys(values)) {
		v := fmt.Sprint(values[k])
		if s, ok := values[k].(string); ok {
			v = strconv.Quote(s)
		}
		fmt.Fprintf(b, "    %-*s = [%s]\n", width, k, v)
	}
	b.WriteString("  }\n")
}
