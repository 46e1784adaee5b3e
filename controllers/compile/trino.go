package compile

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/route"
)

const (
	defaultTrinoPort = 443
	// trinoTimeout of one request, in seconds: Trino answers each within one, with a page or without.
	trinoTimeout = 15
)

var (
	hostForm    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
	catalogForm = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,62}$`)
	// Users and roles are written into headers.
	trinoUserForm = regexp.MustCompile(`^([A-Za-z0-9_.@-]|\{agreement\})+$`)
	trinoRoleForm = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
)

// checkTrino lists what is wrong with a Trino source by itself.
func checkTrino(f *faults, spec *v1alpha1.DatasetSpec) {
	const path = "source.trino"
	t := spec.Source.Trino
	if !hostForm.MatchString(t.Host) {
		f.add(path+".host", "%q is not the name of a host", t.Host)
	}
	if t.Port < 0 || t.Port > 65535 {
		f.add(path+".port", "%d is not a port", t.Port)
	}
	if !catalogForm.MatchString(t.Catalog) {
		f.add(path+".catalog", "%q is not the name of a catalog", t.Catalog)
	}
	if len(t.Authentication) == 0 {
		f.add(path+".authentication", "missing: a source is not read without a login")
	}
	checkAuthentication(f, path, t.Authentication)
	if t.User != "" && (len(t.User) > 63 || !trinoUserForm.MatchString(t.User)) {
		f.add(path+".user", "%q is not the name of a user", t.User)
	}
	if t.Role != "" && (len(t.Role) > 63 || !trinoRoleForm.MatchString(t.Role)) {
		f.add(path+".role", "%q is not the name of a role", t.Role)
	}
	if !strings.Contains(spec.Relation, ".") {
		f.add("relation", "%q is not SCHEMA.NAME, which a Trino source needs", spec.Relation)
	}
}

func routeTrino(agreement string, t *v1alpha1.TrinoSource) *route.Trino {
	out := &route.Trino{
		Host: t.Host, Port: cmp.Or(t.Port, defaultTrinoPort), Catalog: t.Catalog, Role: t.Role,
		User:       strings.ReplaceAll(t.User, "{agreement}", agreement),
		HTTPAccess: route.HTTPAccess{CABundle: t.CABundle, TimeoutSeconds: trinoTimeout},
	}
	for _, a := range t.Authentication {
		out.Authentication = append(out.Authentication, string(a))
	}
	slices.Sort(out.Authentication)
	return out
}
