package exchange_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/route"
)

// TestMaintenance: what an agency announces stands at its peer and in both sides' routes within moments, is taken back as soon, and
// reaches a peer that was away.
func TestMaintenance(t *testing.T) {
	p := newPair(t)
	p.source.start(t)
	p.recipient.start(t)
	p.inForce(t, "wages")

	set := func(m *v1alpha1.Maintenance) {
		t.Helper()
		eventually(t, "the agency is changed", func() error {
			a := &v1alpha1.Agency{}
			if err := p.source.client.Get(t.Context(), client.ObjectKey{Namespace: p.source.name, Name: p.source.name}, a); err != nil {
				return err
			}
			a.Spec.Maintenance = m
			return p.source.client.Update(t.Context(), a)
		})
	}
	shows := func(reason string) {
		t.Helper()
		eventually(t, fmt.Sprintf("the peer sees %q", reason), func() error {
			a := &v1alpha1.Agency{}
			if err := p.recipient.client.Get(t.Context(), client.ObjectKey{Namespace: p.recipient.name, Name: p.source.name}, a); err != nil {
				return err
			}
			if got := reasonOf(a.Status.Maintenance); got != reason {
				return fmt.Errorf("it shows %q", got)
			}
			return nil
		})
		for _, side := range []*agency{p.source, p.recipient} {
			eventually(t, "the route of "+side.name+" has it", func() error {
				g := &v1alpha1.GatewayRoute{}
				if err := side.client.Get(t.Context(), client.ObjectKey{Namespace: side.name, Name: "wages"}, g); err != nil {
					return err
				}
				r, err := route.Decode(g.Spec.Payload)
				if err != nil || len(r.Versions) != 1 {
					return errors.Join(err, fmt.Errorf("%d versions", len(r.Versions)))
				}
				got := ""
				if m := r.Versions[0].Clauses[0].Maintenance; m != nil {
					got = m.Reason
				}
				if got != reason {
					return fmt.Errorf("it has %q", got)
				}
				return nil
			})
		}
	}

	until := metav1.NewTime(time.Now().Add(2 * time.Hour))
	set(&v1alpha1.Maintenance{Until: until, Reason: "new storage"})
	shows("new storage")
	set(nil)
	shows("")

	down(t, p.recipient)
	set(&v1alpha1.Maintenance{Until: until, Reason: "move of the database"})
	time.Sleep(time.Second)
	up(t, p.recipient)
	shows("move of the database")
}

func reasonOf(m *v1alpha1.Maintenance) string {
	if m == nil {
		return ""
	}
	return m.Reason
}
