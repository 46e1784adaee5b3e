package filter

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/entente-dev/entente/gateway/route"
)

// MaxSteps is the most steps that are added to a date or timestamp.
const MaxSteps = 3

const maxYears = 500 // of one step

// clock is a moment that is known when the filter is bound to a clock: today() or now() and what is added.
type clock struct{ steps []step }

// step is added to a moment; n is in units, or in microseconds for duration.
type step struct {
	unit string
	n    int64
}

// cel writes the moment as CEL.
func (c *clock) cel(kind string) string {
	var b strings.Builder
	b.WriteString(map[string]string{"date": "today()", "timestamp": "now()"}[kind])
	for _, s := range c.steps {
		sign, n := " + ", s.n
		if n < 0 {
			sign, n = " - ", -n
		}
		if s.unit == "duration" {
			b.WriteString(sign + "duration(" + quoteCEL((time.Duration(n) * time.Microsecond).String()) + ")")
		} else {
			b.WriteString(sign + s.unit + "(" + strconv.FormatInt(n, 10) + ")")
		}
	}
	return b.String()
}

// add adds the step in UTC; false: the years 1 to 9999 are left.
func (s step) add(t time.Time) (time.Time, bool) {
	switch s.unit {
	case "days":
		t = t.AddDate(0, 0, int(s.n))
	case "months":
		t = addMonths(t, s.n)
	case "years":
		t = addMonths(t, 12*s.n)
	case "duration":
		t = t.Add(time.Duration(s.n) * time.Microsecond)
	}
	return t, t.Year() >= 1 && t.Year() <= 9999
}

