package stream

import "testing"

// What an event tells of its text is told of the whole answer.
func TestOffsetsCountTheWholeAnswer(t *testing.T) {
	grounded := func(text, supports string) string {
		return candidate(`{"text": "`+text+`"}`, `,"groundingMetadata": {"webSearchQueries": ["q"],"groundingSupports": [`+supports+`],"groundingChunks": [{"web": {"uri": "u"}}]}`)
	}
	cited := func(text, name, sources string) string {
		return candidate(`{"text": "`+text+`"}`, `,"citationMetadata": {"`+name+`": [`+sources+`]}`)
	}
	segment := func(members string) string {
		return `{"segment": {` + members + `},"groundingChunkIndices": [0],"confidenceScores": [0.5]}`
	}
	f := func(x Expect, transcript, want string, payloads ...string) {
		t.Helper()
		p := goOn(t, x, say(transcript))
		p.take(t, More, sse(want), payloads...)
	}
	direct := Expect{Prefilled: true}
	// By what was delivered before.
	f(direct, "12345", grounded("ab", segment(`"endIndex": 7,"text": "ab","startIndex": 5`)), grounded("ab", segment(`"endIndex": 2,"text": "ab"`)))
	f(direct, "12345", grounded("ab", segment(`"endIndex": 7,"startIndex": 6`)), grounded("ab", segment(`"startIndex": 1,"endIndex": 2`)))
	f(direct, "12345", cited("ab", "citationSources", `{"endIndex": 7,"uri": "u","startIndex": 6},{"uri": "v"}`),
		cited("ab", "citationSources", `{"startIndex": 1,"endIndex": 2,"uri": "u"},{"uri": "v"}`))
	f(direct, "12345", cited("ab", "citations", `{"startIndex": 6}`), cited("ab", "citations", `{"startIndex": 1}`))
	// In bytes of the text, however it is written.
	f(direct, `\u00e9\n`, cited("ab", "citations", `{"endIndex": 5,"startIndex": 3}`), cited("ab", "citations", `{"endIndex": 2}`))
	// Less what was dropped. A repeat stands in the answer, what is said before it does not.
	const text = "One two three four"
	f(anchored, text, grounded(", five", segment(`"endIndex": 24,"startIndex": 20`)),
		grounded(text+", five", segment(`"startIndex": 20,"endIndex": 24`)))
	f(anchored, text, grounded(", five", segment(`"endIndex": 24,"startIndex": 20`)+","+segment(`"endIndex": 23,"startIndex": 17`)),
		grounded("Sure:\\n\\n"+text+", five", segment(`"endIndex": 5`)+","+segment(`"startIndex": 27,"endIndex": 31`)+","+segment(`"startIndex": 24,"endIndex": 30`)))
	f(anchored, text, grounded(", five", segment(`"endIndex": 20,"startIndex": 17`)), grounded(text+", five", segment(`"startIndex": 17,"endIndex": 20`)))
	f(anchored, prose[:100], grounded(" five", segment(`"endIndex": 104,"startIndex": 90`)),
		grounded(prose[60:100]+" five", segment(`"startIndex": 30,"endIndex": 44`)))
	// One in other letters stands there as far as it is the same.
	f(anchored, "He said “no” to them, and he left it all", grounded(" behind.", segment(`"endIndex": 51,"startIndex": 18`)),
		grounded(`He said \"no\" to them, and he left it all behind.`, segment(`"startIndex": 0,"endIndex": 47`)+","+segment(`"startIndex": 14,"endIndex": 47`)))
	// It may come with nothing but text that is dropped.
	f(anchored, text, grounded("", segment(`"endIndex": 5,"startIndex": 0`)), grounded(text, segment(`"endIndex": 5`)))
	// So does what was looked up for it.
	const urls = `,"urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "u"}]}`
	f(anchored, text, candidate(`{"text": ""}`, urls), candidate(`{"text": "`+text+`"}`, urls))
	f(direct, "12345", candidate(`{"text": "ab"}`, urls), candidate(`{"text": "ab"}`, urls))
	// Numbers that are a part's are not the answer's.
	f(direct, "12345", sayEnd("ab", "STOP"), candidate(`{"text": "ab"}`, ending("STOP")+`,"avgLogprobs": -0.25,"tokenCount": 2`))
	f(direct, "12345", say("ab"), candidate(`{"text": "ab"}`, `,"logprobsResult": {"chosenCandidates": []}`))
	// What cannot be moved goes, what is strange stays.
	f(direct, "12345", grounded("ab", ``), grounded("ab", segment(`"partIndex": 1,"endIndex": 2`)))
	f(direct, "12345", grounded("ab", `7,{"segment": null}`), grounded("ab", `7,{"segment": null}`))
	f(direct, "12345", cited("ab", "citations", ``), cited("ab", "citations", ``))
	null := candidate(`{"text": "ab"}`, `,"groundingMetadata": null,"citationMetadata": {"citations": null}`)
	f(direct, "12345", null, null)
	// The API's own continuation counts by itself.
	average := candidate(`{"text": "ab"}`, `,"avgLogprobs": -0.25`)
	f(Expect{Resumed: true, From: 5}, "12345", average, average)
	f(Expect{Resumed: true, From: 5}, "12345", cited("ab", "citations", `{"endIndex": 7}`), cited("ab", "citations", `{"endIndex": 7}`))
}
