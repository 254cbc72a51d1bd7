package stream

import "testing"

func TestStopSequenceAcrossTheSeam(t *testing.T) {
	f := func(verdict Verdict, transcript, want string, stops []string, pieces ...string) {
		t.Helper()
		x := Expect{Anchored: true}
		for _, s := range stops {
			x.Stops = append(x.Stops, []byte(s))
		}
		var raw []string
		for _, piece := range pieces {
			raw = append(raw, inside(piece))
		}
		if got := everyPiecing(t, x, inside(transcript), raw); got.verdict != verdict || got.text != want {
			t.Errorf("%q + %q: %+v, want %v %q", transcript, pieces, got, verdict, want)
		}
	}
	const text = "A story that comes to its E"
	end := []string{"END", "\n\nUser:"}
	f(Stopped, text, "", end, text, "ND of all")
	f(Stopped, text, "", end, "ND of all")
	f(Stopped, text, "", end, text+"N", "D")
	f(Stopped, text, "", end, "Sure:\n\n"+text+"ND")
	f(Stopped, "A story that was told\n\nUs", "", end, "A story that was told\n\nUser: and more")
	f(Stopped, prose[:200]+"E", "", end, prose[:200], "E", "N", "D", "!")
	// Nearly.
	f(Complete, text, "Nd of all", end, text, "Nd of all")
	f(Complete, text, "N", end, text, "N")
	f(Complete, text, "", end, text)
	f(Complete, text, "vening", end, text, "vening")
	// What begins after the seam is the model's own affair, as is what ends before.
	f(Complete, text, "ven the END", end, text, "ven the END")
	f(Complete, "A story that comes to its END", ", no", end, "A story that comes to its END", ", no")
	f(Complete, text, "ND", []string{"X", "E"}, text, "ND")
	f(Complete, text, "ND", nil, text, "ND")
	// One of several, the longest of which is longer than all that came.
	f(Stopped, "E", "", []string{"E and a lot of other words", "EN"}, "EN")
	f(Stopped, "x aab aab a", "", []string{"aab aab aab aac", "aab!"}, "x aab aab a", "ab!")
	// A prefilled model goes on by the letter.
	p := goOn(t, Expect{Prefilled: true, Stops: [][]byte{[]byte("END")}}, say("the E"))
	p.take(t, Stopped, sse(say("N")), say("N"), say("D"))
}

func TestAnswerThatWasStoppedEnds(t *testing.T) {
	p := goOn(t, Expect{Anchored: true, Stops: [][]byte{[]byte("END")}}, with(say("It is the E"), firstUsage+","+firstNames))
	p.take(t, Stopped, "", with(sayEnd("It is the END.", "STOP"), secondUsage))
	out := p.s.AppendFinish(nil, "STOP")
	mustStrict(t, out)
	want := sse(with(sayEnd("", "STOP"), `"usageMetadata": {"promptTokenCount": 10,"candidatesTokenCount": 10,"thoughtsTokenCount": 4,"totalTokenCount": 24,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 10}]},`+firstNames))
	if p.transcript() != "It is the E" || string(out) != want {
		t.Errorf("transcript %q\n%s\nwant\n%s", p.transcript(), out, want)
	}
}
