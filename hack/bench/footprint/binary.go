package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"

	"github.com/entente-dev/entente/hack/testenv"
)

// binary is what is built, and from how much.
type binary struct {
	// Bytes of the file, and of the machine code in it.
	Bytes, CodeBytes int64
	// Modules that something is linked from, this one included, and packages of them; the standard library apart.
	Modules, Packages int
}

func readBinary(ctx context.Context, path string) (b binary, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return b, err
	}
	b.Bytes = info.Size()
	f, err := elf.Open(path)
	if err != nil {
		return b, err
	}
	defer f.Close()
	if text := f.Section(".text"); text != nil {
		b.CodeBytes = int64(text.Size)
	}
	built, err := buildinfo.ReadFile(path)
	if err != nil {
		return b, err
	}
	b.Modules = len(built.Deps) + 1
	args := []string{"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}"}
	for _, s := range built.Settings {
		if s.Key == "-tags" {
			args = append(args, "-tags", s.Value)
		}
	}
	list := exec.CommandContext(ctx, "go", append(args, "./cmd/entente")...)
	if list.Dir, err = testenv.Root(); err != nil {
		return b, err
	}
	out, err := list.Output()
	if err != nil {
		return b, fmt.Errorf("go list: %w", err)
	}
	b.Packages = bytes.Count(out, []byte("\n"))
	return b, nil
}
