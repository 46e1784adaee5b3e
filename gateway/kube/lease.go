package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// report is what the Lease will say.
type report struct {
	mu              sync.Mutex
	resourceVersion string
	address         string
	rejected        map[string]string

	// changed and needKeys hold at most one signal.
	changed, needKeys chan struct{}
}

func newReport() *report {
	return &report{rejected: map[string]string{}, changed: make(chan struct{}, 1), needKeys: make(chan struct{}, 1)}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (r *report) wantKeys() { signal(r.needKeys) }

func (r *report) reject(name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rejected[name] = err.Error()
	signal(r.changed)
}

func (r *report) accept(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rejected, name)
}

func (r *report) serves(resourceVersion string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resourceVersion = resourceVersion
	signal(r.changed)
}

// Advertise says where the agency's own operator reaches this replica's peer listener, host:port.
func (f *Feed) Advertise(address string) {
	f.report.mu.Lock()
	defer f.report.mu.Unlock()
	f.report.address = address
	signal(f.report.changed)
}

// annotations of the Lease.
func (r *report) annotations() (map[string]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]string{AnnotationServes: r.resourceVersion, AnnotationRejected: "{}"}
	if r.address != "" {
		out[AnnotationPeerAddress] = r.address
	}
	rejected := map[string]string{}
	for i, name := range slices.Sorted(maps.Keys(r.rejected)) {
		if i == MaxRejected {
			break
		}
		rejected[name] = r.rejected[name]
	}
	data, err := json.Marshal(rejected)
	if err != nil {
		return nil, err
	}
	out[AnnotationRejected] = string(data)
	return out, nil
}

// LeaseName is the name of a replica's Lease.
func LeaseName(replica string) string { return "entente-gateway-" + replica }

// keepLease reports at once when something changed, and otherwise in time for the report to hold.
func (f *Feed) keepLease(ctx context.Context) {
	for {
		wait := renewEvery
		if err := f.applyLease(ctx); err != nil && ctx.Err() == nil {
			f.Logger.Warn("the gateway's Lease cannot be renewed", "error", err)
			wait = time.Second
		}
		select {
		case <-ctx.Done():
			return
		case <-f.report.changed:
			// What changes together is reported together.
			if sleep(ctx, 5*time.Millisecond) != nil {
				return
			}
		case <-time.After(wait):
		}
	}
}

func (f *Feed) applyLease(ctx context.Context) error {
	annotations, err := f.report.annotations()
	if err != nil {
		return err
	}
	if annotations[AnnotationServes] == "" {
		return nil // nothing heard yet: no report is better than an empty one
	}
	// What is reported as served must not come undone by a restart.
	if err := f.memory.flush(); err != nil {
		return fmt.Errorf("the sequences of routes cannot be kept on the volume: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	now, lasts := metav1.NowMicro(), int32(leaseDuration.Seconds())
	lease, err := json.Marshal(&coordinationv1.Lease{
		TypeMeta:   metav1.TypeMeta{APIVersion: coordinationv1.SchemeGroupVersion.String(), Kind: "Lease"},
		ObjectMeta: metav1.ObjectMeta{Name: LeaseName(f.Replica), Namespace: f.Namespace, Labels: map[string]string{LabelGateway: "true"}, Annotations: annotations},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &f.Replica, LeaseDurationSeconds: &lasts, RenewTime: &now},
	})
	if err != nil {
		return err
	}
	return f.leases.Patch(types.ApplyYAMLPatchType).Namespace(f.Namespace).Resource("leases").Name(LeaseName(f.Replica)).
		Param("fieldManager", "entente-gateway").Param("force", "true").Body(lease).Do(ctx).Error()
}

// Report is what a replica's Lease says, for the operator.
type Report struct {
	Replica string
	// PeerAddress of the replica, host:port; empty: it has not said.
	PeerAddress string
	// Alive: the report was renewed in time.
	Alive bool
	// ResourceVersion up to which the replica has taken in routes; empty: none.
	ResourceVersion string
	// Rejected routes by name, with the reason.
	Rejected map[string]string
}

// ReadReport reads a replica's Lease at now.
func ReadReport(l *coordinationv1.Lease, now time.Time) (Report, error) {
	r := Report{ResourceVersion: l.Annotations[AnnotationServes], PeerAddress: l.Annotations[AnnotationPeerAddress]}
	if l.Spec.HolderIdentity != nil {
		r.Replica = *l.Spec.HolderIdentity
	}
	if l.Spec.RenewTime != nil && l.Spec.LeaseDurationSeconds != nil {
		r.Alive = now.Before(l.Spec.RenewTime.Add(time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second))
	}
	if text := l.Annotations[AnnotationRejected]; text != "" {
		if err := json.Unmarshal([]byte(text), &r.Rejected); err != nil {
			return r, fmt.Errorf("lease %s: annotation %s: %w", l.Name, AnnotationRejected, err)
		}
	}
	return r, nil
}
