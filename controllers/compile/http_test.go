package compile

import (
	"strings"
	"testing"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// TestHTTPDatasetRefused: what does not fit a dataset's API is said, with the member that is wrong.
func TestHTTPDatasetRefused(t *testing.T) {
	type source = v1alpha1.HTTPSource
	for _, tt := range []struct {
		name string
		edit func(d *v1alpha1.Dataset, h *source)
		want string
	}{
		{"nothing", func(*v1alpha1.Dataset, *source) {}, ""},
		{"http", func(_ *v1alpha1.Dataset, h *source) { h.URL = "http://wages.labor.example.gov" }, "source.http.url: it is not https"},
		{"user in URL", func(_ *v1alpha1.Dataset, h *source) { h.URL = "https://u:p@wages.labor.example.gov" }, "source.http.url"},
		{"query in URL", func(_ *v1alpha1.Dataset, h *source) { h.URL += "?a=b" }, "source.http.url"},
		{"two kinds", func(d *v1alpha1.Dataset, _ *source) { d.Spec.Source.SQLite = &v1alpha1.SQLiteSource{Path: "x"} }, "exactly one of postgresql, sqlite, http, trino and consentService"},
		{"a relation", func(d *v1alpha1.Dataset, _ *source) { d.Spec.Relation = "wages" }, "no database"},
		{"a column", func(d *v1alpha1.Dataset, _ *source) { d.Spec.Fields[0].Column = "pid" }, "fields[0].pointer"},
		{"no pointer", func(d *v1alpha1.Dataset, _ *source) { d.Spec.Fields[0].Pointer = "person/id" }, "fields[0].pointer"},
		{"no document", func(_ *v1alpha1.Dataset, h *source) { h.OpenAPI = "hello" }, "the document cannot be read"},
		{"another version", func(_ *v1alpha1.Dataset, h *source) { h.OpenAPI = strings.Replace(h.OpenAPI, "3.1.0", "3.7.0", 1) }, "OpenAPI 3.0 and 3.1"},
		{"Swagger", func(_ *v1alpha1.Dataset, h *source) {
			h.OpenAPI = strings.Replace(h.OpenAPI, "openapi: 3.1.0", `swagger: "2.0"`, 1)
		}, "source.http.openAPI"},
		{"a document elsewhere", func(_ *v1alpha1.Dataset, h *source) {
			h.OpenAPI = strings.Replace(h.OpenAPI, "#/components/schemas/Search", "https://evil.example/x.yaml#/a", 1)
		}, "the document cannot be read"},
		{"no such path", func(_ *v1alpha1.Dataset, h *source) { h.Operation = "POST /v1/wages" }, `no path "/v1/wages"; it has /v2/wages/search`},
		{"no such method", func(_ *v1alpha1.Dataset, h *source) {
			h.Operation, h.Body, h.Paging = "GET /v2/wages/search", "", nil
		}, "no GET"},
		{"DELETE", func(_ *v1alpha1.Dataset, h *source) { h.Operation = "DELETE /v2/wages/search" }, "source.http.operation"},
		{"no such items", func(_ *v1alpha1.Dataset, h *source) { h.Items = "/total" }, `no array at "/total"`},
		{"no such count", func(_ *v1alpha1.Dataset, h *source) { h.Count = "/wages" }, `no number at "/wages"`},
		{"no such cursor", func(_ *v1alpha1.Dataset, h *source) { h.Paging.Next = "/nxt" }, `no cursor at "/nxt"`},
		{"another type", func(d *v1alpha1.Dataset, _ *source) { d.Spec.Fields[0].Pointer = "/person" }, "fields[person_id].pointer: the member at \"/person\" is of type object"},
		{"no such parameter", func(_ *v1alpha1.Dataset, h *source) { h.Filters[0].Parameter = "person" }, `no parameter "person"`},
		{"no such member", func(_ *v1alpha1.Dataset, h *source) { h.Filters[0].Parameter = "/query/persons" }, `no member at "/query/persons"`},
		{"a list for one", func(_ *v1alpha1.Dataset, h *source) { h.Filters[0].Comparison = v1alpha1.HTTPIn }, `"/query/person" is no list`},
		{"one for a list", func(_ *v1alpha1.Dataset, h *source) { h.Filters[1].Comparison = v1alpha1.HTTPEqual }, "is of type array"},
		{"one place for two", func(_ *v1alpha1.Dataset, h *source) { h.Filters[2].Parameter = "/query/person" }, "is that of filter Equal of field person_id, too"},
		{"no such field", func(_ *v1alpha1.Dataset, h *source) { h.Filters[0].Field = "family_name" }, "is not among the fields"},
		{"no such comparison", func(_ *v1alpha1.Dataset, h *source) { h.Filters[0].Comparison = "Like" }, `"Like" is none`},
		{"a required parameter", func(_ *v1alpha1.Dataset, h *source) { h.Constants = nil }, `requires parameter "tenant"`},
		{"a required header", func(_ *v1alpha1.Dataset, h *source) {
			h.OpenAPI = strings.Replace(h.OpenAPI, "- {name: tenant", "- {name: X-Tenant, in: header, required: true, schema: {type: string}}\n    - {name: tenant", 1)
		}, `requires the header "X-Tenant"`},
		{"a required member", func(_ *v1alpha1.Dataset, h *source) {
			h.OpenAPI = strings.Replace(h.OpenAPI, "required: [query]", "required: [query, reason]", 1)
		}, `requires the body's member "reason"`},
		{"a constant in the body", func(_ *v1alpha1.Dataset, h *source) {
			h.Constants = append(h.Constants, v1alpha1.HTTPConstant{Parameter: "/query/state", Value: "x"})
		}, "write it into operation or body"},
		{"no object in the body", func(_ *v1alpha1.Dataset, h *source) { h.Body = `{"query":"x"}` }, "no object where"},
		{"a member that the body has", func(_ *v1alpha1.Dataset, h *source) { h.Body = `{"query":{"person":"x"}}` }, "has that member already"},
		{"a body that is none", func(_ *v1alpha1.Dataset, h *source) { h.Body = `[]` }, "source.http.body"},
		{"a page of nothing", func(_ *v1alpha1.Dataset, h *source) { h.Paging.Size = 0 }, "paging.size"},
		{"Link with POST", func(_ *v1alpha1.Dataset, h *source) {
			h.Paging = &v1alpha1.HTTPPaging{Style: v1alpha1.HTTPLink, Size: 1}
		}, "Link is for GET"},
		{"Basic and Bearer", func(_ *v1alpha1.Dataset, h *source) {
			h.Authentication = []v1alpha1.HTTPAuthentication{"Basic", "Bearer"}
		}, "exclude each other"},
		{"another way in", func(_ *v1alpha1.Dataset, h *source) { h.Authentication = []v1alpha1.HTTPAuthentication{"Digest"} }, "Digest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := readFixture(t, "testdata/http.in.yaml")
			d := f.datasets["payroll"].DeepCopy()
			tt.edit(d, d.Spec.Source.HTTP)
			bad := ""
			for _, c := range DatasetConditions(f.index(f.Now[0].Time), d, nil, f.Now[0].Time) {
				if c.Status != "True" && bad == "" {
					bad = c.Message
				}
			}
			if (tt.want == "") != (bad == "") || !strings.Contains(bad, tt.want) {
				t.Errorf("%q, want %q", bad, tt.want)
			}
		})
	}
}

