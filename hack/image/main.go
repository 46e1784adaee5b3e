// Command image builds Entente's container image without a container engine: an OCI image layout, as a folder and as a tar file, for
// linux/amd64 and linux/arm64. The same sources and version give the same bytes.
//
//	go run . --root ../.. --version v0.1.0 --out ../../dist
//
// The image has the static binary, the public certificate authorities, a CycloneDX bill of materials made from what the linker wrote into
// the binary, and no shell. It runs as user 65532 with a read-only root.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	var o options
	var platforms string
	flag.StringVar(&o.root, "root", "../..", "the repository")
	flag.StringVar(&o.out, "out", "../../dist", "folder to write to")
	flag.StringVar(&o.version, "version", "unknown", "version, which the binary tells and the image is tagged with")
	flag.StringVar(&o.revision, "revision", "", "commit, for the image's labels")
	flag.StringVar(&platforms, "platforms", "linux/amd64,linux/arm64", "platforms to build for")
	push := flag.String("push", "", "push what is in --out to this reference, and build nothing; credentials as docker login and podman login leave them")
	flag.Parse()
	o.platforms = strings.Split(platforms, ",")
	// As https://reproducible-builds.org/specs/source-date-epoch says; without it, the epoch.
	if seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		o.created = time.Unix(seconds, 0).UTC()
	} else {
		o.created = time.Unix(0, 0).UTC()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *push != "" {
		pushed, err := pushTo(ctx, o.out, *push)
		if err != nil {
			fmt.Fprintln(os.Stderr, "hack/image:", err)
			os.Exit(1)
		}
		fmt.Println(pushed)
		return
	}
	digest, err := build(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "hack/image:", err)
		os.Exit(1)
	}
	fmt.Printf("%s\n%s\n", filepath.Join(o.out, archiveName), digest)
}
