package compile

import (
	"strings"
	"testing"

	"github.com/entente-dev/entente/api/v1alpha1"
)

func TestTrinoSource(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(d *v1alpha1.Dataset, t *v1alpha1.TrinoSource)
		want string
	}{
		{"nothing", func(*v1alpha1.Dataset, *v1alpha1.TrinoSource) {}, ""},
		{"a URL for a host", func(_ *v1alpha1.Dataset, t *v1alpha1.TrinoSource) { t.Host = "https://trino.example" }, "source.trino.host"},
		{"a port in the host", func(_ *v1alpha1.Dataset, t *v1alpha1.TrinoSource) { t.Host = "trino.example:8443" }, "source.trino.host"},
		{"a user in the host", func(_ *v1alpha1.Dataset, t *v1alpha1.TrinoSource) { t.Host = "u:p@trino.example" }, "source.trino.host"},
		{"a port", func(_ *v1alpha1.Dataset, t *v1alpha1.TrinoSource) { t.Port = 70000 }, "source.trino.port"},
		{"no catalog", func(_ *v1alpha1.Dataset, t *v1alpha1.TrinoSource) { t.Catalog = "" }, "source.trino.catalog"},
		{"a catalog that is a header", func(_ *v1alpha1.Dataset, t *v1alpha1.TrinoSource) { t.Catalog = "lake\r\nX-Trino-User: admin" }, "source.trino.catalog"},
		{"a user that is a header", func(_ *v1alpha1.Dataset, t *v1alpha1.TrinoSource) { t.User = "x\nX-Trino-User: admin" }, "source.trino.user"},
		{"a user with braces", func(_ *v1alpha1.Dataset, t *v1alpha1.TrinoSource) { t.User = "{recipient}" }, "source.trino.user"},
		{"a role that is two", func(_ *v1alpha1.Dataset, t *v1alpha1.TrinoSource) { t.Role = "reader},hive=ROLE{admin" }, "source.trino.role"},
		{"no login", func(_ *v1alpha1.Dataset, t *v1alpha1.TrinoSource) { t.Authentication = nil }, "source.trino.authentication: missing"},
		{"an unknown login", func(_ *v1alpha1.Dataset, t *v1alpha1.TrinoSource) {
			t.Authentication = []v1alpha1.HTTPAuthentication{"Kerberos"}
		}, "source.trino.authentication"},
		{"two logins", func(_ *v1alpha1.Dataset, t *v1alpha1.TrinoSource) {
			t.Authentication = []v1alpha1.HTTPAuthentication{"Bearer", "Basic"}
		}, "exclude each other"},
		{"no schema", func(d *v1alpha1.Dataset, _ *v1alpha1.TrinoSource) { d.Spec.Relation = "wages" }, "relation: \"wages\" is not SCHEMA.NAME"},
		{"a pointer", func(d *v1alpha1.Dataset, _ *v1alpha1.TrinoSource) { d.Spec.Fields[0].Pointer = "/x" }, "fields[0].pointer"},
		{"two kinds", func(d *v1alpha1.Dataset, _ *v1alpha1.TrinoSource) {
			d.Spec.Source.SQLite = &v1alpha1.SQLiteSource{Path: "x"}
		}, "exactly one of"},
	} {
		d := &v1alpha1.Dataset{}
		d.Name = "payroll"
		d.Spec.Schema = v1alpha1.SchemaVersion{Name: "employment", Version: 1}
		d.Spec.Relation = "hr.wages"
		d.Spec.Fields = []v1alpha1.FieldMapping{{Field: "person_id", Column: "person"}}
		d.Spec.Source.Trino = &v1alpha1.TrinoSource{Host: "trino.example", Catalog: "lake", Authentication: []v1alpha1.HTTPAuthentication{"Bearer"}}
		c.edit(d, d.Spec.Source.Trino)
		if got := checkDataset(d).String(); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
	r := routeTrino("harbor", &v1alpha1.TrinoSource{Host: "h", Catalog: "c", User: "entente_{agreement}", Authentication: []v1alpha1.HTTPAuthentication{"Certificate", "Bearer"}})
	if r.User != "entente_harbor" || r.Port != 443 || strings.Join(r.Authentication, " ") != "Bearer Certificate" || r.TimeoutSeconds == 0 {
		t.Errorf("%+v", r)
	}
}
