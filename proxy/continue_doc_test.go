package proxy

import (
	"os"
	"strings"
	"testing"
)

// TestPrefillModelsAreDocumented: docs/healing.md names the models that are asked
// to go on without a prompt, and no others.
func TestPrefillModelsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/healing.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := "(`" + strings.Join(prefillModels, "`, `") + "`) are asked without a prompt"; !strings.Contains(string(page), want) {
		t.Errorf("docs/healing.md does not say %s", want)
	}
}

func TestTakesPrefill(t *testing.T) {
	f := func(want bool, models ...string) {
		t.Helper()
		for _, model := range models {
			if takesPrefill(model) != want {
				t.Errorf("%q: %t, want %t", model, !want, want)
			}
		}
	}
	f(true, "gemini-2.0-flash", "gemini-2.5-pro", "gemini-3-pro-preview", "gemini-3.1-flash", "gemini-3.5-flash", "gemini-pro-latest")
	f(false, "", "gemini-1.5-pro", "gemini-2", "gemini-3.2-pro", "gemini-3.5-flash-lite", "gemini-pro-latest-2", "a-gemini-2.5-pro")
}
