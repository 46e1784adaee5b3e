package enforce

import (
	"testing"

	"github.com/entente-dev/entente/gateway/filter"
)

// counting makes the clause one that counts whole groups, and adds to the filter.
func counting(more string) func(*Input) {
	return func(in *Input) {
		c := clauseOf(in)
		c.MinimumCount, c.Granularity, in.Asked.Granularity = 5, "Count", "Count"
		in.Asked.Filter += more
	}
}

func TestTold(t *testing.T) {
	for _, tc := range []struct {
		count, minimum, told int64
		ok                   bool
	}{{0, 5, 0, false}, {4, 5, 0, false}, {5, 5, 5, true}, {9, 5, 5, true}, {10, 5, 10, true}, {7, 0, 7, true}, {0, 0, 0, true}} {
		if told, ok := Told(tc.count, tc.minimum); told != tc.told || ok != tc.ok {
			t.Errorf("%d under %d: %d, %v", tc.count, tc.minimum, told, ok)
		}
	}
}

// TestGroupsAreDisjoint: of any two filters that are counted under one clause, either both mean the same group or no record is
// in both. So no two counts overlap, and their difference is of no persons.
func TestGroupsAreDisjoint(t *testing.T) {
	parts := []string{
		`family_name == "A"`, `family_name == "B"`, `birth_date == date("1990-02-03")`, `birth_date == date("1991-02-03")`, `case_status == "open"`,
		`family_name != "A"`, `family_name.startsWith("A")`, `birth_date > date("1990-02-03")`, `family_name in ["A", "B"]`, `family_name == null`, `!(family_name == "A")`,
	}
	var filters []string
	for _, a := range parts {
		filters = append(filters, a)
		for _, b := range parts {
			filters = append(filters, a+" && "+b, a+" || "+b, "!("+a+" && "+b+")", a+" && "+b+" && "+parts[0])
		}
	}
	var counted []*filter.Filter
	for _, f := range filters {
		in := testInput()
		counting("")(&in)
		clauseOf(&in).FilterFields = []string{"family_name", "birth_date", "case_status"}
		in.Asked.Filter = f
		if plan, _ := Decide(in); plan != nil {
			counted = append(counted, plan.Filter)
		}
	}
	if len(counted) < 8 {
		t.Fatalf("%d filters are counted", len(counted))
	}
	for _, a := range counted {
		for _, b := range counted {
			same, apart := true, false
			for _, field := range []string{"family_name", "birth_date"} {
				x, okX := a.Constant(field)
				y, okY := b.Constant(field)
				if !okX || !okY {
					t.Fatalf("%s or %s leaves %s open", a.Text(), b.Text(), field)
				}
				same, apart = same && x == y, apart || x != y
			}
			if same == apart || len(a.Fields()) != 2 {
				t.Errorf("%s and %s", a.Text(), b.Text())
			}
		}
	}
}
