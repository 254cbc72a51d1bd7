package proxy

import (
	"strings"
	"testing"
)

func TestLoggedName(t *testing.T) {
	f := func(path, model, action string) {
		t.Helper()
		m, a := modelOf(beforeParameters([]byte(path)))
		if got := loggedName(m); got != model {
			t.Errorf("%s: model %q, want %q", path, got, model)
		}
		if got := loggedName(a); got != action {
			t.Errorf("%s: action %q, want %q", path, got, action)
		}
	}
	f("/v1beta/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash", "generateContent")
	f("/v1/projects/p/locations/l/publishers/google/models/gemini-2.0-flash@001:predict", "gemini-2.0-flash@001", "predict")
	f("/v1beta/models/m%3AgenerateContent", "m", "generateContent")
	f("/v1beta/models/m", "", "")
	// The first & should have been a ?.
	f("/v1beta/models/m:generateContent&key=AIzaK", "m", "generateContent")
	f("/v1beta/models/m:generateContent&alt=sse&key=group:AIzaK", "m", "generateContent")
	f("/v1beta/models/m:generateContent%26key=group:AIzaK", "m", "generateContent")
	f("/v1beta/models/m:generateContent%3Fkey%3Dgroup:AIzaK", "m", "generateContent")
	f("/v1beta/models/m:generateContent;key=K", "m", "generateContent")
	f("/v1beta/models/m:generateContent%3", "m", "generateContent%3")
	f("/v1/models/gemini%40001%3Apredict", "gemini%40001", "predict")
	f("/v1beta/models/AIzaK:generateContent", "…", "generateContent")
	f("/v1beta/models/m:AIzaK", "m", "…")
	f("/v1beta/models/\x1b[31m:\xff", "…", "…")
	f("/v1beta/models/"+strings.Repeat("a", 500)+":x", strings.Repeat("a", maxLogged), "x")
	for method, want := range map[string]string{"GET": "GET", "M-SEARCH": "M-SEARCH", "get": "…", "AIzaK": "AI…", "": "", strings.Repeat("A", 30): strings.Repeat("A", 20) + "…"} {
		if got := loggedMethod([]byte(method)); got != want {
			t.Errorf("%q: %q, want %q", method, got, want)
		}
	}
	name := []byte("gemini-2.5-flash")
	if n := testing.AllocsPerRun(100, func() { _ = loggedName(name) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
