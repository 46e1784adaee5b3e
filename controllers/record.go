package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/exchange"
)

// record is the agency's record of agreements for the exchange. Every replica answers peers, so what a message changes is read
// from the API server and written only if nobody else changed it meanwhile.
type record struct {
	gather *gatherer
	client client.Client
	live   client.Reader
}

var _ exchange.Agreements = (*record)(nil)

// SigningKeys implements exchange.Agreements.
func (r *record) SigningKeys(ctx context.Context, agency string) (*v1alpha1.KeySet, error) {
	a := &v1alpha1.Agency{}
	if _, err := r.gather.get(ctx, agency, a); err != nil {
		return nil, err
	}
	return a.Spec.SigningKeys, nil
}

// Get implements exchange.Agreements.
func (r *record) Get(ctx context.Context, name string) (*v1alpha1.SharingAgreement, error) {
	a := &v1alpha1.SharingAgreement{}
	err := r.live.Get(ctx, client.ObjectKey{Namespace: r.gather.namespace, Name: name}, a)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get agreement %s: %w", name, err)
	}
	return a, nil
}

// Maintenance implements exchange.Agreements.
func (r *record) Maintenance(ctx context.Context) (*v1alpha1.Maintenance, error) {
	a := &v1alpha1.Agency{}
	_, err := r.gather.get(ctx, r.gather.self, a)
	return a.Spec.Maintenance, err
}

// Announced implements exchange.Agreements. Every replica answers peers, and one keeps in touch with them: the object tells it.
func (r *record) Announced(ctx context.Context, agency string, at time.Time) error {
	key := client.ObjectKey{Namespace: r.gather.namespace, Name: agency}
	stamp := metav1.NewMicroTime(at)
	return applyStatus(ctx, r.client, "Agency", key, ownerAnnounced, &v1alpha1.AgencyStatus{AnnouncedAt: &stamp})
}

// Versions implements exchange.Agreements.
func (r *record) Versions(ctx context.Context, id string) ([]v1alpha1.SharingAgreement, error) {
	var list v1alpha1.SharingAgreementList
	err := r.gather.list(ctx, &list, agreementByID, id)
	return list.Items, err
}

// Undecided implements exchange.Agreements.
func (r *record) Undecided(ctx context.Context, agency string) (int, error) {
	var list v1alpha1.SharingAgreementList
	err := r.gather.reader.List(ctx, &list, client.InNamespace(r.gather.namespace), client.MatchingLabels{v1alpha1.LabelProposedBy: agency})
	if err != nil {
		return 0, fmt.Errorf("list proposals of %s: %w", agency, err)
	}
	n := 0
	for i := range list.Items {
		if s := &list.Items[i].Status; len(s.Decisions)+len(s.Signatures) == 0 {
			n++
		}
	}
	return n, nil
}

// cacheLag bounds the wait for the cache to see what was created: the next count must include it.
const cacheLag = 2 * time.Second

// Create implements exchange.Agreements.
func (r *record) Create(ctx context.Context, a *v1alpha1.SharingAgreement) error {
	a.Namespace = r.gather.namespace
	controllerutil.AddFinalizer(a, v1alpha1.Finalizer)
	err := r.client.Create(ctx, a)
	switch {
	case apierrors.IsAlreadyExists(err):
		return exchange.ErrChanged
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return &exchange.Refusal{Reason: exchange.Malformed, Message: fmt.Sprintf("the terms are no SharingAgreement: %v", err)}
	case err != nil:
		return fmt.Errorf("create agreement %s: %w", a.Name, err)
	}
	_ = wait.PollUntilContextTimeout(ctx, 2*time.Millisecond, cacheLag, true, func(ctx context.Context) (bool, error) {
		return r.gather.get(ctx, a.Name, &v1alpha1.SharingAgreement{})
	})
	return nil
}

// AddTaskForce implements exchange.Agreements. One of that name that is another is left alone: the agreement's ResolvedRefs tells.
func (r *record) AddTaskForce(ctx context.Context, f *v1alpha1.TaskForce) error {
	if found, err := r.gather.get(ctx, f.Name, &v1alpha1.TaskForce{}); found || err != nil {
		return err
	}
	f.Namespace = r.gather.namespace
	err := r.client.Create(ctx, f)
	switch {
	case err == nil, apierrors.IsAlreadyExists(err):
		return nil
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return &exchange.Refusal{Reason: exchange.Malformed, Message: fmt.Sprintf("task force %s is no TaskForce: %v", f.Name, err)}
	}
	return fmt.Errorf("create task force %s: %w", f.Name, err)
}

// taskForces are those that the terms pin, as far as they are here, each its spec as JSON.
func (r *record) taskForces(ctx context.Context, t *v1alpha1.AgreementTerms) ([][]byte, error) {
	var out [][]byte
	for _, ref := range compile.PinnedTaskForces(t) {
		f := &v1alpha1.TaskForce{}
		found, err := r.gather.get(ctx, compile.TaskForceName(ref), f)
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		digest, err := f.Spec.Digest()
		if err != nil || digest != ref.Digest {
			continue
		}
		data, err := json.Marshal(&f.Spec)
		if err != nil {
			return nil, fmt.Errorf("task force %s: %w", f.Name, err)
		}
		out = append(out, data)
	}
	return out, nil
}

// Receive implements exchange.Agreements.
func (r *record) Receive(ctx context.Context, a *v1alpha1.SharingAgreement, received []v1alpha1.AgreementStatement) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&v1alpha1.SharingAgreementStatus{Received: received})
	if err != nil {
		return fmt.Errorf("status of agreement %s: %w", a.Name, err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       "SharingAgreement",
		"metadata":   map[string]any{"name": a.Name, "namespace": a.Namespace, "resourceVersion": a.ResourceVersion, "uid": string(a.UID)},
		"status":     content,
	}}
	err = r.client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(v1alpha1.OwnerReceived), client.ForceOwnership)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return exchange.ErrChanged
	}
	if err != nil {
		return fmt.Errorf("keep statements on agreement %s: %w", a.Name, err)
	}
	return nil
}

// With implements exchange.Agreements.
func (r *record) With(ctx context.Context, agency, after string) ([]v1alpha1.SharingAgreement, error) {
	var list v1alpha1.SharingAgreementList
	if err := r.gather.list(ctx, &list, agreementByRef, agencyRef(agency)); err != nil {
		return nil, err
	}
	out := slices.DeleteFunc(list.Items, func(a v1alpha1.SharingAgreement) bool { return a.Name <= after })
	slices.SortFunc(out, func(a, b v1alpha1.SharingAgreement) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// peer is where an agency's operator is reached; ok is false for an agency that cannot be.
func (r *record) peer(ctx context.Context, agency string) (exchange.Peer, bool, error) {
	a := &v1alpha1.Agency{}
	found, err := r.gather.get(ctx, agency, a)
	if err != nil || !found || a.Name == r.gather.self {
		return exchange.Peer{}, false, err
	}
	p, incomplete := exchange.PeerOf(a)
	return p, incomplete == nil, nil
}

// sameInstant compares as statements do: to the second.
func sameInstant(a, b metav1.Time) bool { return a.Unix() == b.Unix() }
