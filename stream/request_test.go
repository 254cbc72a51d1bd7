package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

const (
	modelTurn = `{"role":"model","parts":[{"text":"so far"}]}`
	userTurn  = `{"role":"user","parts":[{"text":"go on"}]}`
)

// continueTest returns a check of the continuation of a body in which the
// place of the two turns is marked with @ and maxOutputTokens by a range.
func continueTest(t *testing.T) func(body, want string) {
	return func(body, want string) {
		t.Helper()
		r, ok := ParseRequest(Native, []byte(body))
		if !ok {
			t.Errorf("%.200s: refused", body)
			return
		}
		got, err := r.AppendContinuation([]byte("x"), []byte("so far"), "go on", 10)
		want = "x" + strings.Replace(want, "@", modelTurn+","+userTurn, 1)
		if err != nil || string(got) != want {
			t.Errorf("%.200s:\n got %.400s, %v\nwant %.400s", body, got, err, want)
		}
		if json.Valid([]byte(body)) && !json.Valid(got[1:]) {
			t.Errorf("%.200s: not JSON any more", got)
		}
	}
}

func TestContinuationAppendsTwoTurns(t *testing.T) {
	f := continueTest(t)
	f(`{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}`, `{"contents":[{"role":"user","parts":[{"text":"Hi"}]},@]}`)
	f(`{"contents":[]}`, `{"contents":[@]}`)
	f(`{"contents": [ ] }`, `{"contents": [ @] }`)
	f("{\"contents\" : [\n  {}\n ]\n}\n", "{\"contents\" : [\n  {}\n ,@]\n}\n")
	f(`{"contents":[{},{}],"x":1}`, `{"contents":[{},{},@],"x":1}`)
	// A single content stands for a list of one.
	f(`{"contents":{"parts":[{"text":"Hi"}]}}`, `{"contents":[{"parts":[{"text":"Hi"}]},@]}`)
	f(`{"contents": {} , "x":1}`, `{"contents": [{},@] , "x":1}`)
	// Escaped names.
	f(`{"\u0063ontents":[]}`, `{"\u0063ontents":[@]}`)
	// Other members of that name.
	f(`{"systemInstruction":{"contents":[1]},"contents":[{"contents":[]}],"tools":[{"contents":[]}]}`,
		`{"systemInstruction":{"contents":[1]},"contents":[{"contents":[]},@],"tools":[{"contents":[]}]}`)
	f(`{"x":"\"contents\":[]","contents":[{"text":"\"contents\":[]}]"}]}`, `{"x":"\"contents\":[]","contents":[{"text":"\"contents\":[]}]"},@]}`)
}

func TestContinuationLeavesEverythingElse(t *testing.T) {
	f := continueTest(t)
	odd := `"a":[1.0e5,-0,12345678901234567890,1E+2],"é":"\u00e9\/\ud83d",` + "\t\"b\" :\r\n null , \"\" : {\"temperature\":0.10}"
	f("{"+odd+`,"contents":[]}`, "{"+odd+`,"contents":[@]}`)
	f(`{"contents":[],`+odd+" }\n", `{"contents":[@],`+odd+" }\n")
	image := strings.Repeat("QUJD", 1<<18)
	turn := `{"parts":[{"inlineData":{"mimeType":"image/png","data":"` + image + `"}}]}`
	f(`{"contents":[`+turn+`]}`, `{"contents":[`+turn+`,@]}`)
}

func TestContinuationLowersMaxOutputTokens(t *testing.T) {
	f := continueTest(t)
	config := func(config, want string) {
		t.Helper()
		f(`{"contents":[],`+config+`}`, `{"contents":[@],`+want+`}`)
		f(`{`+config+` ,"contents":[]}`, `{`+want+` ,"contents":[@]}`)
	}
	same := func(c string) {
		t.Helper()
		config(c, c)
	}
	config(`"generationConfig":{"maxOutputTokens":100}`, `"generationConfig":{"maxOutputTokens":90}`)
	config(`"generationConfig":{"maxOutputTokens": 11 ,"topK":1}`, `"generationConfig":{"maxOutputTokens": 1 ,"topK":1}`)
	config(`"generationConfig":{"maxOutputTokens":"100"}`, `"generationConfig":{"maxOutputTokens":"90"}`)
	config(`"generation_config":{"max_output_tokens":100}`, `"generation_config":{"max_output_tokens":90}`)
	config(`"generationConfig":{"max\u004futputTokens":100}`, `"generationConfig":{"max\u004futputTokens":90}`)
	// As languages without integers write it.
	config(`"generationConfig":{"maxOutputTokens":100.0}`, `"generationConfig":{"maxOutputTokens":90}`)
	config(`"generationConfig":{"maxOutputTokens":1e2}`, `"generationConfig":{"maxOutputTokens":90}`)
	config(`"generationConfig":{"maxOutputTokens":"1.50E+2"}`, `"generationConfig":{"maxOutputTokens":"140"}`)
	// Nothing to lower.
	for _, c := range []string{
		`"generationConfig":{}`, `"generationConfig":null`, `"generationConfig":[]`, `"generationConfig":{"maxOutputTokens":null}`,
		`"generationConfig":{"maxOutputTokens":0}`, `"generationConfig":{"maxOutputTokens":-1}`, `"generationConfig":{"maxOutputTokens":"x"}`,
		`"generationConfig":{"maxOutputTokens":100.5}`, `"generationConfig":{"maxOutputTokens":1e99}`, `"generationConfig":{"maxOutputTokens":"0x64"}`,
		`"maxOutputTokens":100`, `"generationConfig":{"x":{"maxOutputTokens":100}}`,
	} {
		same(c)
	}
}

