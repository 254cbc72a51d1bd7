package stream

import (
	"encoding/json"
	"testing"
)

// usage writes usageMetadata as the API does.
const (
	firstUsage  = `"usageMetadata": {"promptTokenCount": 10,"candidatesTokenCount": 4,"totalTokenCount": 17,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 10}],"thoughtsTokenCount": 3}`
	secondUsage = `"usageMetadata": {"promptTokenCount": 25,"candidatesTokenCount": 6,"totalTokenCount": 32,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 25}],"thoughtsTokenCount": 1,"serviceTier": "standard"}`
	mergedUsage = `"usageMetadata": {"serviceTier": "standard","promptTokenCount": 10,"candidatesTokenCount": 10,"thoughtsTokenCount": 4,"totalTokenCount": 24,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 10}]}`
	firstNames  = `"modelVersion": "gemini-1","responseId": "one"`
	secondNames = `"modelVersion": "gemini-2","responseId": "two"`
)

func TestLaterAttemptsSpeakAsTheFirst(t *testing.T) {
	f := storyTest(t)
	first := with(say("a"), firstUsage+","+firstNames)
	f("cut complete", sse(first, with(say("b"), firstNames), with(sayEnd("c", "STOP"), mergedUsage+","+firstNames)), "abc",
		sse(first), sse(with(say("b"), secondNames), with(sayEnd("c", "STOP"), secondUsage+","+secondNames)))
	// All other bytes stay, wherever the members stand.
	f("cut complete", sse(first, `{ "responseId" : "one" ,"x":[1.0e5 ], "candidates":[{"content":{"parts":[ {"text":"b" , "thoughtSignature":"c2ln"}]},"finishReason":"STOP"}] ,`+
		`"usageMetadata": {"promptTokenCount": 10,"candidatesTokenCount": 4,"thoughtsTokenCount": 3,"totalTokenCount": 17,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 10}]}}`), "ab",
		sse(first), sse(`{ "responseId" : "two" ,"x":[1.0e5 ], "candidates":[{"content":{"parts":[ {"text":"b" , "thoughtSignature":"c2ln"}]},"finishReason":"STOP"}] ,"usageMetadata": null}`))
	// A first attempt without names gives none.
	f("cut cut", sse(say("a"), with(say("b"), secondNames)), "ab", sse(say("a")), sse(with(say("b"), secondNames)))
	// The first that has any gives them to all after it.
	f("cut cut complete", sse(say("a"), with(say("b"), secondNames), with(sayEnd("c", "STOP"), secondNames)), "abc",
		sse(say("a")), sse(with(say("b"), secondNames)), sse(with(sayEnd("c", "STOP"), firstNames)))
	// One that delivered nothing is not the first.
	f("empty cut cut", sse(with(say("b"), secondNames), with(say("c"), secondNames)), "bc",
		sse(with(empty, firstNames)), sse(with(say("b"), secondNames)), sse(with(say("c"), firstNames)))
	// Names that are no strings are left alone.
	f("cut cut", sse(first, with(say("b"), `"responseId": null,"modelVersion": 2`)), "ab", sse(first), sse(with(say("b"), `"responseId": null,"modelVersion": 2`)))
}

