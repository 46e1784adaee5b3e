package profile

import (
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// functions of time that rules have.
var functions = []cel.EnvOption{
	cel.Function("months", cel.Overload("months_timestamp_timestamp",
		[]*cel.Type{cel.TimestampType, cel.TimestampType}, cel.IntType, cel.BinaryBinding(between(months)))),
	cel.Function("days", cel.Overload("days_timestamp_timestamp",
		[]*cel.Type{cel.TimestampType, cel.TimestampType}, cel.IntType, cel.BinaryBinding(between(days)))),
	cel.Function("addMonths", cel.Overload("addMonths_timestamp_int",
		[]*cel.Type{cel.TimestampType, cel.IntType}, cel.TimestampType, cel.BinaryBinding(func(at, n ref.Val) ref.Val {
			t, ok := at.(types.Timestamp)
			i, isInt := n.(types.Int)
			if !ok || !isInt {
				return types.MaybeNoSuchOverloadErr(n)
			}
			if i < -maxMonths || i > maxMonths {
				return types.NewErr("addMonths: %d is not between %d and %d", i, -maxMonths, maxMonths)
			}
			return types.Timestamp{Time: addMonths(t.Time, int64(i))}
		}))),
}

// maxMonths keeps years within what a timestamp of CEL can have.
const maxMonths = 12 * 1000

func between(f func(from, to time.Time) int64) func(a, b ref.Val) ref.Val {
	return func(a, b ref.Val) ref.Val {
		from, ok := a.(types.Timestamp)
		to, isTime := b.(types.Timestamp)
		if !ok || !isTime {
			return types.MaybeNoSuchOverloadErr(b)
		}
		return types.Int(f(from.Time, to.Time))
	}
}

// months is the least n with to ≤ addMonths(from, n); negative when to is more than a month before from.
func months(from, to time.Time) int64 {
	from, to = from.UTC(), to.UTC()
	n := int64(to.Year()-from.Year())*12 + int64(to.Month()-from.Month())
	for to.After(addMonths(from, n)) {
		n++
	}
	for !to.After(addMonths(from, n-1)) {
		n--
	}
	return n
}

// days is the least n with to ≤ from + n days of 24 hours.
func days(from, to time.Time) int64 {
	const day = 24 * 60 * 60
	n := (to.Unix() - from.Unix()) / day // towards zero: up, when negative
	if from.Add(time.Duration(n) * day * time.Second).Before(to) {
		n++
	}
	return n
}

// addMonths keeps the day of the month, or takes the month's last when it has no such day.
func addMonths(t time.Time, n int64) time.Time {
	t = t.UTC()
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}
