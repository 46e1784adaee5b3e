package controllers

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/gateway/kube"
)

func routeAt(resourceVersion string, sequence int64) *v1alpha1.GatewayRoute {
	return &v1alpha1.GatewayRoute{
		ObjectMeta: metav1.ObjectMeta{Name: "anvil", ResourceVersion: resourceVersion},
		Spec:       v1alpha1.GatewayRouteSpec{Sequence: sequence},
	}
}

func TestJudge(t *testing.T) {
	served := func(replica, resourceVersion string) kube.Report {
		return kube.Report{Replica: replica, Alive: true, ResourceVersion: resourceVersion}
	}
	many := map[string]string{}
	for i := range kube.MaxRejected {
		many[strings.Repeat("x", i+1)] = "older"
	}
	active := &plan{sequence: 3}
	for name, tc := range map[string]struct {
		plan    *plan
		carried bool
		route   *v1alpha1.GatewayRoute
		reports []kube.Report
		status  metav1.ConditionStatus
		reason  string
		says    string
	}{
		"never in force":       {&plan{}, false, nil, nil, metav1.ConditionFalse, v1alpha1.ReasonNotInForce, "while it is in force"},
		"another version is":   {active, false, routeAt("9", 3), nil, metav1.ConditionFalse, v1alpha1.ReasonNotInForce, "while it is in force"},
		"not published":        {&plan{sequence: 3, unpublished: errors.New("no Vault")}, true, nil, nil, metav1.ConditionFalse, v1alpha1.ReasonPending, "no Vault"},
		"cache is behind":      {active, true, routeAt("9", 2), nil, metav1.ConditionFalse, v1alpha1.ReasonPending, "being published"},
		"no gateway":           {active, true, routeAt("9", 3), nil, metav1.ConditionFalse, v1alpha1.ReasonNoGateway, "start one"},
		"one is behind":        {active, true, routeAt("10", 3), []kube.Report{served("a", "10"), served("b", "9")}, metav1.ConditionFalse, v1alpha1.ReasonPending, "b has not"},
		"nothing reported yet": {active, true, routeAt("10", 3), []kube.Report{served("a", "")}, metav1.ConditionFalse, v1alpha1.ReasonPending, "a has not"},
		"one is silent":        {active, true, routeAt("9", 3), []kube.Report{served("a", "9"), {Replica: "b"}}, metav1.ConditionUnknown, v1alpha1.ReasonUnreachable, "b has not reported"},
		"one refuses": {
			active, true, routeAt("9", 3),
			[]kube.Report{{Replica: "a", Alive: true, ResourceVersion: "9", Rejected: map[string]string{"anvil": "older"}}},
			metav1.ConditionFalse, v1alpha1.ReasonRouteRejected, "older",
		},
		"one refuses too many to name": {
			active, true, routeAt("9", 3), []kube.Report{{Replica: "a", Alive: true, ResourceVersion: "9", Rejected: many}},
			metav1.ConditionFalse, v1alpha1.ReasonRouteRejected, "so many",
		},
		"all serve":                   {active, true, routeAt("9", 3), []kube.Report{served("a", "9"), served("b", "100")}, metav1.ConditionTrue, v1alpha1.ReasonProgrammed, "served by a, b"},
		"revocation not acknowledged": {&plan{sequence: 4, tombstone: true}, false, routeAt("11", 4), []kube.Report{served("a", "11"), served("b", "9")}, metav1.ConditionFalse, v1alpha1.ReasonNotInForce, "waits for b"},
		"revocation acknowledged":     {&plan{sequence: 4, tombstone: true}, false, routeAt("11", 4), []kube.Report{served("a", "11")}, metav1.ConditionFalse, v1alpha1.ReasonNotInForce, "no gateway serves it any more"},
	} {
		t.Run(name, func(t *testing.T) {
			o := judge(tc.plan, plannedVersion{name: "anvil.v1", carried: tc.carried}, tc.route, tc.reports)
			if o.status != tc.status || o.reason != tc.reason || !strings.Contains(o.message, tc.says) {
				t.Errorf("%s, %s: %s; want %s, %s: …%s…", o.status, o.reason, o.message, tc.status, tc.reason, tc.says)
			}
		})
	}
}