func TestUsageIsThatOfTheWholeAnswer(t *testing.T) {
	f := func(want string, streams ...string) {
		t.Helper()
		p := newPlayer()
		for _, s := range streams {
			p.play(t, s)
		}
		payloads := mustStrict(t, p.out)
		var last struct{ UsageMetadata json.RawMessage }
		if err := json.Unmarshal([]byte(payloads[len(payloads)-1]), &last); err != nil || string(last.UsageMetadata) != want {
			t.Errorf("usage %s, want %s, %v", last.UsageMetadata, want, err)
		}
	}
	u := func(payload, usage string) string { return with(payload, `"usageMetadata": `+usage) }
	first := sse(u(say("a"), `{"promptTokenCount": 10,"candidatesTokenCount": 2,"totalTokenCount": 12}`),
		u(say("b"), `{"promptTokenCount": 11,"candidatesTokenCount": 4,"totalTokenCount": 15}`))
	// Of one attempt the newest counts stand; those of attempts are summed.
	f(`{"promptTokenCount": 11,"candidatesTokenCount": 10,"totalTokenCount": 21}`,
		first, sse(u(sayEnd("c", "STOP"), `{"promptTokenCount": 30,"candidatesTokenCount": 6,"totalTokenCount": 36}`)))
	f(`{"promptTokenCount": 11,"candidatesTokenCount": 11,"thoughtsTokenCount": 2,"totalTokenCount": 24}`,
		first, sse(u(say("c"), `{"promptTokenCount": 30,"candidatesTokenCount": 6,"thoughtsTokenCount": 2}`)),
		sse(u(sayEnd("d", "STOP"), `{"promptTokenCount": 40,"candidatesTokenCount": "1"}`)))
	// Tool use counts too; what would contradict the sums goes.
	f(`{"trafficType": "ON_DEMAND","promptTokenCount": 11,"candidatesTokenCount": 5,"toolUsePromptTokenCount": 7,"totalTokenCount": 23}`, first,
		sse(u(sayEnd("c", "STOP"), `{"candidatesTokenCount": 1,"candidatesTokensDetails": [],"cacheTokensDetails": [],"toolUsePromptTokenCount": 7,"trafficType": "ON_DEMAND"}`)))
	tools := func(n string) string {
		return `{"promptTokenCount": 9,"toolUsePromptTokenCount": ` + n + `,"toolUsePromptTokensDetails": [{"modality": "TEXT","tokenCount": ` + n + `}]}`
	}
	f(`{"promptTokenCount": 9,"candidatesTokenCount": 0,"toolUsePromptTokenCount": 12,"totalTokenCount": 21}`,
		sse(u(say("a"), tools("3")), u(say("b"), tools("5"))), sse(u(sayEnd("c", "STOP"), tools("7"))))
	f(`{"promptTokenCount": 9,"candidatesTokenCount": 0,"toolUsePromptTokenCount": 5,"totalTokenCount": 14}`,
		sse(u(say("a"), tools("5"))), sse(u(sayEnd("c", "STOP"), `{"promptTokenCount": 12}`)))
	f(`{"toolUsePromptTokensDetails": [{"modality": "TEXT","tokenCount": 7}],"promptTokenCount": 9,"candidatesTokenCount": 0,"toolUsePromptTokenCount": 7,"totalTokenCount": 16}`,
		sse(u(say("a"), `{"promptTokenCount": 9}`)), sse(u(sayEnd("c", "STOP"), tools("7"))))
	// What was delivered before a seam was text.
	details := func(list, want string) {
		t.Helper()
		f(`{"promptTokenCount": 11,"candidatesTokenCount": 6,"totalTokenCount": 17`+want+`}`, first,
			sse(u(sayEnd("c", "STOP"), `{"candidatesTokenCount": 2,"candidatesTokensDetails": `+list+`}`)))
	}
	details(`[{"modality": "TEXT","tokenCount": 2}]`, `,"candidatesTokensDetails": [{"modality": "TEXT","tokenCount": 6}]`)
	details(`[{"modality": "IMAGE","tokenCount": 1},{"tokenCount": "1","modality": "TEXT"}]`, `,"candidatesTokensDetails": [{"modality": "IMAGE","tokenCount": 1},{"tokenCount": 5,"modality": "TEXT"}]`)
	details(`[{"modality": "IMAGE","tokenCount": 2}]`, `,"candidatesTokensDetails": [{"modality": "IMAGE","tokenCount": 2},{"modality": "TEXT","tokenCount": 4}]`)
	details(`[{"modality": "TEXT"}, 7]`, `,"candidatesTokensDetails": [{"modality": "TEXT"},7,{"modality": "TEXT","tokenCount": 4}]`)
	details(`[{"modality": 2,"tokenCount": 3},{"modality": 1,"tokenCount": 2}]`, `,"candidatesTokensDetails": [{"modality": 2,"tokenCount": 3},{"modality": 1,"tokenCount": 6}]`)
	details(`[{"modality": 2,"tokenCount": 3}]`, `,"candidatesTokensDetails": [{"modality": 2,"tokenCount": 3},{"modality": 1,"tokenCount": 4}]`)
	details(`null`, ``)
	// What was cached is what was of the first attempt's prompt.
	f(`{"promptTokenCount": 9,"candidatesTokenCount": 1,"totalTokenCount": 10,"cachedContentTokenCount": 8,"cacheTokensDetails": [{"modality": "TEXT","tokenCount": 8}]}`,
		sse(u(say("a"), `{"promptTokenCount": 9,"cachedContentTokenCount": 8,"cacheTokensDetails": [{"modality": "TEXT","tokenCount": 8}]}`)),
		sse(u(sayEnd("b", "STOP"), `{"candidatesTokenCount": 1,"cachedContentTokenCount": 1,"cacheTokensDetails": [{"modality": "TEXT","tokenCount": 1}]}`)))
	f(`{"promptTokenCount": 9,"candidatesTokenCount": 1,"totalTokenCount": 10,"cachedContentTokenCount": 8}`,
		sse(u(say("a"), `{"promptTokenCount": 9,"cachedContentTokenCount": 8}`)), sse(u(sayEnd("b", "STOP"), `{"candidatesTokenCount": 1,"cachedContentTokenCount": 1}`)))
	// The first attempt that counts the prompt counts it for all.
	f(`{"promptTokenCount": 9,"candidatesTokenCount": 3,"totalTokenCount": 12}`, sse(say("a")),
		sse(u(say("b"), `{"promptTokenCount": 9,"candidatesTokenCount": 1}`)), sse(u(sayEnd("c", "STOP"), `{"promptTokenCount": 12,"candidatesTokenCount": 2}`)))
	// Vertex AI names counts at the end only.
	f(`{"trafficType": "ON_DEMAND"}`, first, sse(u(say("c"), `{"trafficType": "ON_DEMAND"}`)))
	f(`{"trafficType": "ON_DEMAND","promptTokenCount": 30,"candidatesTokenCount": 6,"totalTokenCount": 36}`,
		sse(u(say("a"), `{"trafficType": "ON_DEMAND"}`)), sse(u(sayEnd("b", "STOP"), `{"trafficType": "ON_DEMAND","promptTokenCount": 30,"candidatesTokenCount": 6}`)))
	f(`{"promptTokenCount": 30,"candidatesTokenCount": 8,"totalTokenCount": 38,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 30}],"cachedContentTokenCount": 20,"cacheTokensDetails": [{"modality": "TEXT","tokenCount": 20}]}`,
		sse(u(say("a"), `{"trafficType": "ON_DEMAND"}`)),
		sse(u(say("b"), `{"promptTokenCount": 30,"candidatesTokenCount": 6,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 30}],"cachedContentTokenCount": 20,"cacheTokensDetails": [{"modality": "TEXT","tokenCount": 20}]}`)),
		sse(u(sayEnd("c", "STOP"), `{"promptTokenCount": 31,"candidatesTokenCount": 2,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 31}],"cachedContentTokenCount": 21}`)))
	// A final event without any gets it, others do not.
	f(`{"promptTokenCount": 11,"candidatesTokenCount": 4,"totalTokenCount": 15}`, first, sse(sayEnd("c", "STOP")))
	f(``, first, sse(say("c")))
	f(``, sse(say("a")), sse(sayEnd("b", "STOP")))
	// An attempt of which the client saw nothing cost it nothing.
	f(`{"promptTokenCount": 1,"candidatesTokenCount": 2,"totalTokenCount": 3}`,
		sse(u(empty, `{"promptTokenCount": 50,"candidatesTokenCount": 60}`)), sse(u(sayEnd("c", "STOP"), `{"promptTokenCount": 1,"candidatesTokenCount": 2,"totalTokenCount": 3}`)))
}