func TestContinuationIsRefused(t *testing.T) {
	f := func(body string, want error) {
		t.Helper()
		r, _ := ParseRequest(Native, []byte(body))
		got, err := r.AppendContinuation([]byte("x"), []byte("so far"), "go on", 10)
		if !errors.Is(err, want) || string(got) != "x" {
			t.Errorf("%s: %q, %v, want %v", body, got, err, want)
		}
	}
	f(`{}`, ErrNoContents)
	f(`{"contents":null}`, ErrNoContents)
	f(`{"contents":"Hi"}`, ErrNoContents)
	f(`{"contents":7}`, ErrNoContents)
	f(`{"x":{"contents":[]}}`, ErrNoContents)
	f(`{"contents":[],"generationConfig":{"maxOutputTokens":10}}`, ErrBudgetSpent)
	f(`{"contents":[],"generationConfig":{"maxOutputTokens":"9"}}`, ErrBudgetSpent)
	f(`{"contents":[],"generation_config":{"max_output_tokens":1}}`, ErrBudgetSpent)
}

func TestRequestIsOneObject(t *testing.T) {
	for _, body := range []string{"", " ", "null", "[]", `"a"`, "{", `{"contents":[}`, `{"contents":[]}x`, `{"a":1,}`, `{}{}`, "\ufeff{}"} {
		if _, ok := ParseRequest(Native, []byte(body)); ok {
			t.Errorf("%s: taken", body)
		}
	}
	whole := `{"contents":[{"parts":[{"text":"a\"\\"}]}],"generationConfig":{"maxOutputTokens":100},"apiKey":"K"}`
	for cut := range whole {
		if _, ok := ParseRequest(Native, []byte(whole[:cut])); ok {
			t.Errorf("%s: taken", whole[:cut])
		}
	}
}

func TestRequestSays(t *testing.T) {
	f := func(body string, several, isJSON, token bool, key string, hasKey bool) {
		t.Helper()
		r, ok := ParseRequest(Native, []byte(body))
		if !ok || r.Several != several || r.JSON != isJSON || r.Token != token || string(r.Key) != key || r.HasKey != hasKey {
			t.Errorf("%s: %t, several %t, JSON %t, token %t, key %q, %t", body, ok, r.Several, r.JSON, r.Token, r.Key, r.HasKey)
		}
	}
	f(`{}`, false, false, false, "", false)
	f(`{"generationConfig":{"candidateCount":1,"responseMimeType":"text/plain"}}`, false, false, false, "", false)
	f(`{"generationConfig":{"candidateCount":1,"responseMimeType":"text\/plain"}}`, false, false, false, "", false)
	f(`{"generationConfig":{"candidateCount":2}}`, true, false, false, "", false)
	f(`{"generationConfig":{"candidateCount":2.0}}`, true, false, false, "", false)
	f(`{"generationConfig":{"candidateCount":1.0}}`, false, false, false, "", false)
	f(`{"generation_config":{"candidate_count":"2"}}`, true, false, false, "", false)
	for _, c := range []string{`"responseMimeType":"application/json"`, `"response_mime_type":"text/x.enum"`, `"responseSchema":{}`, `"response_schema":{}`, `"responseJsonSchema":{}`, `"response_json_schema":{}`,
		`"_responseJsonSchema":{}`, `"responseFormat":{"text":{"mimeType":"APPLICATION_JSON","schema":{}}}`, `"response_format":{"text":{"mime_type":"application\/json"}}`,
		`"responseFormat":[{"audio":{}},{"text":{"mimeType":"text/x.enum"}}]`, `"responseFormat":{"text":{"schema":{}}}`, `"responseFormat":{"text":{"mimeType":1}}`} {
		f(`{"generationConfig":{`+c+`}}`, false, true, false, "", false)
	}
	f(`{"generationConfig":{"responseSchema":null,"candidateCount":null}}`, false, false, false, "", false)
	for _, c := range []string{`null`, `7`, `[]`, `{}`, `[7,{}]`, `{"text":null}`, `{"text":7}`, `{"text":{}}`, `{"text":{"schema":null,"mimeType":null}}`,
		`{"text":{"mimeType":"TEXT_PLAIN"}}`, `[{"text":{"mimeType":"text/plain"}}]`, `{"image":{"mimeType":"image/png","schema":{}}}`, `{"x":{"text":{"schema":{}}}}`} {
		f(`{"generationConfig":{"responseFormat":`+c+`}}`, false, false, false, "", false)
	}
	f(`{"continuationToken":"x"}`, false, false, true, "", false)
	f(`{"continuation_token":null}`, false, false, false, "", false)
	f(`{"apiKey":"group-a:K\u0045Y"}`, false, false, false, "group-a:KEY", true)
	f(`{"apiKey":""}`, false, false, false, "", true)
	f(`{"apiKey":7,"api\u004bey":"K"}`, false, false, false, "K", true)
	f(`{"x":{"apiKey":"K"}}`, false, false, false, "", false)
}

