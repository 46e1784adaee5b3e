package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/standalone"
)

// desk is where an agency keeps its resources: a namespace of a cluster, or a folder of `entente standalone`.
type desk interface {
	shelf
	// Index gives everything that the agency has about agreements.
	Index(ctx context.Context) (*compile.Index, error)
	// Dataset gives a dataset, Schema an exchange schema. Whoever may read the one object needs no right to any other.
	Dataset(ctx context.Context, name string) (*v1alpha1.Dataset, error)
	Schema(ctx context.Context, name string) (*v1alpha1.ExchangeSchema, error)
	// ExportAgency gives the agency as peers apply it.
	ExportAgency(ctx context.Context, name string) (*v1alpha1.Agency, error)
	// ImportAgency applies a peer's Agency in the place of before, which was read from the desk; nil: there was none.
	ImportAgency(ctx context.Context, before, a *v1alpha1.Agency) error
	// SetMaintenance sets when this agency answers no queries; nil: it does.
	SetMaintenance(ctx context.Context, m *v1alpha1.Maintenance) error
	// ExportSignature gives this agency's own signature on an agreement.
	ExportSignature(ctx context.Context, agreement string) (*v1alpha1.AgreementSignature, error)
	// ImportSignature files a peer's signature on an agreement.
	ImportSignature(ctx context.Context, agreement string, s v1alpha1.AgreementSignature) error
	// Decide files a decision on an agreement's terms as they stand, and says where, and as what.
	Decide(ctx context.Context, d v1alpha1.AgreementDecisionSpec) (where string, filed v1alpha1.AgreementDecisionSpec, err error)
}

// deskFlags choose the desk: --config for a folder; otherwise the cluster, as kubectl chooses it.
type deskFlags struct {
	config, state                  string
	kubeconfig, context, namespace string
	as                             string
}

func (f *deskFlags) add(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.config, "config", "", "folder of 'entente standalone', instead of a cluster")
	flags.StringVar(&f.state, "state", "", "state folder of 'entente standalone' (default: .entente in the folder)")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "path of the kubeconfig file (default: as kubectl finds it)")
	flags.StringVar(&f.context, "context", "", "context of the kubeconfig file")
	flags.StringVarP(&f.namespace, "namespace", "n", "", "namespace of the agency (default: the context's)")
	flags.StringVar(&f.as, "as", "", "user to impersonate")
}

func (f *deskFlags) open() (desk, error) {
	if f.config != "" {
		return folderDesk{standalone.Folder{ConfigDir: f.config, StateDir: f.state}}, nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: f.context}
	overrides.Context.Namespace = f.namespace
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster (use --kubeconfig, or --config for a folder): %w", err)
	}
	config.Impersonate.UserName = f.as
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, err
	}
	return newClusterDesk(config, namespace)
}

func newClusterDesk(config *rest.Config, namespace string) (desk, error) {
	scheme := runtime.NewScheme()
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	utilruntime.Must(authenticationv1.AddToScheme(scheme))
	utilruntime.Must(authorizationv1.AddToScheme(scheme))
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	return clusterDesk{c, namespace}, nil
}

type folderDesk struct{ folder standalone.Folder }

func (d folderDesk) ExportAgency(ctx context.Context, name string) (*v1alpha1.Agency, error) {
	d.folder.Agency = name
	return d.folder.ExportAgency(ctx)
}

func (d folderDesk) ImportAgency(_ context.Context, _, a *v1alpha1.Agency) error {
	return d.folder.ImportAgency(a)
}

func (d folderDesk) SetMaintenance(_ context.Context, m *v1alpha1.Maintenance) error {
	return d.folder.SetMaintenance(m)
}

func (d folderDesk) ExportSignature(_ context.Context, agreement string) (*v1alpha1.AgreementSignature, error) {
	return d.folder.ExportSignature(agreement)
}

func (d folderDesk) ImportSignature(_ context.Context, agreement string, s v1alpha1.AgreementSignature) error {
	return d.folder.ImportSignature(agreement, s)
}

func (d folderDesk) Decide(_ context.Context, spec v1alpha1.AgreementDecisionSpec) (where string, filed v1alpha1.AgreementDecisionSpec, err error) {
	if spec.DecidedBy == "" {
		return "", filed, errors.New("--decided-by says who decides: a folder cannot tell who you are")
	}
	if where, err = d.folder.Decide(spec, time.Now()); err != nil {
		return "", filed, err
	}
	text, err := os.ReadFile(where)
	if err != nil {
		return "", filed, err
	}
	var object v1alpha1.AgreementDecision
	err = yaml.UnmarshalStrict(text, &object)
	return where, object.Spec, err
}

// clusterDesk is a namespace of a cluster.
type clusterDesk struct {
	client    client.Client
	namespace string
}

// conflicts: an operator writes status in between, several times while an agreement comes into force; about five seconds in all.
var conflicts = wait.Backoff{Steps: 10, Duration: 10 * time.Millisecond, Factor: 2, Jitter: 0.2}

func (d clusterDesk) get(ctx context.Context, name string, into client.Object) error {
	return d.client.Get(ctx, client.ObjectKey{Namespace: d.namespace, Name: name}, into)
}

