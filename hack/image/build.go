package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Where things are: in the output folder, and in the image.
const (
	archiveName = "entente-image.tar"
	layoutName  = "entente-image"

	binaryPath = "usr/local/bin/entente"
	readyPath  = "usr/local/bin/entente-ready"
	sbomPath   = "usr/share/sbom/entente.cdx.json"
	rootsPath  = "etc/ssl/certs/ca-certificates.crt"
	statePath  = "var/lib/entente"
)

// nonroot is the user and group that the image runs as.
const nonroot = 65532

type options struct {
	root, out         string
	version, revision string
	platforms         []string
	created           time.Time
	// compile makes a static binary of a package of the module in dir; nil: the Go toolchain does.
	compile func(ctx context.Context, to, dir, pkg, ldflags, platform string) error
}

// build writes the layout, its tar file and the bills of materials, and gives the digest of the index.
func build(ctx context.Context, o options) (v1.Hash, error) {
	if o.compile == nil {
		o.compile = compile
	}
	into := filepath.Join(o.out, layoutName)
	if err := os.RemoveAll(into); err != nil {
		return v1.Hash{}, err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return v1.Hash{}, err
	}
	work, err := os.MkdirTemp("", "entente-image-")
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.RemoveAll(work)

	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, platform := range o.platforms {
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			return v1.Hash{}, fmt.Errorf("platform %q: %w", platform, err)
		}
		image, err := imageFor(ctx, o, work, p)
		if err != nil {
			return v1.Hash{}, fmt.Errorf("%s: %w", platform, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: p}})
	}
	index = mutate.Annotations(index, o.labels()).(v1.ImageIndex)

	// The outer index of a layout names what is in it; the image is one index, so that its digest is the same wherever it is pushed.
	path, err := layout.Write(into, empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": o.version})); err != nil {
		return v1.Hash{}, err
	}
	if err := archive(filepath.Join(o.out, archiveName), into, o.created); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}

func (o options) labels() map[string]string {
	l := map[string]string{
		"org.opencontainers.image.title":       "entente",
		"org.opencontainers.image.description": "Operator, gateway and commands of Entente",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     o.version,
		"org.opencontainers.image.created":     o.created.Format(time.RFC3339),
	}
	if o.revision != "" {
		l["org.opencontainers.image.revision"] = o.revision
	}
	return l
}

// imageFor builds the image of one platform.
func imageFor(ctx context.Context, o options, work string, p *v1.Platform) (v1.Image, error) {
	name := p.OS + "-" + p.Architecture
	binary, ready := filepath.Join(work, "entente-"+name), filepath.Join(work, "ready-"+name)
	if err := o.compile(ctx, binary, o.root, "./cmd/entente", "-s -w -buildid= -X main.version="+o.version, p.String()); err != nil {
		return nil, err
	}
	if err := o.compile(ctx, ready, filepath.Join(o.root, "hack", "image"), "./ready", "-s -w -buildid=", p.String()); err != nil {
		return nil, err
	}
	sbom, err := billOfMaterials(binary, o.version, o.created)
	if err != nil {
		return nil, fmt.Errorf("bill of materials: %w", err)
	}
	if err := os.WriteFile(filepath.Join(o.out, "entente-"+name+".cdx.json"), sbom, 0o644); err != nil {
		return nil, err
	}
	base, err := layer(o.created, baseFiles()...)
	if err != nil {
		return nil, err
	}
	program, err := read(binaryPath, binary)
	if err != nil {
		return nil, err
	}
	helper, err := read(readyPath, ready)
	if err != nil {
		return nil, err
	}
	programs, err := layer(o.created, program, helper, file{path: sbomPath, mode: 0o644, data: sbom})
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.Append(image,
		mutate.Addendum{Layer: base, History: v1.History{Created: v1.Time{Time: o.created}, CreatedBy: "hack/image: user, certificate authorities"}},
		mutate.Addendum{Layer: programs, History: v1.History{Created: v1.Time{Time: o.created}, CreatedBy: "hack/image: entente " + o.version}},
	)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: o.created}
	config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
	config.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", nonroot, nonroot),
		Entrypoint: []string{"/" + binaryPath},
		Cmd:        []string{"--help"},
		Env:        []string{"PATH=/usr/local/bin", "SSL_CERT_FILE=/" + rootsPath},
		WorkingDir: "/",
		Labels:     o.labels(),
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, err
	}
	return mutate.Annotations(image, o.labels()).(v1.Image), nil
}

// compile builds one static binary. Nothing of this machine gets into it: no paths, no build id, no state of the work tree.
func compile(ctx context.Context, to, dir, pkg, ldflags, platform string) error {
	system, arch, _ := strings.Cut(platform, "/")
	// The tag as in the Makefile.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "grpcnotrace", "-ldflags", ldflags, "-o", to, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOOS="+system, "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, problems.Bytes())
	}
	return nil
}

// file of a layer; a folder when it has no data and its mode says so.
type file struct {
	path  string
	mode  fs.FileMode
	owner int
	data  []byte
}

func read(path, from string) (file, error) {
	data, err := os.ReadFile(from)
	return file{path: path, mode: 0o755, data: data}, err
}

// baseFiles are who the processes are and whom they trust. Kubernetes mounts the volume over the state folder; elsewhere it is there.
func baseFiles() []file {
	return []file{
		{path: "etc/passwd", mode: 0o644, data: fmt.Appendf(nil, "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%d:%d:nonroot:/%s:/sbin/nologin\n", nonroot, nonroot, statePath)},
		{path: "etc/group", mode: 0o644, data: fmt.Appendf(nil, "root:x:0:\nnonroot:x:%d:\n", nonroot)},
		{path: rootsPath, mode: 0o644, data: publicRoots()},
		{path: "tmp", mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{path: statePath, mode: fs.ModeDir | 0o700, owner: nonroot},
	}
}

// publicRoots is Mozilla's list in PEM, without the roots that are trusted under conditions only, which PEM cannot say.
func publicRoots() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // to memory
		}
	}
	return out.Bytes()
}

// layer makes a layer with the folders that its files need, sorted, with one time.
func layer(at time.Time, files ...file) (v1.Layer, error) {
	all := map[string]file{}
	for _, f := range files {
		for dir := filepath.Dir(f.path); dir != "."; dir = filepath.Dir(dir) {
			if _, ok := all[dir]; !ok {
				all[dir] = file{path: dir, mode: fs.ModeDir | 0o755}
			}
		}
		all[f.path] = f
	}
	var paths []string
	for p := range all {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, p := range paths {
		f := all[p]
		h := &tar.Header{
			Name: p, Typeflag: tar.TypeReg, Mode: int64(f.mode.Perm()), Size: int64(len(f.data)), Uid: f.owner, Gid: f.owner, ModTime: at, Format: tar.FormatPAX,
		}
		if f.mode&fs.ModeSticky != 0 {
			h.Mode |= 0o1000
		}
		if f.mode.IsDir() {
			h.Typeflag, h.Name = tar.TypeDir, p+"/"
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
}

// archive packs the layout into a tar file, sorted, with one time.
func archive(to, dir string, at time.Time) (err error) {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := tar.NewWriter(out)
	// WalkDir goes in lexical order.
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		h := &tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, ModTime: at, Format: tar.FormatPAX, Typeflag: tar.TypeReg}
		if d.IsDir() {
			h.Name, h.Mode, h.Typeflag = h.Name+"/", 0o755, tar.TypeDir
			return w.WriteHeader(h)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		h.Size = info.Size()
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.Copy(w, in)
		return err
	})
	return errors.Join(err, w.Close())
}
