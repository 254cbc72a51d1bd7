package stream

import (
	"encoding/json"
	"testing"
)

func TestContinuationIsNotHeldToAFormat(t *testing.T) {
	const turns = `{"role":"model","parts":[{"text":"so"}]},{"role":"user","parts":[{"text":"go on"}]}`
	f := func(settings, want string) {
		t.Helper()
		body := `{"contents": [1],"generationConfig": ` + settings + `,"x": 1.0e5}`
		r, ok := ParseRequest(Native, []byte(body))
		got, err := r.AppendContinuation(nil, []byte("so"), "go on", 10)
		want = `{"contents": [1,` + turns + `],"generationConfig": ` + want + `,"x": 1.0e5}`
		if !ok || err != nil || string(got) != want || !json.Valid(got) {
			t.Errorf("%s:\n got %s, %v\nwant %s", settings, got, err, want)
		}
	}
	f(`{"responseMimeType": "application/json"}`, `{}`)
	f(`{"responseMimeType": "application/json","temperature": 0.5}`, `{"temperature": 0.5}`)
	f(`{"temperature": 0.5, "responseMimeType" : "application/json"}`, `{"temperature": 0.5}`)
	f(`{"a": 1,"responseMimeType": "application/json","responseSchema": {"type": "STRING"},"b": [2]}`, `{"a": 1,"b": [2]}`)
	f(`{"response_mime_type": "application/json","response_schema": {},"response_json_schema": {}}`, `{}`)
	f(`{"responseJsonSchema": {"a": "}"},"a": {"responseSchema": 1}}`, `{"a": {"responseSchema": 1}}`)
	f(`{"response\u004dimeType": "text/x.enum","a": 1}`, `{"a": 1}`)
	f(`{"responseFormat": {"text": {"mimeType": "APPLICATION_JSON","schema": {"type": "object"}}},"a": 1}`, `{"a": 1}`)
	f(`{"a": 1,"response_format": [{"text": {"schema": {}}}],"_responseJsonSchema": {}}`, `{"a": 1}`)
	f(`{"responseFormat": {"text": {"mimeType": "TEXT_PLAIN"}}}`, `{"responseFormat": {"text": {"mimeType": "TEXT_PLAIN"}}}`)
	// The budget is lowered all the same.
	f(`{"responseMimeType": "application/json","maxOutputTokens": 100}`, `{"maxOutputTokens": 90}`)
	f(`{"max_output_tokens": "100","responseSchema": {}}`, `{"max_output_tokens": "90"}`)
	// Without a constraint nothing changes.
	f(`{"responseMimeType": "text/plain","maxOutputTokens": 100}`, `{"responseMimeType": "text/plain","maxOutputTokens": 90}`)
	f(`{"responseMimeType": null,"responseSchema": null}`, `{"responseMimeType": null,"responseSchema": null}`)

	// Without a prompt the model's words are the last.
	r, _ := ParseRequest(Native, []byte(`{"contents": [],"generationConfig": {"responseSchema": {}}}`))
	got, err := r.AppendContinuation(nil, []byte(`s\ud83d`), "", 0)
	if want := `{"contents": [{"role":"model","parts":[{"text":"s` + "\ufffd" + `"}]}],"generationConfig": {}}`; string(got) != want || err != nil {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	// Settings that come twice, of which an API may take either.
	r, _ = ParseRequest(Native, []byte(`{"contents": [],"generationConfig": {"responseSchema": {}},"generation_config": {"responseSchema": {}}}`))
	if got, err = r.AppendContinuation(nil, []byte(`s`), "", 0); err != nil || !json.Valid(got) {
		t.Errorf("%s, %v", got, err)
	}
}

func TestResumeNamesTheToken(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		r, ok := ParseRequest(Native, []byte(body))
		if got := r.AppendResume(nil, []byte(`"dA=="`)); !ok || string(got) != want || !json.Valid(got) {
			t.Errorf("%s:\n got %s\nwant %s", body, got, want)
		}
	}
	f(`{"contents": [1]}`, `{"continuationToken":"dA==","contents": [1]}`)
	f(` { "contents": [1] } `, ` {"continuationToken":"dA==", "contents": [1] } `)
	f(`{ }`, `{"continuationToken":"dA==" }`)
	f(`{"continuationToken": "b2xk","contents": [1]}`, `{"continuationToken": "dA==","contents": [1]}`)
	f(`{"contents": [1],"continuation_token": "b2xk"}`, `{"contents": [1],"continuation_token": "dA=="}`)
	f(`{"contents": [1],"continuationToken": null}`, `{"contents": [1],"continuationToken": "dA=="}`)
	// The format stays: the API goes on with its own answer.
	f(`{"generationConfig": {"responseSchema": {}}}`, `{"continuationToken":"dA==","generationConfig": {"responseSchema": {}}}`)
}
