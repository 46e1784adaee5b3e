package route_test

import (
	"slices"
	"testing"

	"github.com/entente-dev/entente/gateway/route"
)

func TestPaths(t *testing.T) {
	s := &route.Schema{Fields: []route.Field{
		{Name: "name", Type: "string"}, {Name: "aliases", Type: "string", Repeated: true},
		{Name: "address", Type: "record", Fields: []route.Field{{Name: "city", Type: "string"}, {Name: "zip", Type: "code", Codes: []string{"1"}}}},
		{Name: "jobs", Type: "record", Repeated: true, Fields: []route.Field{{Name: "employer", Type: "string"}}},
	}}
	for path, want := range map[string]struct{ has, single bool }{
		"name": {true, true}, "aliases": {true, false}, "address": {true, false}, "address.city": {true, true}, "jobs": {true, false},
		"jobs.employer": {true, false}, "address.town": {}, "name.city": {}, "town": {}, "": {}, "address.": {}, ".city": {}, "address.city.x": {},
	} {
		if one := s.Single(path); s.Has(path) != want.has || (one != nil) != want.single || one != nil && one.Name != path {
			t.Errorf("%q: has %v, single %v", path, s.Has(path), one)
		}
	}
	if got := s.Leaves("jobs", "address.zip", "address", "name", "name"); !slices.Equal(got, []string{"jobs.employer", "address.zip", "address.city", "name"}) {
		t.Errorf("leaves %q", got)
	}
	for _, c := range []struct {
		permitted []string
		path      string
		want      bool
	}{
		{[]string{"address"}, "address.city", true},
		{[]string{"address.city"}, "address", false},
		{[]string{"address.zip", "address.city"}, "address", true},
		{[]string{"address.city"}, "address.zip", false},
		{[]string{"name"}, "name", true},
		{[]string{"name"}, "aliases", false},
		{[]string{"name"}, "nobody", false},
	} {
		if got := s.Covers(c.permitted, c.path); got != c.want {
			t.Errorf("%v covers %s: %v", c.permitted, c.path, got)
		}
	}
	if got := route.Overlap([]string{"address.city", "name", "address"}); got != "address.city" {
		t.Errorf("overlap %q", got)
	}
}
