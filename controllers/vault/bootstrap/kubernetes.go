package bootstrap

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// FromCluster reads from a cluster who signs its service account tokens and with which keys. The keys are fixed from then on:
// when the cluster changes its keys, bootstrap again, or give a JWKS URL that Vault can reach.
func FromCluster(ctx context.Context, conf *rest.Config) (*Kubernetes, error) {
	dc, err := discovery.NewDiscoveryClientForConfig(conf)
	if err != nil {
		return nil, err
	}
	get := func(path string) ([]byte, error) {
		b, err := dc.RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json, application/jwk-set+json").DoRaw(ctx)
		if err != nil {
			return nil, fmt.Errorf("cluster %s: GET %s: %w", conf.Host, path, err)
		}
		return b, nil
	}
	var meta struct {
		Issuer string `json:"issuer"`
	}
	b, err := get("/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &meta); err != nil || meta.Issuer == "" {
		return nil, errors.New("the cluster does not say who issues its service account tokens")
	}
	if b, err = get("/openid/v1/jwks"); err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(b, &set); err != nil || len(set.Keys) == 0 {
		return nil, errors.New("the cluster gives no keys for its service account tokens")
	}
	k := &Kubernetes{Issuer: meta.Issuer}
	for _, key := range set.Keys {
		der, err := x509.MarshalPKIXPublicKey(key.Public().Key)
		if err != nil {
			return nil, fmt.Errorf("key %s of the cluster: %w", key.KeyID, err)
		}
		k.PublicKeys = append(k.PublicKeys, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	}
	return k, nil
}
