package stream

import "testing"

// Held text that might be a preamble is dropped at a cut; a model that says it
// a fourth time is believed, or it would never get anywhere.
func TestInsistentModelIsBelieved(t *testing.T) {
	f := func(delivered, text string, want int) {
		t.Helper()
		var s Splice
		s.Reset(Form{}, NewReasons(nil), 1<<20)
		s.Take(nil, textEvent(delivered))
		s.End(nil, Event{}, false)
		for n := 1; n <= 5; n++ {
			s.NextAttempt()
			s.Continue(Expect{Anchored: true})
			s.Take(nil, textEvent(text))
			if _, v := s.End(nil, Event{}, false); v != Cut {
				t.Fatalf("%q: %v", text, v)
			}
			if s.Progress() {
				if got := string(s.Transcript().AppendText(nil)); n != want || got != delivered+text {
					t.Errorf("%q delivered at attempt %d as %q, want at %d", text, n, got, want)
				}
				return
			}
		}
		if want != 0 {
			t.Errorf("%q was never delivered, want at attempt %d", text, want)
		}
	}
	f("The first words are Alpha ", "Bravo and Charlie ", 4)
	f("The first words are Alpha ", "bravo and charlie ", 1)
	f("The first words are Alpha ", ", bravo ", 1)
	// What may be the beginning of a repeat is never believed.
	f("The first words are Alpha ", "The first words", 0)
	f("The first words are Alpha ", "Certainly! The first words", 0)
	f("The first words are Alpha ", "words are", 0)
}

func textEvent(text string) Event {
	payload := append([]byte(`{"candidates": [{"content": {"parts": [{"text": `), AppendJSONString(nil, []byte(text))...)
	return Event{Data: append(payload, `}],"role": "model"}}]}`...)}
}
