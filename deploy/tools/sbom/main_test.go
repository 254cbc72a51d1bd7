package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// A test binary is a Go binary with the modules that it was linked from.
func TestDocumentNamesEveryModule(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	if err := write(&first, "1.2.3", self); err != nil {
		t.Fatal(err)
	}
	if err := write(&second, "1.2.3", self); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("two documents of one binary differ (%v)", err)
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(&first, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if h := *bom.Metadata.Component.Hashes; len(h) != 1 || len(h[0].Value) != 64 {
		t.Errorf("hashes %v", h)
	}
	if c := bom.Metadata.Component; c.Version != "1.2.3" || !strings.HasSuffix(c.PackageURL, "@1.2.3") {
		t.Errorf("the program is %+v", c)
	}
	refs := map[string]bool{}
	for _, c := range *bom.Components {
		if refs[c.BOMRef] {
			t.Errorf("%s twice", c.BOMRef)
		}
		refs[c.BOMRef] = true
	}
	for _, want := range []string{"pkg:golang/std@go", "pkg:golang/github.com/CycloneDX/cyclonedx-go@v"} {
		if !bytes.Contains(second.Bytes(), []byte(want)) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, d := range *(*bom.Dependencies)[0].Dependencies {
		if !refs[d] {
			t.Errorf("the program depends on %s, which is no component", d)
		}
	}
}

func TestWhatIsNoGoBinary(t *testing.T) {
	for _, path := range []string{"main.go", "missing"} {
		var out bytes.Buffer
		if err := write(&out, "1.2.3", path); err == nil || out.Len() != 0 {
			t.Errorf("%s: %v, and %d bytes were written", path, err, out.Len())
		}
	}
}
