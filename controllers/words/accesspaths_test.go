package words

import "testing"

// TestTouches: who may see the address is whoever may see its city, and the other way round.
func TestTouches(t *testing.T) {
	for _, c := range []struct {
		paths []string
		field string
		want  bool
	}{
		{[]string{"address.city"}, "address", true},
		{[]string{"address"}, "address.city", true},
		{[]string{"address.city"}, "address.street", false},
		{[]string{"address_book"}, "address", false},
		{[]string{"name"}, "name", true},
	} {
		if got := touches(c.paths, c.field); got != c.want {
			t.Errorf("%v touches %s: %v", c.paths, c.field, got)
		}
	}
}