// self is the Agency that the operator of the namespace has as its own.
func (d clusterDesk) self(ctx context.Context) (*v1alpha1.Agency, error) {
	var list v1alpha1.AgencyList
	if err := d.client.List(ctx, &list, client.InNamespace(d.namespace)); err != nil {
		return nil, err
	}
	for i := range list.Items {
		if list.Items[i].Status.Local {
			return &list.Items[i], nil
		}
	}
	return nil, fmt.Errorf("no Agency in namespace %s is an operator's own: name one, and see that its operator runs", d.namespace)
}

func (d clusterDesk) SetMaintenance(ctx context.Context, m *v1alpha1.Maintenance) error {
	return retry.RetryOnConflict(conflicts, func() error {
		a, err := d.self(ctx)
		if err != nil {
			return err
		}
		before := a.DeepCopy()
		a.Spec.Maintenance = m
		return d.client.Patch(ctx, a, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
}

func (d clusterDesk) ExportAgency(ctx context.Context, name string) (*v1alpha1.Agency, error) {
	agency, err := &v1alpha1.Agency{}, error(nil)
	if name == "" {
		agency, err = d.self(ctx)
	} else {
		err = d.get(ctx, name, agency)
	}
	if err != nil {
		return nil, err
	}
	out := &v1alpha1.Agency{Spec: *agency.Spec.DeepCopy()}
	out.Name = agency.Name
	out.Spec.Maintenance = nil // it is announced, not imported
	if agency.Status.Local {
		out.Spec.TrustBundle, out.Spec.SigningKeys = agency.Status.TrustBundle, agency.Status.SigningKeys
	}
	if out.Spec.TrustBundle == "" || out.Spec.SigningKeys == nil {
		return nil, fmt.Errorf("agency %s has no published trust bundle and keys yet: see that its operator runs and reaches Vault", agency.Name)
	}
	return out, nil
}

func (d clusterDesk) ImportAgency(ctx context.Context, before, a *v1alpha1.Agency) error {
	if before == nil {
		next := &v1alpha1.Agency{ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace, Name: a.Name}, Spec: a.Spec}
		return d.client.Create(ctx, next)
	}
	next := before.DeepCopy()
	next.Spec = a.Spec
	// What was shown is what is replaced: a change in between makes it fail.
	return d.client.Patch(ctx, next, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

func (d clusterDesk) ExportSignature(ctx context.Context, agreement string) (*v1alpha1.AgreementSignature, error) {
	var a v1alpha1.SharingAgreement
	if err := d.get(ctx, agreement, &a); err != nil {
		return nil, err
	}
	if len(a.Status.Signatures) == 0 {
		return nil, fmt.Errorf("this agency has not signed %s: kubectl describe agr %s says what is waited for", agreement, agreement)
	}
	return &a.Status.Signatures[0], nil
}

func (d clusterDesk) ImportSignature(ctx context.Context, agreement string, s v1alpha1.AgreementSignature) error {
	return retry.RetryOnConflict(conflicts, func() error {
		var a v1alpha1.SharingAgreement
		if err := d.get(ctx, agreement, &a); err != nil {
			return err
		}
		before := a.DeepCopy()
		others := a.Spec.Signatures[:0:0]
		for _, old := range a.Spec.Signatures {
			if old.Agency != s.Agency {
				others = append(others, old)
			}
		}
		a.Spec.Signatures = append(others, s)
		// A patch of only what changed: an update would write back the terms as this version of the command knows them.
		return d.client.Patch(ctx, &a, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
}

func (d clusterDesk) Decide(ctx context.Context, spec v1alpha1.AgreementDecisionSpec) (where string, filed v1alpha1.AgreementDecisionSpec, err error) {
	var a v1alpha1.SharingAgreement
	if err := d.get(ctx, spec.Agreement, &a); err != nil {
		return "", filed, err
	}
	digest, err := a.Spec.Terms.Digest()
	if err != nil {
		return "", filed, err
	}
	if spec.Digest != "" && spec.Digest != digest {
		return "", filed, fmt.Errorf("the digest of %s is %s, not %s: read the terms again before deciding", spec.Agreement, digest, spec.Digest)
	}
	spec.Digest = digest
	if spec.DecidedBy == "" {
		review := &authenticationv1.SelfSubjectReview{}
		if err := d.client.Create(ctx, review); err != nil {
			return "", filed, fmt.Errorf("asking the cluster who you are (or use --decided-by): %w", err)
		}
		spec.DecidedBy = review.Status.UserInfo.Username
	}
	if spec.Role == "" {
		if spec.Role, err = d.ownRole(ctx, spec.Decision); err != nil {
			return "", filed, err
		}
	}
	decision := &v1alpha1.AgreementDecision{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace, GenerateName: decisionPrefix(spec)},
		Spec:       spec,
	}
	if err := d.client.Create(ctx, decision); err != nil {
		return "", filed, refusedDecision(err)
	}
	return "agreementdecision.entente.dev/" + decision.Name, decision.Spec, nil
}