func TestConsentServiceRefused(t *testing.T) {
	for name, edit := range map[string]func(d *v1alpha1.Dataset){
		"source.consentService.url":               func(d *v1alpha1.Dataset) { d.Spec.Source.ConsentService.URL = "http://x" },
		"it is {}, with nothing inside":           func(d *v1alpha1.Dataset) { d.Spec.Consent = nil },
		"the service decides":                     func(d *v1alpha1.Dataset) { d.Spec.Consent.Purpose = "person" },
		"subjectKey: set it":                      func(d *v1alpha1.Dataset) { d.Spec.SubjectKey = "" },
		`has no field "nobody"`:                   func(d *v1alpha1.Dataset) { d.Spec.SubjectKey = "nobody" },
		"a consent service has no fields":         func(d *v1alpha1.Dataset) { d.Spec.Fields = []v1alpha1.FieldMapping{{Field: "person", Pointer: "/p"}} },
		"maxAgeSeconds is at most 3600":           func(d *v1alpha1.Dataset) { d.Spec.Source.ConsentService.MaxAgeSeconds = 86400 },
		"the source is no database, and has none": func(d *v1alpha1.Dataset) { d.Spec.Relation = "x" },
	} {
		f := readFixture(t, "testdata/http.in.yaml")
		d := f.datasets["consents"].DeepCopy()
		edit(d)
		bad := ""
		for _, c := range DatasetConditions(f.index(f.Now[0].Time), d, nil, f.Now[0].Time) {
			if c.Status != "True" && bad == "" {
				bad = c.Message
			}
		}
		if !strings.Contains(bad, name) {
			t.Errorf("%q, want %q", bad, name)
		}
	}
}
