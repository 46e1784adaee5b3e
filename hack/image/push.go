package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// pushTo pushes the image of a layout, all platforms of it, and gives the reference by digest. What is pushed is the index inside the
// layout, so that the digest is the one that build printed.
func pushTo(ctx context.Context, out, reference string) (string, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return "", err
	}
	outer, err := layout.ImageIndexFromPath(filepath.Join(out, layoutName))
	if err != nil {
		return "", err
	}
	manifest, err := outer.IndexManifest()
	if err != nil {
		return "", err
	}
	if len(manifest.Manifests) != 1 {
		return "", fmt.Errorf("the layout has %d images, want one", len(manifest.Manifests))
	}
	digest := manifest.Manifests[0].Digest
	index, err := outer.ImageIndex(digest)
	if err != nil {
		return "", err
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return "", err
	}
	return ref.Context().Digest(digest.String()).String(), nil
}