func TestContinuationTakesAnyTranscript(t *testing.T) {
	f := func(text string, inside ...string) {
		t.Helper()
		p := newPlayer()
		for _, in := range inside {
			p.s.Take(nil, Event{Data: []byte(say(in))})
		}
		if p.transcript() != text {
			t.Errorf("%q: transcript %q, want %q", inside, p.transcript(), text)
		}
		got := continued(t, `{"contents":[]}`, p.s.Transcript().Raw(), "go on\n\"\u2028\xff")
		if got.Contents[0].Parts[0].Text != text || got.Contents[1].Parts[0].Text != "go on\n\"\u2028\ufffd" {
			t.Errorf("%q became %q", inside, got)
		}
	}
	f("a\"\\/\n<😀é", `a\"\\\/\n\u003c\ud83d\ude00é`)
	f("😀", `\ud83d`, `\ude00`)
	f("\ufffd", `\ud83d`)
	f("\ufffda\ufffd", `\ude00a`, `\ud83d`)
	f("\ufffd\ufffd.", "\xff\xe2.")
	f("a\nb\x00c\x1f", "a\nb\x00c\x1f")
	f("\u2028\u0085\x7f", "\u2028\u0085\x7f")
	f(strings.Repeat("x", 100_000), strings.Repeat("x", 100_000))
	f(`}]},{"role":"user"`, `}]},{\"role\":\"user\"`)
}

// generateRequest is a request as encoding/json reads it.
type generateRequest struct {
	Contents []struct {
		Role  string
		Parts []struct{ Text string }
	}
}

func continued(t testing.TB, body string, transcript []byte, prompt string) (got generateRequest) {
	t.Helper()
	r, ok := ParseRequest(Native, []byte(body))
	if !ok {
		t.Fatalf("%s: refused", body)
	}
	b, err := r.AppendContinuation(nil, transcript, prompt, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	if bytes.ContainsAny(b, "\r\n") && !strings.ContainsAny(body, "\r\n") {
		t.Fatalf("%q: a line break", b)
	}
	return got
}

func TestRequestAsksForThoughts(t *testing.T) {
	f := func(config string, want bool) {
		t.Helper()
		r, ok := ParseRequest(Native, []byte(`{"contents":[],"generationConfig":`+config+`}`))
		if !ok || r.Thoughts != want {
			t.Errorf("%s: %t %t", config, r.Thoughts, ok)
		}
	}
	f(`{}`, false)
	f(`{"thinkingConfig":null}`, false)
	f(`{"thinkingConfig":{}}`, false)
	f(`{"thinkingConfig":{"includeThoughts":false}}`, false)
	f(`{"thinkingConfig":{"includeThoughts":true,"thinkingBudget":1}}`, true)
	f(`{"thinking_config":{"include_thoughts":true}}`, true)
	f(`{"thinkingConfig":{"thinkingBudget":-1,"include\u0054houghts":true}}`, true)
	f(`{"responseMimeType":"includeThoughts"}`, false)
}

// Stop sequences take memory of their own, which a body can ask for by the
// million: few are kept, of several lists together.
func TestRequestKeepsFewStops(t *testing.T) {
	const many = 10_000
	list := "[" + strings.Repeat(`"a",`, many) + `"b"]`
	for dialect, body := range map[Dialect]string{
		Native: `{"generationConfig":{"stopSequences":` + list + `,"stop_sequences":` + list + `},"contents":[],"apiKey":"K"}`,
		OpenAI: `{"stop":` + list + `,"stop":` + list + `,"messages":[],"apiKey":"K"}`,
	} {
		r, ok := ParseRequest(dialect, []byte(body))
		if !ok || len(r.Stops) != maxStops || string(r.Key) != "K" {
			t.Errorf("%v: %t, %d kept, key %q", dialect, ok, len(r.Stops), r.Key)
		}
		if n := testing.AllocsPerRun(10, func() { ParseRequest(dialect, []byte(body)) }); n > 2*maxStops {
			t.Errorf("%v: %v allocations", dialect, n)
		}
	}
}
