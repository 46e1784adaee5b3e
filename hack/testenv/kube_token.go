package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TokenOptions says what service account token to issue.
type TokenOptions struct {
	// Audience is whom the token is for, such as "vault". Empty: the API server, which accepts no others.
	Audience string
	// Expiry is at least ten minutes. Zero: an hour.
	Expiry time.Duration
}

// Token issues a token of an existing service account by the TokenRequest API and says when it expires.
func (k *Kube) Token(ctx context.Context, namespace, name string, o TokenOptions) (string, time.Time, error) {
	request := &authenticationv1.TokenRequest{}
	if o.Audience != "" {
		request.Spec.Audiences = []string{o.Audience}
	}
	if o.Expiry != 0 {
		seconds := int64(o.Expiry.Seconds())
		request.Spec.ExpirationSeconds = &seconds
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := k.client.SubResource("token").Create(ctx, account, request); err != nil {
		return "", time.Time{}, fmt.Errorf("testenv: token of service account %s/%s (EnsureServiceAccount creates one): %w", namespace, name, err)
	}
	return request.Status.Token, request.Status.ExpirationTimestamp.Time, nil
}

// TokenFile is a service account token in a file, as a pod finds it: programs read it again now and then.
type TokenFile struct {
	Path string

	kube            *Kube
	namespace, name string
	options         TokenOptions
}

// WriteToken issues a token into a file. It expires; see Refresh and Keep.
func (k *Kube) WriteToken(ctx context.Context, path, namespace, name string, o TokenOptions) (*TokenFile, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("testenv: %w", err)
	}
	f := &TokenFile{Path: path, kube: k, namespace: namespace, name: name, options: o}
	if _, err := f.Refresh(ctx); err != nil {
		return nil, err
	}
	return f, nil
}

// Refresh replaces the token, atomically, and says when the new one expires.
func (f *TokenFile) Refresh(ctx context.Context) (time.Time, error) {
	token, expires, err := f.kube.Token(ctx, f.namespace, f.name, f.options)
	if err != nil {
		return time.Time{}, err
	}
	next := f.Path + ".next"
	if err := os.WriteFile(next, []byte(token), 0o600); err != nil {
		return time.Time{}, fmt.Errorf("testenv: %w", err)
	}
	if err := os.Rename(next, f.Path); err != nil {
		return time.Time{}, fmt.Errorf("testenv: %w", err)
	}
	return expires, nil
}

// Keep refreshes the token at half its life until the context ends; while the API server is away it tries again every second.
func (f *TokenFile) Keep(ctx context.Context) {
	for {
		wait := time.Second
		if expires, err := f.Refresh(ctx); err == nil {
			wait = time.Until(expires) / 2
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(wait, time.Second)):
		}
	}
}
