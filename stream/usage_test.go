package stream

import "testing"

func TestUsageCounts(t *testing.T) {
	f := func(usage string, want [4]int64, known bool) {
		t.Helper()
		payload := []byte(`{"usageMetadata": ` + usage + `}`)
		got, ok := chunkSays(payload)
		if !ok || got.usage != want {
			t.Errorf("%s: %v, want %v, %t", usage, got.usage, want, ok)
		}
		if s, err := oracle(payload); err != nil || s.usage != want {
			t.Errorf("%s: encoding/json: %v, %v", usage, s.usage, err)
		}
		var c Chunk
		c.Parse(payload, nil)
		if c.Usage.Known() != known {
			t.Errorf("%s: known %t", usage, c.Usage.Known())
		}
	}
	none := [4]int64{-1, -1, -1, -1}
	f(`{"promptTokenCount": 5,"candidatesTokenCount": 6,"thoughtsTokenCount": 7,"toolUsePromptTokenCount": 8,"totalTokenCount": 26}`,
		[4]int64{5, 6, 7, 8}, true)
	f(`{"promptTokenCount": 5,"totalTokenCount": 5}`, [4]int64{5, -1, -1, -1}, true)
	f(`{"promptTokenCount": 0}`, [4]int64{0, -1, -1, -1}, true)
	f(`{"totalTokenCount": 5}`, none, true)
	// As the JSON mapping of 64-bit numbers writes them.
	f(`{"candidatesTokenCount": "12"}`, [4]int64{-1, 12, -1, -1}, true)
	// Vertex AI before its last event.
	f(`{"trafficType": "ON_DEMAND"}`, none, false)
	f(`{}`, none, false)
	f(`null`, none, false)
	// Nonsense names no count.
	f(`{"promptTokenCount": null,"candidatesTokenCount": -1,"thoughtsTokenCount": 1.5,"toolUsePromptTokenCount": "x"}`, none, false)
	f(`{"promptTokenCount": 1234567890123456789,"candidatesTokenCount": "","thoughtsTokenCount": [1],"toolUsePromptTokenCount": 1e3}`, none, false)
	f(`{"promptTokensDetails": [{"promptTokenCount": 7}]}`, none, false)
}

func TestAtoi(t *testing.T) {
	f := func(s string, want int64, ok bool) {
		t.Helper()
		if n, is := atoi([]byte(s)); n != want && ok || is != ok {
			t.Errorf("atoi(%s) = %d, %t", s, n, is)
		}
	}
	f("0", 0, true)
	f("65536", 65536, true)
	f(`"7"`, 7, true)
	f("999999999999999999", 999999999999999999, true)
	f("1000000000000000000", 0, false)
	for _, s := range []string{"", `"`, `""`, "-1", "+1", "1.0", "1e3", " 1", "0x1", `"-1"`, `" 1"`, "null"} {
		f(s, 0, false)
	}
}

// The usage of an answer is that of the first attempt's prompt, and of what all
// attempts have said that were delivered.
func TestUsageOfTheWholeAnswer(t *testing.T) {
	f := func(wantPrompt, wantOutput int64, wantKnown bool, attempts ...string) {
		t.Helper()
		var s Splice
		s.Reset(Form{}, NewReasons(nil), 1<<20)
		for i, payload := range attempts {
			if i > 0 {
				s.NextAttempt()
				s.Continue(Expect{})
			}
			s.Take(nil, Event{Data: []byte(payload)})
		}
		if prompt, output, known := s.Usage(); prompt != wantPrompt || output != wantOutput || known != wantKnown {
			t.Errorf("%q: %d, %d, %v", attempts, prompt, output, known)
		}
	}
	text := func(usage string) string {
		return `{"candidates":[{"content":{"parts":[{"text":"some words"}]}}]` + usage + `}`
	}
	f(0, 0, false)
	f(0, 0, false, text(""))
	f(7, 12, true, text(`,"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":10,"thoughtsTokenCount":2}`))
	f(7, 15, true, text(`,"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":10,"thoughtsTokenCount":2}`),
		text(`,"usageMetadata":{"promptTokenCount":30,"candidatesTokenCount":3}`))
}
