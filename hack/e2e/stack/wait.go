package stack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// patience is how long anything may take that should take moments.
const patience = 2 * time.Minute

// InForce are the conditions of an agreement that is enforced.
var InForce = []string{
	v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs, v1alpha1.ConditionSigned,
	v1alpha1.ConditionInForce, v1alpha1.ConditionCredentialsReady, v1alpha1.ConditionProgrammed,
}

// NotYet says which of the conditions is not true, or "".
func NotYet(conditions []metav1.Condition, types ...string) string {
	var out []string
	for _, t := range types {
		switch c := meta.FindStatusCondition(conditions, t); {
		case c == nil:
			out = append(out, t+" is not there")
		case c.Status != metav1.ConditionTrue:
			out = append(out, fmt.Sprintf("%s=%s, %s: %s", t, c.Status, c.Reason, c.Message))
		}
	}
	return strings.Join(out, "; ")
}

func agreement(name string) *v1alpha1.SharingAgreement {
	return &v1alpha1.SharingAgreement{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// Get reads an object of the agency's namespace by its name.
func (a *Agency) Get(ctx context.Context, o client.Object) error {
	return a.stack.Client.Get(ctx, client.ObjectKey{Namespace: a.Name, Name: o.GetName()}, o)
}

// Condition of an agreement; its zero value when it is not there.
func (a *Agency) Condition(ctx context.Context, name, kind string) (metav1.Condition, error) {
	o := agreement(name)
	if err := a.Get(ctx, o); err != nil {
		return metav1.Condition{}, err
	}
	if c := meta.FindStatusCondition(o.Status.Conditions, kind); c != nil {
		return *c, nil
	}
	return metav1.Condition{}, nil
}

// WaitConditions returns when the conditions of an agreement are true, for the generation that stands.
func (a *Agency) WaitConditions(ctx context.Context, name string, types ...string) error {
	return a.WaitFor(ctx, agreement(name), func(o client.Object) string {
		conditions := o.(*v1alpha1.SharingAgreement).Status.Conditions
		if missing := NotYet(conditions, types...); missing != "" {
			return missing
		}
		for _, t := range types {
			if c := meta.FindStatusCondition(conditions, t); c.ObservedGeneration != o.GetGeneration() {
				return fmt.Sprintf("%s is of generation %d, the object of %d", t, c.ObservedGeneration, o.GetGeneration())
			}
		}
		return ""
	})
}

// WaitState returns when an agreement is in a state.
func (a *Agency) WaitState(ctx context.Context, name string, state v1alpha1.AgreementState) error {
	return a.WaitFor(ctx, agreement(name), func(o client.Object) string {
		s := o.(*v1alpha1.SharingAgreement).Status
		if s.State == state {
			return ""
		}
		return fmt.Sprintf("it is %q, not %s: %s; told others: %+v", s.State, state, NotYet(s.Conditions, v1alpha1.ConditionInForce), s.Delivered)
	})
}

// WaitFor reads the object again and again until missing says "". When that takes too long, the error tells what the object, the
// processes and the gateway say.
func (a *Agency) WaitFor(ctx context.Context, o client.Object, missing func(client.Object) string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	last := "it was never read"
	for {
		if err := a.Get(ctx, o); err == nil {
			if last = missing(o); last == "" {
				return nil
			}
		} else if ctx.Err() == nil {
			last = err.Error()
		}
		select {
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%s: %w while waiting for %s", a.Name, ctx.Err(), o.GetName())
			}
			return fmt.Errorf("%s: %T %s: not within %v: %s\n%s", a.Name, o, o.GetName(), patience, last, a.Dump(o.GetName()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Dump tells what a person would look at when something does not come about: conditions, routes, readiness, and the ends of the logs.
func (a *Agency) Dump(agreementName string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "  "+format+"\n", args...) }
	fmt.Fprintf(&b, "--- %s\n", a.Name)
	if o := agreement(agreementName); a.Get(ctx, o) == nil {
		line("agreement %s: state %s, generation %d, decisions %d, verified %v", o.Name, o.Status.State, o.Generation, len(o.Status.Decisions), o.Status.Verified)
		for _, c := range o.Status.Conditions {
			line("  %s=%s (%s, generation %d): %s", c.Type, c.Status, c.Reason, c.ObservedGeneration, c.Message)
		}
	}
	var routes v1alpha1.GatewayRouteList
	if err := a.stack.Client.List(ctx, &routes, client.InNamespace(a.Name)); err == nil {
		for _, r := range routes.Items {
			line("route %s: %s, sequence %d", r.Name, r.Spec.State, r.Spec.Sequence)
		}
	}
	for name, address := range map[string]string{"operator": a.Addresses.OperatorHealth, "gateway": a.Addresses.Health} {
		if text, err := fetch(ctx, "http://"+address+"/readyz"); err != nil {
			line("%s: %v", name, err)
		} else {
			line("%s: %s", name, strings.Join(slices.Collect(strings.Lines(text)), " "))
		}
	}
	line("the end of %s:\n%s", a.Operator.LogFile, a.Operator.LogTail(15))
	line("the end of %s:\n%s", a.Gateway.LogFile, a.Gateway.LogTail(15))
	return b.String()
}