func TestThoughtsAreThoseOfOneAttempt(t *testing.T) {
	f := storyTest(t)
	const (
		thought = `{"text": "hm","thought": true}`
		filler  = `{"text": ""}`
	)
	mixed := func(rest string, parts ...string) string {
		all := ""
		for i, p := range parts {
			if i > 0 {
				all += ","
			}
			all += p
		}
		return candidate(all, rest)
	}
	// Dropped once thoughts or text were delivered.
	f("cut complete", sse(think("hm"), sayEnd("a", "STOP")), "a", sse(think("hm")), sse(think("other"), sayEnd("a", "STOP")))
	f("cut complete", sse(say("a"), sayEnd("b", "STOP")), "ab", sse(say("a")), sse(think("hm"), sayEnd("b", "STOP")))
	f("cut cut cut", sse(think("hm"), say("a")), "a", sse(think("hm")), sse(think("hm")), sse(say("a")))
	// Kept before, and through one attempt.
	f("cut complete", sse(think("hm"), sayEnd("a", "STOP")), "a", "", sse(think("hm"), sayEnd("a", "STOP")))
	f("cut cut", sse(`{}`, think("hm")), "", sse(`{}`), sse(think("hm")))
	f("complete", sse(say("a"), think("hm"), sayEnd("b", "STOP")), "ab", sse(say("a"), think("hm"), sayEnd("b", "STOP")))
	// Among other parts, at every place.
	for _, parts := range [][]string{
		{thought, `{"text": "b"}`}, {`{"text": "b"}`, thought}, {thought, `{"text": "b"}`, thought}, {thought, thought, `{"text": "b"}`},
	} {
		f("cut cut", sse(say("a"), say("b")), "ab", sse(say("a")), sse(mixed("", parts...)))
		f("cut complete", sse(say("a"), sayEnd("b", "STOP")), "ab", sse(say("a")), sse(mixed(ending("STOP"), parts...)))
	}
	f("cut cut", sse(say("a"), mixed("", `{"text": "b"}`, `{"text": "c","thoughtSignature": "c2ln/+=="}`)), "abc",
		sse(say("a")), sse(mixed("", `{"text": "b"}`, thought, `{"text": "c","thoughtSignature": "c2ln/+=="}`)))
	// A finish is never dropped; its parts must not be empty.
	f("cut complete", sse(say("a"), mixed(ending("STOP"), filler)), "a", sse(say("a")), sse(mixed(ending("STOP"), thought)))
	p := f("cut finish", sse(say("a")), "a", sse(say("a")), sse(mixed(ending("SAFETY"), thought)))
	if p.held() != sse(mixed(ending("SAFETY"), filler)) {
		t.Errorf("held %q", p.held())
	}
	// A signature is not a thought.
	signed := mixed(ending("STOP"), `{"text": "","thoughtSignature": "c2lnbmF0dXJl+/=="}`)
	f("cut complete", sse(say("a"), signed), "a", sse(say("a")), sse(signed))
	f("cut complete", sse(say("a"), signed), "a", sse(say("a")), sse(mixed(ending("STOP"), thought, `{"text": "","thoughtSignature": "c2lnbmF0dXJl+/=="}`)))
}

func TestEveryDeliveredByteExactlyOnce(t *testing.T) {
	f := storyTest(t)
	f("cut error finish cut complete", sse(say("1"), say("2"), say("3"), call("f"), sayEnd("5", "STOP")), "1235",
		sse(say("1"))+"data: {\"cand", sse(say("2"), failure), sse(say("3"), sayEnd("4", "SAFETY")), sse(call("f")), sse(sayEnd("5", "STOP")))
}