// A report calls for the routes that its replica has taken in since, of those that are waited for; that of a replica which was silent
// for all of them.
func TestReachedBy(t *testing.T) {
	g := &gateways{awaited: map[string]string{"earlier": "9", "next": "10", "last": "11", "later": "12"}}
	report := func(resourceVersion string, alive bool) kube.Report {
		return kube.Report{Replica: "a", Alive: alive, ResourceVersion: resourceVersion}
	}
	for name, tc := range map[string]struct {
		before, after kube.Report
		want          []string
	}{
		"a heartbeat":         {report("9", true), report("9", true), nil},
		"progress":            {report("9", true), report("11", true), []string{"last", "next"}},
		"it was silent":       {report("9", false), report("9", true), []string{"earlier", "last", "later", "next"}},
		"its first of routes": {report("", true), report("10", true), []string{"earlier", "next"}},
	} {
		got := g.reachedBy(tc.before, tc.after)
		slices.Sort(got)
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestCredentialsReady(t *testing.T) {
	declared := &plan{credentials: []compile.Credential{{Role: "anvil.peer"}}}
	away := errors.New("no answer")
	for name, tc := range map[string]struct {
		plan    *plan
		carried bool
		done    progress
		status  metav1.ConditionStatus
		reason  string
	}{
		"not in force":                    {&plan{}, false, progress{written: true}, metav1.ConditionFalse, v1alpha1.ReasonNotInForce},
		"a role is left":                  {&plan{}, false, progress{left: []string{"anvil.peer"}, failed: away}, metav1.ConditionFalse, v1alpha1.ReasonVaultError},
		"route not published":             {declared, true, progress{blocked: away}, metav1.ConditionFalse, v1alpha1.ReasonPending},
		"written, and Vault went away":    {declared, true, progress{away: away, written: true}, metav1.ConditionUnknown, v1alpha1.ReasonVaultError},
		"not written, and Vault is away":  {declared, true, progress{away: away, failed: away}, metav1.ConditionFalse, v1alpha1.ReasonVaultError},
		"written":                         {declared, true, progress{written: true}, metav1.ConditionTrue, v1alpha1.ReasonReady},
		"nothing to issue as a recipient": {&plan{}, true, progress{written: true}, metav1.ConditionTrue, v1alpha1.ReasonReady},
	} {
		t.Run(name, func(t *testing.T) {
			o := credentialsReady(tc.plan, plannedVersion{carried: tc.carried}, tc.done)
			if o.status != tc.status || o.reason != tc.reason || o.message == "" {
				t.Errorf("%s, %s: %s; want %s, %s", o.status, o.reason, o.message, tc.status, tc.reason)
			}
		})
	}
}

func TestConditionKeepsItsTransition(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	now := at.Add(time.Hour)
	before := []metav1.Condition{{Type: "Programmed", Status: metav1.ConditionTrue, LastTransitionTime: at}}
	same := observation{"Programmed", metav1.ConditionTrue, "Programmed", "other words"}.condition(7, before, now)
	if !same.LastTransitionTime.Equal(&at) || same.ObservedGeneration != 7 {
		t.Errorf("%+v", same)
	}
	other := observation{"Programmed", metav1.ConditionFalse, "NoGateway", ""}.condition(7, before, now)
	if !other.LastTransitionTime.Time.Equal(now) {
		t.Errorf("%+v", other)
	}
}

// A plan that says the same rings for nobody; one that takes credentials away is urgent.
func TestPlans(t *testing.T) {
	p := newPlans()
	creds := []compile.Credential{{Role: "anvil.peer"}, {Role: "anvil.wages", Source: &compile.SourceCredential{Columns: []string{"a"}}}}
	count := func() int { return len(p.credentials.waiting) }
	versions := []plannedVersion{{name: "anvil.v1", state: v1alpha1.StateInForce}}
	p.put("anvil", &plan{sequence: 1, credentials: creds, versions: versions})
	if count() != 1 {
		t.Fatalf("%d rings for a new plan", count())
	}
	first := p.get("anvil")
	p.put("anvil", &plan{sequence: 1, credentials: creds, versions: slices.Clone(versions)})
	if count() != 1 || p.get("anvil") != first {
		t.Error("the same plan rang again")
	}
	if p.isSettled("anvil", first) {
		t.Error("settled before anything was done")
	}
	p.settle("anvil", first)
	if !p.isSettled("anvil", first) {
		t.Error("not settled")
	}
	p.put("anvil", &plan{sequence: 2, tombstone: true})
	if count() != 2 || p.credentials.waiting[1].priority != urgent {
		t.Errorf("the end of credentials is not urgent: %+v", p.credentials.waiting)
	}
	if p.isSettled("anvil", p.get("anvil")) || p.counts().unsettled != 1 {
		t.Error("a new plan is settled by the old one's work")
	}
	p.settle("anvil", p.get("anvil"))
	if p.get("anvil") != nil {
		t.Error("an agreement of which nothing is left is not forgotten")
	}
}

// The roles of a route that stood before the operator looked are left for their turn. What changes, or is missing, waits for none.
func TestUnread(t *testing.T) {
	p := newPlans()
	creds := []compile.Credential{{Role: "anvil.peer"}}
	versions := []plannedVersion{{name: "anvil.v1"}}
	stood := func() *plan { return &plan{sequence: 3, stood: true, credentials: creds, versions: versions} }
	p.put("anvil", stood())
	if !p.isUnread("anvil") || p.counts().unread != 1 {
		t.Error("the roles of a route that stood are not left for their turn")
	}
	p.put("anvil", stood())
	if !p.isUnread("anvil") {
		t.Error("a plan that says the same ends the wait")
	}
	p.put("anvil", &plan{sequence: 4, stood: true, credentials: append(creds, compile.Credential{Role: "anvil.other"}), versions: versions})
	if p.isUnread("anvil") {
		t.Error("what changed since waits for its turn")
	}
	p.put("bellows", &plan{sequence: 1, credentials: creds, versions: versions})
	if p.isUnread("bellows") {
		t.Error("the roles of a new route wait for their turn")
	}
	anvil, bellows := p.get("anvil"), p.get("bellows")
	if p.leaveUnread("anvil", anvil); p.isUnread("anvil") {
		t.Error("what is not settled waits for its turn")
	}
	p.settle("anvil", anvil)
	p.settle("bellows", bellows)
	p.leaveUnread("anvil", anvil)
	p.leaveUnread("bellows", bellows)
	p.put("crucible", &plan{sequence: 1, credentials: creds, versions: versions})
	crucible := p.get("crucible")
	p.settle("crucible", crucible)
	p.put("crucible", &plan{sequence: 2, credentials: append(creds, compile.Credential{Role: "crucible.other"}), versions: versions})
	if p.leaveUnread("crucible", crucible); p.isUnread("crucible") {
		t.Error("what changed meanwhile waits for its turn")
	}
	if p.readNow("anvil"); p.nextUnread() != "bellows" || p.nextUnread() != "" || p.isUnread("bellows") {
		t.Error("each has one turn, and what is read now has none")
	}
}

func TestTimers(t *testing.T) {
	door := &doorbell{}
	timers := newTimers(door)
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	timers.now = func() time.Time { return now }
	timers.set("later", now.Add(time.Hour))
	timers.set("soon", now.Add(3*time.Second))
	timers.set("never", now.Add(time.Second))
	timers.set("never", time.Time{})
	if got := timers.fire(); got != 3*time.Second || len(door.waiting) != 0 {
		t.Errorf("sleeps %v, rang %v", got, door.waiting)
	}
	now = now.Add(3 * time.Second)
	if got := timers.fire(); got != longestSleep || len(door.waiting) != 1 || door.waiting[0].name != "soon" {
		t.Errorf("sleeps %v, rang %v", got, door.waiting)
	}
	// Nearer than the present sleep: the loop is woken.
	timers.set("nearer", now.Add(time.Second))
	select {
	case <-timers.earlier:
	default:
		t.Error("a nearer time does not wake the loop")
	}
	// The wall clock is set forward.
	now = now.Add(2 * time.Hour)
	timers.fire()
	if len(door.waiting) != 3 {
		t.Errorf("rang %v", door.waiting)
	}
}

func TestAgreementID(t *testing.T) {
	for name, want := range map[string]string{"anvil.v1": "anvil", "a-b.v12": "a-b", "plain": "plain"} {
		if got := agreementID(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
