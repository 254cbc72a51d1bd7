package routing

import "testing"

func TestSplitModelAndRename(t *testing.T) {
	r := Renames{"fast": "gemini-2.5-flash", "a/b": "never"}
	f := func(path, model, want string) {
		t.Helper()
		before, got, after := SplitModel([]byte(path))
		if string(got) != model || string(before)+string(got)+string(after) != path {
			t.Errorf("%s: %q + %q + %q", path, before, got, after)
		}
		if renamed := r.AppendPath([]byte("/base"), []byte(path), []byte(path)); string(renamed) != "/base"+want {
			t.Errorf("%s: %s, want %s", path, renamed, want)
		}
		if plain := Renames(nil).AppendPath(nil, []byte(path), []byte(path)); string(plain) != path {
			t.Errorf("without names: %s", plain)
		}
	}
	f("/v1beta/models/fast:generateContent", "fast", "/v1beta/models/gemini-2.5-flash:generateContent")
	f("/v1beta/models/fast%3AcountTokens", "fast", "/v1beta/models/gemini-2.5-flash%3AcountTokens")
	f("/v1beta/models/fast", "fast", "/v1beta/models/gemini-2.5-flash")
	f("/v1/projects/p/locations/l/publishers/google/models/fast:predict", "fast", "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:predict")
	f("/v1beta/models/faster:generateContent", "faster", "/v1beta/models/faster:generateContent")
	f("/v1beta/models/a/b:x", "a", "/v1beta/models/a/b:x")
	f("/v1beta/models", "", "/v1beta/models")
	f("/v1beta/models/", "", "/v1beta/models/")
	f("/v1beta/tunedModels/fast:generateContent", "", "/v1beta/tunedModels/fast:generateContent")
	f("/", "", "/")
}

func TestRenameWhatIsPercentEncoded(t *testing.T) {
	r := Renames{"fast-1": "gemini-2.5-flash"}
	f := func(path, want string) {
		t.Helper()
		if got := string(r.AppendPath(nil, []byte(path), PlainPath([]byte(path)))); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	f("/v1%62eta/models/fas%74-1:generate%43ontent", "/v1%62eta/models/gemini-2.5-flash:generate%43ontent")
	f("/%6dodels/%66ast%2d1%3Ax", "/%6dodels/gemini-2.5-flash%3Ax")
	f("/models%2Ffast-1:x", "/models%2Ffast-1:x")
	f("/models/%2566ast-1:%78", "/models/%2566ast-1:%78")
}

func TestPlainPath(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		if got := string(PlainPath([]byte(path))); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	f("", "")
	f("/v1/m:generateContent", "/v1/m:generateContent")
	f("/%76%31/m%3Agenerate%43ontent", "/v1/m%3AgenerateContent")
	f("/%2D%2e%5F%7e%30%7A", "/-._~0z")
	f("/%2F%3a%25%20%3B%26%E4", "/%2F%3a%25%20%3B%26%E4")
	f("/%2541%4", "/%2541%4")
}

func TestWatermark(t *testing.T) {
	var w Watermark
	f := func(used, limit uint64, want bool) {
		t.Helper()
		if w.Observe(used, limit); w.Over() != want {
			t.Errorf("%d of %d: %t", used, limit, !want)
		}
	}
	if w.Over() {
		t.Error("over before anything was seen")
	}
	f(899, 1000, false)
	f(900, 1000, true)
	f(850, 1000, true)
	f(800, 1000, true)
	f(799, 1000, false)
	f(899, 1000, false)
	f(5000, 1000, true)
	f(5000, 0, false)
	// The limit of a process that has none.
	f(1<<40, 1<<63-1, false)
}
