package stream

import (
	"bytes"
	"strings"
	"testing"
)

func TestResourceName(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := string(ResourceName([]byte(text))); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	f("files/abc", "files/abc")
	f("https://generativelanguage.googleapis.com/v1beta/files/abc", "files/abc")
	f("/v1beta/files/abc:download?alt=media", "files/abc")
	f("/v1beta/cachedContents/c-1", "cachedContents/c-1")
	f("projects/p/locations/l/cachedContents/7", "cachedContents/7")
	f("/v1beta/interactions/v1_x/cancel", "interactions/v1_x")
	f("/upload/v1beta/files", "")
	f("/v1beta/files/", "")
	f("/v1beta/batches/b1:cancel", "batches/b1")
	f("models/veo-3/operations/o1", "operations/o1")
	f("/v1beta/fileSearchStores/s1/documents/d", "fileSearchStores/s1")
	f("fileSearchStores/s1/upload/operations/o1", "fileSearchStores/s1")
	f("/v1beta/tunedModels/t1:generateContent", "tunedModels/t1")
	f("/v1beta/openai/batches/b1/cancel", "batches/b1")
	f("/v1beta/openai/batches/batches/b1", "batches/b1")
	f("/v1beta/openai/batches/batches%2Fb1/cancel", "batches/b1")
	f("/v1beta/openai/videos/v1", "videos/v1")
	f("/v1beta/openai/videos/models%2fveo%2Foperations%2fo1", "operations/o1")
	f("/v1beta/openai/videos/models/veo/operations/o1/content", "operations/o1")
	f("/v1beta/files/a%2Fb", "files/a%2Fb")
	// Escapes are resolved once: a name of a MiB may have a thousand inside each other.
	f("files/files%2Ffiles%252Fa", "files/files%2Fa")
	f("/v1beta/files/a%zzb", "files/a%zzb")
	f("gs://bucket/profiles/x", "")
	f("models/x", "")
	f("", "")
}

func TestEachResource(t *testing.T) {
	const body = `{"contents":[{"parts":[{"fileData":{"fileUri":"https:\/\/h\/v1beta\/files\/a1","mimeType":"x"}},{"file_data":{"file_uri":"files/a2"}},` +
		`{"text":"\"fileUri\":\"files/no\""},{"fileData":{"fileUri":"https://youtu.be/x"}}]}],"cachedContent":"cachedContents/c1","cached_content" : "cachedContents/c2","previous_interaction_id":"v1_x"}`
	got := ""
	EachResource([]byte(body), func(name []byte) { got += string(name) + " " })
	if want := "files/a1 files/a2 cachedContents/c1 cachedContents/c2 interactions/v1_x "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for i := range len(body) {
		EachResource([]byte(body[:i]), func([]byte) {})
	}
	const more = `{"batch":{"inputConfig":{"fileName":"files/f1"},"input_config":{"file_name" : "files/f2"}},"displayName":"files/no","name":"files/no",` +
		`"tools":[{"fileSearch":{"fileSearchStoreNames":["fileSearchStores/s1", "fileSearchStores/s2"]}},{"file_search":{"file_search_store_names": [ ]}},{"fileSearchStoreNames":[5,"fileSearchStores/no"]},{"fileSearchStoreNames":"x"}]}`
	got = ""
	EachResource([]byte(more), func(name []byte) { got += string(name) + " " })
	if want := "files/f1 files/f2 fileSearchStores/s1 fileSearchStores/s2 "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for i := range len(more) {
		EachResource([]byte(more[:i]), func([]byte) {})
	}
	got = ""
	EachResource([]byte(`{"input_file_id":"files/f1","metadata":{"file_id":"files/no","output_file_id":"files/no"}} {"input_file_id": "f2"}`), func(name []byte) { got += string(name) + " " })
	if want := "files/f1 files/f2 "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestEachCreated(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		var got []string
		EachCreated([]byte(body), "interactions/", func(name []byte) { got = append(got, string(name)) })
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	f(`{"name":"batches/b1","metadata":{"output":{"responsesFile":"files/batch-1"}},"done":true,"response":{"responses_file":"files\/batch-2"}}`, "batches/b1 files/batch-1 files/batch-2")
	f(`{"name":"models/veo/operations/o1"}`, "operations/o1")
	f(`{"file": {"name": "files/abc","uri": "x"}}`, "files/abc")
	f(`{"name": "cachedContents/c1","model": "m"}`, "cachedContents/c1")
	f(` {"id": "v1_x","status": "completed"}`, "interactions/v1_x")
	f(`{"id":"batches/b1","object":"batch","input_file_id":"files/f","output_file_id":"files/batch-1","error_file_id":null}`, "batches/b1 files/batch-1")
	f(`{"id":7,"output_file_id": "o1","error_file_id": "e1"}`, "files/o1 files/e1")
	f(`{"id":"models/veo/operations/o1","object":"video"}`, "operations/o1")
	f(`{"name": "models/m"}`, "")
	f(`{"file": 5,"id": 7,"name": null}`, "")
	f(`[]`, "")
	f(``, "")
}

// Whatever a body says, a name is a part of it, with its collection in front.
func FuzzResourceNames(f *testing.F) {
	f.Add([]byte(`{"file": {"name": "files/abc"},"id": "v1_x","fileUri": "https://h/v1beta/files/a","cachedContent": "cachedContents/c","previous_interaction_id": "v1"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		check := func(name []byte) {
			if !bytes.Equal(ResourceName(name), name) {
				t.Errorf("%q is no name of its own", name)
			}
		}
		if name := ResourceName(body); name != nil {
			check(name)
		}
		EachCreated(body, "videos/", check)
		EachResource(body, check)
	})
}
