package stream

import "testing"

func TestPartKinds(t *testing.T) {
	f := func(b, text string, kinds Kinds) {
		t.Helper()
		var pt part
		end := pt.parse([]byte(b), 0)
		if end != len(b) || pt.kinds != kinds {
			t.Errorf("%s: kinds %b, want %b, end %d", b, pt.kinds, kinds, end)
		}
		if kinds&Text != 0 && string(pt.text.of([]byte(b))) != text {
			t.Errorf("%s: text %q", b, pt.text.of([]byte(b)))
		}
	}
	// Text.
	f(`{"text": "a"}`, "a", Text)
	f(`{"text": "a","thoughtSignature": "cw=="}`, "a", Text)
	f(`{"text": "a","thought": false}`, "a", Text)
	f(`{"text": "a","thought": null}`, "a", Text)
	f(`{"text": "a","videoMetadata": {},"partMetadata": {},"mediaResolution": {}}`, "a", Text)
	f(`{"text": "\u0061"}`, `\u0061`, Text)
	// No answer.
	f(`{}`, "", 0)
	f(`{"text": ""}`, "", 0)
	f(`{"text": null}`, "", 0)
	f(`{"text": "","thoughtSignature": "cw=="}`, "", 0)
	f(`{"thoughtSignature": "cw=="}`, "", 0)
	// A thought, whatever stands beside it and wherever it says so.
	f(`{"text": "a","thought": true}`, "", Thought)
	f(`{"thought": true,"text": "a"}`, "", Thought)
	f(`{"thought": true,"text": "a","thoughtSignature": "cw=="}`, "", Thought)
	f(`{"thought": true,"x": 1}`, "", Thought)
	f(`{"thought": true}`, "", Thought)
	// Answers that text cannot stand in for.
	f(`{"functionCall": {"name": "f","args": {"text": "x","thought": true}}}`, "", Call)
	f(`{"thoughtSignature": "cw==","functionCall": {}}`, "", Call)
	f(`{"inlineData": {"mimeType": "image/png","data": ""}}`, "", Media)
	f(`{"fileData": {}}`, "", Media)
	f(`{"executableCode": {"code": "x"}}`, "", Code)
	f(`{"codeExecutionResult": {"outcome": "OUTCOME_OK"}}`, "", Code)
	f(`{"functionResponse": {}}`, "", Tool)
	f(`{"toolCall": {}}`, "", Tool)
	f(`{"toolResponse": {}}`, "", Tool)
	f(`{"text": "a","audioTranscription": {}}`, "a", Text|Unknown)
	f(`{"hologram": 1}`, "", Unknown)
	// What stands beside text describes it.
	f(`{"text": "a","hologram": 1}`, "a", Text)
	f(`{"hologram": {"text": 1},"text": ""}`, "", 0)
	f(`{"text": null,"hologram": 1}`, "", Unknown)
	f(`{"text": 1,"hologram": 1}`, "", Unknown)
	f(`{"text": "a","hologram": 1,"functionCall": {}}`, "a", Text|Call)
	f(`{"hologram": null,"functionCall": null}`, "", 0)
}

func TestPartRefusesWhatIsNoObject(t *testing.T) {
	for _, b := range []string{"", "1", `"a"`, "[]", "null", "{", `{"text"`, `{"text":`, `{"text":"a"`, `{"text":"a",`, `{"text":"a",}`} {
		var pt part
		if end := pt.parse([]byte(b), 0); end != bad {
			t.Errorf("%s: ends at %d", b, end)
		}
	}
}

func TestEveryKindButThoughtIsAnAnswerOrForbidsContinuing(t *testing.T) {
	// A token and a part of a call have rules of their own.
	for k := Text; k <= Logprobs; k <<= 1 {
		if k&(Text|Thought|Token|OpenCall) == 0 && Untextual&k == 0 {
			t.Errorf("kind %b could be continued by text", k)
		}
	}
	if Answer&Thought != 0 || Untextual&(Thought|Text) != 0 || Answer&Text == 0 {
		t.Error("thoughts are no answer, text is one")
	}
}
