// Package obligations puts dates to what a recipient must keep to. What travels with an answer and what both logs keep comes
// from here. It is pure: the instant of the disclosure is an argument.
package obligations

import (
	"cmp"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/route"
)

// Prohibited is the redisclosure rule of a clause that names none (5 U.S.C. 552a(o)(1)(H)).
const Prohibited = "Prohibited"

// Of gives the obligations of a clause for what is disclosed at an instant. Days are UTC days.
func Of(o route.Obligations, at time.Time) *gatewayv1.Obligations {
	out := &gatewayv1.Obligations{
		RetentionDays: o.RetentionDays, Redisclosure: cmp.Or(o.Redisclosure, Prohibited), VerifyBeforeActionDays: o.VerifyBeforeActionDays,
	}
	if o.RetentionDays != nil {
		out.DestroyBy = after(at, *o.RetentionDays)
	}
	if o.VerifyBeforeActionDays != nil {
		out.NoActionBefore = after(at, *o.VerifyBeforeActionDays)
	}
	return out
}

// after gives the day that many days later, as YYYY-MM-DD.
func after(at time.Time, days int64) string {
	return at.UTC().AddDate(0, 0, int(days)).Format(time.DateOnly)
}

// Logged is what the log keeps of obligations.
func Logged(o *gatewayv1.Obligations) audit.Obligations {
	return audit.Obligations{Redisclosure: o.GetRedisclosure(), DestroyBy: o.GetDestroyBy(), NoActionBefore: o.GetNoActionBefore()}
}
