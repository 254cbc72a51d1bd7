package stream

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

// folded is what a Folder makes of payloads, whole and in two pieces.
func foldedOf(t *testing.T, d Dialect, payloads ...string) string {
	t.Helper()
	var f Folder
	f.Reset(d)
	if !f.Empty() {
		t.Error("not empty")
	}
	for _, p := range payloads {
		f.Take([]byte(p))
	}
	whole := string(f.Append(nil))
	for n := range payloads {
		var f Folder
		f.Reset(d)
		var out []byte
		for i, p := range payloads {
			f.Take([]byte(p))
			if i >= n {
				out = f.Spill(out)
			}
		}
		if out = f.Append(out); string(out) != whole {
			t.Errorf("spilled from event %d on: %s\nwhole: %s", n, out, whole)
		}
	}
	if !json.Valid([]byte(whole)) {
		t.Errorf("no JSON: %s", whole)
	}
	return whole
}

func TestFolder(t *testing.T) {
	f := func(want string, payloads ...string) {
		t.Helper()
		if got := foldedOf(t, Native, payloads...); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	one := func(parts, rest string) string {
		return `{"candidates": [{"content": {"parts": [` + parts + `],"role": "model"}` + rest + `}]}`
	}
	const stop = `,"index": 0,"finishReason": "STOP"`
	f(one(`{"text": "ab"}`, stop), say("a"), sayEnd("b", "STOP"))
	f(one(`{"text": "ab"}`, stop), say("a"), say("b"), sayEnd("", "STOP"))
	f(one(`{"text": ""}`, `,"finishReason": "STOP","index": 0`), sayEnd("", "STOP"))
	f(one(`{"text": "\ud83d\ude00"}`, stop), say(`\ud83d`), sayEnd(`\ude00`, "STOP"))
	f(one(`{"text": "hmso","thought": true},{"text": "a"}`, stop), think("hm"), think("so"), sayEnd("a", "STOP"))
	f(one(`{"text": "a"},{"text": "hm","thought": true},{"text": "b"}`, stop), say("a"), think("hm"), sayEnd("b", "STOP"))
	// What describes one part stays with it.
	signed := `{"text": "","thoughtSignature": "QUJD"}`
	f(one(`{"text": "a"},`+signed, stop), say("a"), candidate(signed, ending("STOP")))
	f(one(`{"text": "a"},`+signed+`,{"text": "b"}`, stop), say("a"), candidate(signed, ""), sayEnd("b", "STOP"))
	// Calls, and whatever else there is.
	f(one(`{"text": "a"},{"functionCall": {"name": "f","args": {}}},{"functionCall": {"name": "g","args": {}}}`, stop), say("a"), call("f"), call("g"), sayEnd("", "STOP"))
	f(one(`{"inlineData": {"data": "AA"}},{"brandNew": 1}`, `,"index": 0`), candidate(`{"inlineData": {"data": "AA"}}`, ""), candidate(`{"brandNew": 1}`, ""))
	// The last word on the answer, the first on what it is.
	f(`{"candidates": [{"content": {"parts": [{"text": "ab"}],"role": "model"},"index": 0,"finishReason": "STOP"}],`+
		`"usageMetadata": {"promptTokenCount": 1,"candidatesTokenCount": 4},"modelVersion": "m","responseId": "r","other": 2}`,
		with(say("a"), `"usageMetadata": {"promptTokenCount": 1,"candidatesTokenCount": 2,"thoughtsTokenCount": 9},"modelVersion": "m","responseId": "r","other": 1`),
		with(sayEnd("b", "STOP"), `"usageMetadata": {"promptTokenCount": 1,"candidatesTokenCount": 4},"modelVersion": "n","responseId": "s","other": 2`))
	// As Vertex AI counts.
	f(one(`{"text": "ab"}`, stop)[:len(one(`{"text": "ab"}`, stop))-1]+`,"usageMetadata": {"promptTokenCount": 1,"trafficType": "X"}}`,
		with(say("a"), `"usageMetadata": {"trafficType": "X"}`), with(sayEnd("b", "STOP"), `"usageMetadata": {"promptTokenCount": 1,"trafficType": "X"}`))
	f(one(`{"text": "a"}`, `,"index": 0`)[:len(one(`{"text": "a"}`, `,"index": 0`))-1]+`,"usageMetadata": {"promptTokenCount": 1,"trafficType": "X"}}`,
		with(say("a"), `"usageMetadata": {"promptTokenCount": 1}`), `{"usageMetadata": {"trafficType": "X"}}`)
	// Without text, without a candidate, without anything.
	f(`{"candidates": [{"finishReason": "STOP","index": 0}]}`, finish("STOP"))
	f(blocked, blocked)
	f(`{}`, `{}`)
	f(`{"a": 1}`, `{"a": 1,"candidates": null}`, `{"candidates": [],"usageMetadata": null}`)
	f(one(`{"text": "a"}`, ""), ` {"candidates": [{"content": {"parts": [{"text": "a"}],"role": "model"},"groundingMetadata": null}]}`)
	// A checkpoint counts only in the last event.
	f(one(`{"text": "ab"}`, stop), candidate(`{"text": "a"}`, `,"continuationToken": "x"`), sayEnd("b", "STOP"))
	f(one(`{"text": "a"}`, `,"continuationToken": "x","finishReason": "CONTINUATION","index": 0`), candidate(`{"text": "a"}`, `,"continuationToken": "x","finishReason": "CONTINUATION"`))
	// Other candidates do not get into the first.
	f(one(`{"text": "a"}`, `,"index": 0`), say("a"), `{"candidates": [{"content": {"parts": [{"text": "b"}]},"index": 1}]}`)
}

func TestFolderMergesMetadata(t *testing.T) {
	f := func(name, want string, values ...string) {
		t.Helper()
		var payloads []string
		for _, v := range values {
			payloads = append(payloads, candidate(`{"text": "a"}`, `,"`+name+`": `+v))
		}
		var got struct {
			Candidates []map[string]json.RawMessage
		}
		if err := json.Unmarshal([]byte(foldedOf(t, Native, payloads...)), &got); err != nil {
			t.Fatal(err)
		}
		if s := string(got.Candidates[0][name]); s != want {
			t.Errorf("got  %s\nwant %s", s, want)
		}
	}
	f("citationMetadata", `{"citationSources": [{"startIndex": 1},{"startIndex": 2}]}`, `{"citationSources": [{"startIndex": 1}]}`, `{"citationSources": [{"startIndex": 1},{"startIndex": 2}]}`)
	f("urlContextMetadata", `{"urlMetadata": [1,2]}`, `{"urlMetadata": [1]}`, `{"urlMetadata": [2]}`)
	f("logprobsResult", `{"chosenCandidates": [{"t": 1},{"t": 1}]}`, `{"chosenCandidates": [{"t": 1}]}`, `{"chosenCandidates": [{"t": 1}]}`)
	f("safetyRatings", `[2]`, `[1]`, `[2]`)
	chunks := func(c, s string) string { return `{"groundingChunks": [` + c + `],"groundingSupports": [` + s + `]}` }
	support := func(segment, i string) string {
		return `{"segment": {"endIndex": ` + segment + `},"groundingChunkIndices": [` + i + `]}`
	}
	// The same again, and more of the same: places hold.
	f("groundingMetadata", chunks(`"a","b"`, support("1", "0")+","+support("2", "0,1")),
		chunks(`"a"`, support("1", "0")), chunks(`"a","b"`, support("1", "0")+","+support("2", "0,1")))
	f("groundingMetadata", chunks(`"a","b"`, support("1", "0")), chunks(`"a","b"`, support("1", "0")), chunks(`"a","b"`, support("1", "0")))
	// Of a search of its own: they move.
	f("groundingMetadata", chunks(`"a","b"`, support("1", "0")+","+support("2", "1")), chunks(`"a"`, support("1", "0")), chunks(`"b"`, support("2", "0")))
	f("groundingMetadata", `{"webSearchQueries": ["q","r"],"searchEntryPoint": {"x": 2}}`, `{"webSearchQueries": ["q"],"searchEntryPoint": {"x": 1}}`, `{"webSearchQueries": ["q","r"],"searchEntryPoint": {"x": 2}}`)
	f("groundingMetadata", `{"groundingChunks": ["a","b"],"groundingSupports": [`+support("2", "1")+`]}`, `{"groundingChunks": ["a"]}`, chunks(`"b"`, support("2", "0")))
}

func TestFolderOfAWrapper(t *testing.T) {
	p := wrap(with(say("a"), `"responseId": "r"`), sayEnd("b", "STOP"))
	want := `{"response": {"candidates": [{"content": {"parts": [{"text": "ab"}],"role": "model"},"index": 0,"finishReason": "STOP"}],"responseId": "r"},"traceId": "t1","more": {"response": 1}}`
	if got := foldedOf(t, Wrapped, p...); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzFolder: one payload says after folding what it said before.
func FuzzFolder(f *testing.F) {
	for _, p := range wholePayloads {
		f.Add([]byte(p), []byte(say("b")))
	}
	for _, doc := range documents {
		f.Add([]byte(doc), []byte(doc))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var fo Folder
		var want []byte
		for _, p := range [][]byte{a, b} {
			var c Chunk
			text, ok := c.Parse(p, want)
			if !ok || !json.Valid(p) || uniqueMembers(p) != nil || c.Kinds&Several != 0 || c.Failure {
				return
			}
			want = text
			fo.Take(p)
		}
		got := fo.Append(nil)
		var c Chunk
		text, ok := c.Parse(got, nil)
		if !ok || !json.Valid(got) || string(text) != string(want) {
			t.Fatalf("%q and %q became %q, text %q instead of %q", a, b, got, text, want)
		}
	})
}

// TestFolderAddsWhatIsNew: a piece takes the memory of what is in it, however much
// there is before it.
func TestFolderAddsWhatIsNew(t *testing.T) {
	for _, payload := range []string{
		candidate(`{"text": "a"}`, `,"logprobsResult": {"chosenCandidates": [{"token": "a"}]}`),
		choice(`"reasoning_content":"some words"`, ""),
	} {
		taken := func(pieces int) uint64 {
			var f Folder
			if f.Reset(Native); strings.Contains(payload, "choices") {
				f.Reset(OpenAI)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range pieces {
				f.Take([]byte(payload))
			}
			runtime.ReadMemStats(&after)
			return after.TotalAlloc - before.TotalAlloc
		}
		if few, many := taken(1000), taken(8000); many > 16*few {
			t.Errorf("%s: 1000 pieces take %d bytes, 8000 take %d", payload, few, many)
		}
	}
}
