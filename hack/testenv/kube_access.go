package testenv

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os/exec"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// builtinMapper knows the kinds that this package writes, so that its client needs no discovery.
func builtinMapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	m.Add(corev1.SchemeGroupVersion.WithKind("Namespace"), meta.RESTScopeRoot)
	m.Add(corev1.SchemeGroupVersion.WithKind("ServiceAccount"), meta.RESTScopeNamespace)
	m.Add(rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"), meta.RESTScopeRoot)
	return m
}

// Issuer is the URL in the `iss` claim of service account tokens, and also their audience if none is asked for.
func (k *Kube) Issuer() string { return k.serverURL }

// JWKS is the issuer's public keys as the API server publishes them.
func (k *Kube) JWKS(ctx context.Context) ([]byte, error) {
	var keys []byte
	if err := k.get(ctx, "/openid/v1/jwks", &keys); err != nil {
		return nil, fmt.Errorf("testenv: keys of the service account issuer: %w", err)
	}
	return keys, nil
}

// IssuerKeys is the issuer's public keys in PEM, as Vault's jwt_validation_pubkeys takes them.
func (k *Kube) IssuerKeys() ([]string, error) {
	der, err := x509.MarshalPKIXPublicKey(k.issuerKey.Public())
	if err != nil {
		return nil, fmt.Errorf("testenv: key of the service account issuer: %w", err)
	}
	return []string{string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}, nil
}

// publishIssuer lets everyone read the issuer's discovery document and keys.
func (k *Kube) publishIssuer(ctx context.Context) error {
	return k.ensure(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "entente-testenv-public-issuer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:service-account-issuer-discovery"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:unauthenticated"}},
	})
}

// ensure creates an object, or leaves the one that is there.
func (k *Kube) ensure(ctx context.Context, o client.Object) error {
	if err := k.client.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("testenv: create %T %s: %w", o, o.GetName(), err)
	}
	return nil
}

// EnsureNamespace creates a namespace if it is not there.
func (k *Kube) EnsureNamespace(ctx context.Context, name string) error {
	return k.ensure(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

// EnsureServiceAccount creates a service account, and its namespace, if they are not there. It has no rights.
func (k *Kube) EnsureServiceAccount(ctx context.Context, namespace, name string) error {
	if err := k.EnsureNamespace(ctx, namespace); err != nil {
		return err
	}
	return k.ensure(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
}

// WriteAdminKubeconfig writes a kubeconfig of the admin.
func (k *Kube) WriteAdminKubeconfig(path string) error {
	return k.writeKubeconfig(path, "default", &clientcmdapi.AuthInfo{
		ClientCertificateData: k.config.CertData, ClientKeyData: k.config.KeyData,
	})
}

// WriteServiceAccountKubeconfig writes a kubeconfig of a service account, which it creates if need be, with its namespace as the
// default one. The token is in the file PATH.token, which can be refreshed.
func (k *Kube) WriteServiceAccountKubeconfig(ctx context.Context, path, namespace, name string, o TokenOptions) (*TokenFile, error) {
	if err := k.EnsureServiceAccount(ctx, namespace, name); err != nil {
		return nil, err
	}
	token, err := k.WriteToken(ctx, path+".token", namespace, name, o)
	if err != nil {
		return nil, err
	}
	return token, k.writeKubeconfig(path, namespace, &clientcmdapi.AuthInfo{TokenFile: token.Path})
}

func (k *Kube) writeKubeconfig(path, namespace string, user *clientcmdapi.AuthInfo) error {
	c := clientcmdapi.NewConfig()
	c.Clusters["testenv"] = &clientcmdapi.Cluster{Server: k.serverURL, CertificateAuthorityData: k.authority.pem}
	c.AuthInfos["testenv"] = user
	c.Contexts["testenv"] = &clientcmdapi.Context{Cluster: "testenv", AuthInfo: "testenv", Namespace: namespace}
	c.CurrentContext = "testenv"
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		return fmt.Errorf("testenv: kubeconfig: %w", err)
	}
	return nil
}

// Kubectl runs kubectl as the admin and returns what it prints.
func (k *Kube) Kubectl(ctx context.Context, args ...string) (string, error) {
	config := k.dir.file("admin.kubeconfig")
	if err := k.WriteAdminKubeconfig(config); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, k.kubectl, append([]string{"--kubeconfig=" + config, "--cache-dir=" + k.dir.file("kubectl-cache")}, args...)...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %v: %w: %s", args, err, bytes.TrimSpace(problems.Bytes()))
	}
	return out.String(), nil
}

// WaitRefused returns once kubectl is refused with these arguments, which an admission policy that was just applied forbids: the API server
// takes policies up some time after they are there. Use --dry-run=server.
func (k *Kube) WaitRefused(ctx context.Context, args ...string) error {
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := k.Kubectl(ctx, args...)
		if err != nil && !strings.Contains(err.Error(), "orbidden") {
			return false, err
		}
		return err != nil, nil
	})
}

// KubectlPath is the kubectl program, for instructions to a person.
func (k *Kube) KubectlPath() string { return k.kubectl }
