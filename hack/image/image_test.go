package main

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// Compiling for another architecture for the first time takes minutes: -platforms linux/amd64 leaves that out.
var platformsFlag = flag.String("platforms", "linux/amd64,linux/arm64", "platforms to build for")

func platforms() []string { return strings.Split(*platformsFlag, ",") }

// twice builds the image twice, in folders of their own and at different times.
func twice(t *testing.T) (first, second string) {
	t.Helper()
	var outs []string
	for range 2 {
		out := filepath.Join(t.TempDir(), "dist")
		t.Setenv("TMPDIR", t.TempDir())
		o := options{root: "../..", out: out, version: "v0.0.0-test", revision: "0123456789abcdef", platforms: platforms(), created: time.Unix(1_700_000_000, 0).UTC()}
		if _, err := build(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		outs = append(outs, out)
		time.Sleep(1100 * time.Millisecond) // so that a time that gets in somewhere differs
	}
	return outs[0], outs[1]
}

func TestImage(t *testing.T) {
	first, second := twice(t)
	t.Run("reproducible", func(t *testing.T) {
		names := []string{archiveName}
		for _, p := range platforms() {
			names = append(names, "entente-"+strings.ReplaceAll(p, "/", "-")+".cdx.json")
		}
		for _, name := range names {
			a, err1 := os.ReadFile(filepath.Join(first, name))
			b, err2 := os.ReadFile(filepath.Join(second, name))
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a, b) {
				t.Errorf("%s differs between two builds", name)
			}
		}
	})
	images := imagesIn(t, first)
	if len(images) != len(platforms()) {
		t.Fatalf("%d images, want %d", len(images), len(platforms()))
	}
	t.Run("push", func(t *testing.T) { checkPush(t, first) })
	for platform, image := range images {
		t.Run(platform, func(t *testing.T) { checkImage(t, platform, image) })
	}
}

// checkPush pushes to a registry in this process, and reads back what a node would pull.
func checkPush(t *testing.T, out string) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	pushed, err := pushTo(t.Context(), out, strings.TrimPrefix(server.URL, "http://")+"/entente/entente:v0.0.0-test")
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(pushed)
	if err != nil {
		t.Fatal(err)
	}
	for _, platform := range platforms() {
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			t.Fatal(err)
		}
		image, err := remote.Image(ref, remote.WithPlatform(*p))
		if err != nil {
			t.Fatalf("%s: %v", platform, err)
		}
		if config, err := image.ConfigFile(); err != nil || config.Architecture != p.Architecture {
			t.Errorf("%s: %+v %v", platform, config, err)
		}
	}
}

// imagesIn reads the layout back, out of its tar file.
func imagesIn(t *testing.T, out string) map[string]v1.Image {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(filepath.Join(out, archiveName))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	untar(t, f, func(h *tar.Header, data []byte) {
		to := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(to, 0o755)
		} else {
			err = os.WriteFile(to, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Errorf("the layout is not valid: %v", err)
	}
	outer, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(outer.Manifests) != 1 || outer.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "v0.0.0-test" {
		t.Fatalf("the layout names %+v", outer.Manifests)
	}
	inner, err := index.ImageIndex(outer.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := inner.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	images := map[string]v1.Image{}
	for _, m := range manifest.Manifests {
		if images[m.Platform.String()], err = inner.Image(m.Digest); err != nil {
			t.Fatal(err)
		}
	}
	return images
}

func untar(t *testing.T, r io.Reader, each func(*tar.Header, []byte)) {
	t.Helper()
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		each(h, data)
	}
}

func checkImage(t *testing.T, platform string, image v1.Image) {
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" {
		t.Errorf("user %q, want 65532:65532: kubelet refuses runAsNonRoot for a name", config.Config.User)
	}
	if want := []string{"/usr/local/bin/entente"}; !slices.Equal(config.Config.Entrypoint, want) {
		t.Errorf("entrypoint %q, want %q", config.Config.Entrypoint, want)
	}
	if got := config.OS + "/" + config.Architecture; got != platform {
		t.Errorf("the config is for %s", got)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		untar(t, r, func(h *tar.Header, data []byte) {
			if h.Typeflag == tar.TypeReg {
				files[h.Name] = data
				if h.Mode&0o022 != 0 || h.Uid != 0 {
					t.Errorf("%s can be changed by others than root: mode %o, user %d", h.Name, h.Mode, h.Uid)
				}
			}
		})
		r.Close()
	}
	var names []string
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	if want := []string{"etc/group", "etc/passwd", rootsPath, binaryPath, readyPath, sbomPath}; !slices.Equal(names, want) {
		t.Errorf("files %q, want %q: no shell, nothing else", names, want)
	}
	if bytes.Contains(files[binaryPath], []byte("text/template.(*state).evalField")) {
		t.Error("templates can be executed, so that the binary has every method of every type: what internal/depstest and the tag grpcnotrace are for")
	}
	for _, name := range []string{binaryPath, readyPath} {
		checkStatic(t, name, files[name], platform)
	}
	if n := bytes.Count(files[rootsPath], []byte("BEGIN CERTIFICATE")); n < 50 {
		t.Errorf("only %d public authorities", n)
	}
	checkBill(t, files[sbomPath])
}

func checkStatic(t *testing.T, name string, data []byte, platform string) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if want := map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64}[platform]; f.Machine != want {
		t.Errorf("%s is for %v, want %v", name, f.Machine, want)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is linked dynamically", name)
		}
	}
	if wd, err := os.Getwd(); err == nil && bytes.Contains(data, []byte(wd)) {
		t.Errorf("%s tells where it was built", name)
	}
}

func checkBill(t *testing.T, data []byte) {
	var bill struct {
		BOMFormat string
		Metadata  struct {
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(data, &bill); err != nil {
		t.Fatal(err)
	}
	if bill.BOMFormat != "CycloneDX" || bill.Metadata.Component.Name != "github.com/entente-dev/entente" || bill.Metadata.Component.Version != "v0.0.0-test" {
		t.Errorf("bill of %+v", bill.Metadata)
	}
	var have []string
	for _, c := range bill.Components {
		if c.Version == "" || !strings.HasPrefix(c.PURL, "pkg:golang/") {
			t.Errorf("component %+v", c)
		}
		have = append(have, c.Name)
	}
	for _, want := range []string{"std", "google.golang.org/grpc", "github.com/hashicorp/vault/api", "sigs.k8s.io/controller-runtime"} {
		if !slices.Contains(have, want) {
			t.Errorf("%s is in the binary and not in its bill of materials", want)
		}
	}
}

func TestUnknownPlatformIsSaid(t *testing.T) {
	o := options{out: t.TempDir(), platforms: []string{"linux/none/of/these/at/all"}, compile: func(context.Context, string, string, string, string, string) error { return nil }}
	if _, err := build(t.Context(), o); err == nil || !strings.Contains(err.Error(), "linux/none") {
		t.Errorf("%v", err)
	}
}
