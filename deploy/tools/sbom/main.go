// Command sbom writes to standard output, as CycloneDX 1.6 JSON, what a Go
// binary is made of: the program, the modules linked into it and the Go
// version, as the binary itself says (debug/buildinfo).
//
//	sbom VERSION BINARY
//
// The same binary gives the same bytes: a document has no time and no random
// serial number.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: sbom VERSION BINARY")
		os.Exit(2)
	}
	if err := write(os.Stdout, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// write describes the binary at path to w. The version is the release's, which
// a binary that was not built by its module's path does not know.
func write(w io.Writer, version, path string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	sum, err := sumOf(path)
	if err != nil {
		return err
	}
	info.Main.Version = version
	enc := cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true)
	return enc.EncodeVersion(describe(info, filepath.Base(path), sum), cdx.SpecVersion1_6)
}

// describe returns the document of a binary with that name and SHA-256.
func describe(info *buildinfo.BuildInfo, name, sum string) *cdx.BOM {
	program := component(&info.Main, cdx.ComponentTypeApplication)
	program.Name = name
	program.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}}
	var settings []cdx.Property
	for _, s := range info.Settings {
		settings = append(settings, cdx.Property{Name: "go:build:" + s.Key, Value: s.Value})
	}
	program.Properties = &settings

	std := component(&debug.Module{Path: "std", Version: info.GoVersion}, cdx.ComponentTypeLibrary)
	parts, refs := []cdx.Component{std}, []string{std.BOMRef}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c := component(m, cdx.ComponentTypeLibrary)
		// The checksum of go.sum is of the module's files, not of an archive.
		c.Properties = &[]cdx.Property{{Name: "go:module:sum", Value: m.Sum}}
		parts, refs = append(parts, c), append(refs, c.BOMRef)
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Component: &program}
	bom.Components = &parts
	bom.Dependencies = &[]cdx.Dependency{{Ref: program.BOMRef, Dependencies: &refs}}
	return bom
}

// component is a module under its package URL,
// https://github.com/package-url/purl-spec.
func component(m *debug.Module, kind cdx.ComponentType) cdx.Component {
	purl := "pkg:golang/" + m.Path
	if m.Version != "" {
		purl += "@" + url.PathEscape(m.Version)
	}
	return cdx.Component{BOMRef: purl, Type: kind, Name: m.Path, Version: m.Version, PackageURL: purl}
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