// addMonths ends at the month's last day where it has no such day.
func addMonths(t time.Time, n int64) time.Time {
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

// at is the value when the clock shows now.
func (v value) at(now time.Time) (value, bool) {
	if v.clock == nil {
		return v, true
	}
	t := now.UTC().Truncate(time.Microsecond)
	if v.kind == "date" {
		t = time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	}
	ok := t.Year() >= 1 && t.Year() <= 9999
	for _, s := range v.clock.steps {
		if ok {
			t, ok = s.add(t)
		}
	}
	return value{kind: v.kind, text: momentText(v.kind, t)}, ok
}

func momentText(kind string, t time.Time) string {
	if kind == "date" {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339Nano)
}

// At is the filter with today() and now() as the clock shows them: a filter without them is At itself at all times. The error is
// a moment outside of the years 1 to 9999.
func (f *Filter) At(now time.Time) (*Filter, error) {
	if !f.clocked {
		return f, nil
	}
	places := make(map[node]place, len(f.places))
	root, ok := f.nodeAt(f.root, now, places)
	if !ok {
		return nil, errorf(1, 1, "what is added to today() or now() leaves the years 1 to 9999")
	}
	bound := newFilter(f.text, root)
	bound.places = places
	return bound, nil
}

// nodeAt is the node at that time; the places of its leaves are put into places.
func (f *Filter) nodeAt(n node, now time.Time, places map[node]place) (node, bool) {
	out, ok := n, true
	switch n := n.(type) {
	case *logic:
		terms := make([]node, len(n.terms))
		for i, t := range n.terms {
			if terms[i], ok = f.nodeAt(t, now, places); !ok {
				return nil, false
			}
		}
		return &logic{or: n.or, terms: terms}, true
	case *compare:
		c := *n
		c.value, ok = n.value.at(now)
		out = &c
	case *holds:
		c := *n
		c.value, ok = n.value.at(now)
		out = &c
	case *in:
		c := *n
		c.values = make([]value, 0, len(n.values))
		for _, v := range n.values {
			if v, ok = v.at(now); !ok {
				return nil, false
			}
			if !slices.Contains(c.values, v) {
				c.values = append(c.values, v)
			}
		}
		out = &c
	}
	places[out] = f.places[n]
	return out, ok
}

func isClocked(n node) bool {
	switch n := n.(type) {
	case *logic:
		for _, t := range n.terms {
			if isClocked(t) {
				return true
			}
		}
	case *compare:
		return n.value.clock != nil
	case *holds:
		return n.value.clock != nil
	case *in:
		for _, v := range n.values {
			if v.clock != nil {
				return true
			}
		}
	}
	return false
}

// isMoment says whether e is a sum that begins with a date or timestamp, without checking it.
func (l *lowering) isMoment(e ast.Expr) bool {
	for e.Kind() == ast.CallKind {
		c := e.AsCall()
		switch c.FunctionName() {
		case operators.Add, operators.Subtract:
			e = c.Args()[0]
		case "date", "timestamp", "today", "now":
			return !c.IsMemberFunction()
		default:
			return false
		}
	}
	return false
}

// moment is a literal of type date or timestamp.
func (l *lowering) moment(f *route.Field, e ast.Expr) (value, error) {
	if c := e; c.Kind() == ast.CallKind && (c.AsCall().FunctionName() == operators.Add || c.AsCall().FunctionName() == operators.Subtract) {
		return l.sum(f, e)
	}
	clockName, want := "today", `date("YYYY-MM-DD") or today()`
	if f.Type == "timestamp" {
		clockName, want = "now", `timestamp("2001-02-03T04:05:06Z") or now()`
	}
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == clockName {
		if len(e.AsCall().Args()) != 0 {
			return value{}, l.fail(e, "%s() takes nothing", clockName)
		}
		return value{kind: f.Type, clock: &clock{}}, l.count(e)
	}
	s, ok, err := l.wrapped(e, f.Type)
	if err != nil {
		return value{}, err
	}
	if !ok {
		return value{}, l.wrongType(e, f, want)
	}
	if f.Type == "date" {
		if t, err := time.Parse(time.DateOnly, s); err != nil || t.Year() < 1 {
			return value{}, l.fail(e, `not a date: write date("YYYY-MM-DD")`)
		}
		return value{kind: "date", text: s}, nil
	}
	text, ok := CanonicalTimestamp(s)
	if !ok {
		return value{}, l.fail(e, `not a timestamp of at most microseconds: write timestamp("2001-02-03T04:05:06Z")`)
	}
	return value{kind: "timestamp", text: text}, nil
}

// sum is a moment plus or minus a step.
func (l *lowering) sum(f *route.Field, e ast.Expr) (value, error) {
	c := e.AsCall()
	v, err := l.moment(f, c.Args()[0])
	if err != nil {
		return value{}, err
	}
	s, err := l.step(f, c.Args()[1], c.FunctionName() == operators.Subtract)
	if err != nil {
		return value{}, err
	}
	if v.clock == nil {
		t, _ := time.Parse(time.RFC3339Nano, v.text)
		if f.Type == "date" {
			t, _ = time.Parse(time.DateOnly, v.text)
		}
		t, ok := s.add(t)
		if !ok {
			return value{}, l.fail(e, "this leaves the years 1 to 9999")
		}
		v.text = momentText(f.Type, t)
		return v, nil
	}
	if v.clock.steps = append(v.clock.steps, s); len(v.clock.steps) > MaxSteps {
		return value{}, l.fail(e, "more than %d steps are added", MaxSteps)
	}
	return v, nil
}

// step lowers days(n), months(n), years(n) or duration("…").
func (l *lowering) step(f *route.Field, e ast.Expr, minus bool) (step, error) {
	most := map[string]int64{"days": maxYears * 366, "months": maxYears * 12, "years": maxYears, "duration": 0}
	unit := ""
	if e.Kind() == ast.CallKind && !e.AsCall().IsMemberFunction() {
		unit = e.AsCall().FunctionName()
	}
	limit, ok := most[unit]
	switch {
	case !ok && f.Type == "date":
		return step{}, l.fail(e, "only days(n), months(n) and years(n) are added to a date")
	case !ok:
		return step{}, l.fail(e, "only days(n), months(n), years(n) and duration(\"…\") are added to a timestamp")
	case unit == "duration" && f.Type == "date":
		return step{}, l.fail(e, "a duration is not added to a date: write days(n)")
	}
	var n int64
	if unit == "duration" {
		text, _, err := l.wrapped(e, unit)
		if err != nil {
			return step{}, err
		}
		d, err := time.ParseDuration(text)
		if err != nil || d%time.Microsecond != 0 || d == math.MinInt64 {
			return step{}, l.fail(e, `not a duration of at most 292 years and at least microseconds: write duration("36h30m")`)
		}
		n = d.Microseconds()
	} else {
		var is bool
		var err error
		if args := e.AsCall().Args(); len(args) == 1 {
			n, is, err = l.intLiteral(args[0])
		}
		if err != nil {
			return step{}, err
		}
		if !is || n < -limit || n > limit {
			return step{}, l.fail(e, "%s(n) takes a whole number of at most %d", unit, limit)
		}
	}
	if minus {
		n = -n
	}
	return step{unit, n}, nil
}

// year lowers field.getFullYear() op n to a range, which an index on the field serves.
func (l *lowering) year(e, a ast.Expr, o op, b ast.Expr, not bool) (node, error) {
	f, err := l.yearField(a)
	if err != nil {
		return nil, err
	}
	n, err := l.yearNumber(b)
	if err != nil {
		return nil, err
	}
	return l.yearRange(e, f, o, n, not)
}

// yearIn lowers field.getFullYear() in […].
func (l *lowering) yearIn(e ast.Expr, not bool) (node, error) {
	args := e.AsCall().Args()
	f, err := l.yearField(args[0])
	if err != nil {
		return nil, err
	}
	if args[1].Kind() != ast.ListKind || args[1].AsList().Size() == 0 || args[1].AsList().Size() > MaxListElements {
		return nil, l.fail(args[1], "the right side of in is a list of 1 to %d years", MaxListElements)
	}
	var terms []node
	seen := map[int64]bool{}
	for _, el := range args[1].AsList().Elements() {
		n, err := l.yearNumber(el)
		if err != nil {
			return nil, err
		}
		if seen[n] {
			continue
		}
		seen[n] = true
		t, err := l.yearRange(e, f, equal, n, not)
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
	}
	return join(!not, terms), nil
}

func (l *lowering) yearField(e ast.Expr) (*route.Field, error) {
	c := e.AsCall()
	if !c.IsMemberFunction() || !isPath(c.Target()) || len(c.Args()) != 0 {
		return nil, l.fail(e, "write field.getFullYear(), which is of UTC")
	}
	f, err := l.field(c.Target())
	if err != nil {
		return nil, err
	}
	if f.Type != "date" && f.Type != "timestamp" {
		return nil, l.fail(e, "field '%s' is of type %s: getFullYear is for dates and timestamps", f.Name, f.Type)
	}
	return f, nil
}

func (l *lowering) yearNumber(e ast.Expr) (int64, error) {
	if !l.isLiteral(e) {
		return 0, l.unsupported(e)
	}
	if e.Kind() == ast.LiteralKind && e.AsLiteral().Type() == types.NullType {
		return 0, l.fail(e, "a year is not null: write field == null")
	}
	n, ok, err := l.intLiteral(e)
	if err == nil && (!ok || n < 1 || n > 9999) {
		err = l.fail(e, "a year is a whole number from 1 to 9999")
	}
	return n, err
}

func (l *lowering) yearRange(e ast.Expr, f *route.Field, o op, n int64, not bool) (node, error) {
	if l.predicates++; l.predicates > MaxPredicates {
		return nil, l.fail(e, "more than %d comparisons", MaxPredicates)
	}
	begins := time.Date(int(n), 1, 1, 0, 0, 0, 0, time.UTC)
	ends := begins.AddDate(1, 0, 0) // exclusive; year 10000 is in no field
	is := func(o op, t time.Time) node {
		if t.Year() > 9999 {
			// Every moment is before it, and none is not: what is not null.
			if o == less {
				return &isNull{field: f, not: !not}
			}
			o, t = greater, t.Add(-time.Microsecond)
			if f.Type == "date" {
				t = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
			}
		}
		return &compare{field: f, op: o, value: value{kind: f.Type, text: momentText(f.Type, t)}, not: not}
	}
	switch o {
	case less:
		return is(less, begins), nil
	case lessEqual:
		return is(less, ends), nil
	case greater:
		return is(greaterEqual, ends), nil
	case greaterEqual:
		return is(greaterEqual, begins), nil
	default:
		// Two literals, as the canonical form has.
		return join(not, []node{is(greaterEqual, begins), is(less, ends)}), l.count(e)
	}
}
