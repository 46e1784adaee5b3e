package testenv_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/hack/testenv"
)

func TestKube(t *testing.T) {
	k := testenv.RequireKube(t, testenv.KubeOptions{PublicIssuer: true, Progress: t.Output()})
	ctx := t.Context()
	admin, err := client.New(k.Config(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}

	t.Run("service account", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "kubeconfig")
		token, err := k.WriteServiceAccountKubeconfig(ctx, path, "state-police", "gateway", testenv.TokenOptions{Expiry: 10 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.New(config, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		review := &authenticationv1.SelfSubjectReview{}
		if err := c.Create(ctx, review); err != nil {
			t.Fatal(err)
		}
		if got, want := review.Status.UserInfo.Username, "system:serviceaccount:state-police:gateway"; got != want {
			t.Errorf("kubeconfig is of %s, want %s", got, want)
		}
		if err := c.List(ctx, &corev1.SecretList{}, client.InNamespace("state-police")); !apierrors.IsForbidden(err) {
			t.Errorf("a service account without roles lists secrets: %v", err)
		}
		before, err := os.ReadFile(token.Path)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond) // the times in a token are in seconds
		expires, err := token.Refresh(ctx)
		if err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(token.Path)
		if err != nil {
			t.Fatal(err)
		}
		if string(before) == string(after) || time.Until(expires) < 9*time.Minute {
			t.Errorf("the token was not refreshed, or expires at %v", expires)
		}
	})

	t.Run("audience", func(t *testing.T) {
		if err := k.EnsureServiceAccount(ctx, "state-police", "operator"); err != nil {
			t.Fatal(err)
		}
		token, _, err := k.Token(ctx, "state-police", "operator", testenv.TokenOptions{Audience: "vault"})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Issuer   string   `json:"iss"`
			Audience []string `json:"aud"`
			Subject  string   `json:"sub"`
		}
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		if claims.Issuer != k.Issuer() || len(claims.Audience) != 1 || claims.Audience[0] != "vault" ||
			claims.Subject != "system:serviceaccount:state-police:operator" {
			t.Errorf("claims: %+v", claims)
		}
		config := rest.AnonymousClientConfig(k.Config())
		config.BearerToken = token
		c, err := client.New(config, client.Options{})
		if err == nil {
			err = c.Create(ctx, &authenticationv1.SelfSubjectReview{})
		}
		if !apierrors.IsUnauthorized(err) {
			t.Errorf("the API server takes a token for vault: %v", err)
		}
	})

	t.Run("issuer", func(t *testing.T) {
		keys, err := k.JWKS(ctx)
		if err != nil || !strings.Contains(string(keys), `"RSA"`) {
			t.Errorf("keys: %s, %v", keys, err)
		}
		c, err := rest.HTTPClientFor(rest.AnonymousClientConfig(k.Config()))
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Get(k.Issuer() + "/.well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var discovery struct {
			Issuer  string `json:"issuer"`
			JWKSURI string `json:"jwks_uri"`
		}
		if err := json.NewDecoder(res.Body).Decode(&discovery); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("discovery: %s, %v", res.Status, err)
		}
		if discovery.Issuer != k.Issuer() || discovery.JWKSURI != k.Issuer()+"/openid/v1/jwks" {
			t.Errorf("discovery: %+v", discovery)
		}
	})

	t.Run("admission policy", func(t *testing.T) {
		createPolicy(t, admin)
		deadline := time.Now().Add(2 * time.Minute)
		for {
			err := admin.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "forbidden-", Namespace: "state-police"}})
			if apierrors.IsInvalid(err) && strings.Contains(err.Error(), "no config maps here") {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the policy denies nothing: %v", err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})

	t.Run("kubectl", func(t *testing.T) {
		out, err := k.Kubectl(ctx, "get", "serviceaccounts", "-n", "state-police", "-o", "name")
		if err != nil || !strings.Contains(out, "serviceaccount/gateway") {
			t.Errorf("%s, %v", out, err)
		}
	})

	t.Run("taken away", func(t *testing.T) {
		get := func(within time.Duration) error {
			ctx, cancel := context.WithTimeout(ctx, within)
			defer cancel()
			return admin.Get(ctx, client.ObjectKey{Namespace: "state-police", Name: "gateway"}, &corev1.ServiceAccount{})
		}
		if err := k.Hang(); err != nil {
			t.Fatal(err)
		}
		if err := get(2 * time.Second); err == nil {
			t.Error("a frozen API server answers")
		}
		if err := k.Up(ctx); err != nil {
			t.Fatal(err)
		}
		if err := get(time.Minute); err != nil {
			t.Errorf("after Hang: %v", err)
		}
		if err := k.Down(); err != nil {
			t.Fatal(err)
		}
		if err := get(time.Minute); err == nil {
			t.Error("a stopped API server answers")
		}
		began := time.Now()
		if err := k.Up(ctx); err != nil {
			t.Fatal(err)
		}
		t.Logf("up again in %v", time.Since(began))
		if err := get(time.Minute); err != nil {
			t.Errorf("after Down: %v", err)
		}
	})
}

// createPolicy denies config maps in namespaces other than Kubernetes' own.
func createPolicy(t *testing.T, c client.Client) {
	t.Helper()
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "no-config-maps"},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{
				ResourceRules: []admissionv1.NamedRuleWithOperations{{
					RuleWithOperations: admissionv1.RuleWithOperations{
						Operations: []admissionv1.OperationType{admissionv1.Create},
						Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
					},
				}},
			},
			Validations: []admissionv1.Validation{{
				Expression: "object.metadata.namespace.startsWith('kube-')", Message: "no config maps here",
			}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "no-config-maps"},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: "no-config-maps", ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
	for _, o := range []client.Object{policy, binding} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}
