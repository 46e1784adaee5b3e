package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"slices"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// billOfMaterials says, in CycloneDX, which modules are in a Go binary: what the linker wrote into it, so nothing is claimed that is not
// there. It has no serial number, which would be new each time.
func billOfMaterials(binary, version string, created time.Time) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	main := cdx.Component{
		BOMRef: purl(info.Main.Path, version), Type: cdx.ComponentTypeApplication, Name: info.Main.Path, Version: version,
		PackageURL: purl(info.Main.Path, version), Licenses: &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
	}
	standard := cdx.Component{
		BOMRef: purl("std", info.GoVersion), Type: cdx.ComponentTypeLibrary, Name: "std", Version: info.GoVersion, PackageURL: purl("std", info.GoVersion),
	}
	components := []cdx.Component{standard}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		components = append(components, cdx.Component{
			BOMRef: purl(m.Path, m.Version), Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: purl(m.Path, m.Version),
			Properties: &[]cdx.Property{{Name: "go:sum", Value: m.Sum}},
		})
	}
	slices.SortFunc(components, func(a, b cdx.Component) int { return bytes.Compare([]byte(a.BOMRef), []byte(b.BOMRef)) })
	var refs []string
	for _, c := range components {
		refs = append(refs, c.BOMRef)
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Timestamp: created.Format(time.RFC3339), Component: &main}
	bom.Components = &components
	// The binary tells which modules are in it, not which of them needs which.
	bom.Dependencies = &[]cdx.Dependency{{Ref: main.BOMRef, Dependencies: &refs}}
	for _, s := range info.Settings {
		if s.Key == "GOOS" || s.Key == "GOARCH" || s.Key == "CGO_ENABLED" || s.Key == "-trimpath" {
			properties := []cdx.Property{}
			if main.Properties != nil {
				properties = *main.Properties
			}
			properties = append(properties, cdx.Property{Name: "go:build:" + s.Key, Value: s.Value})
			main.Properties = &properties
		}
	}
	var out bytes.Buffer
	encoder := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true)
	if err := encoder.Encode(bom); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func purl(path, version string) string { return fmt.Sprintf("pkg:golang/%s@%s", path, version) }
