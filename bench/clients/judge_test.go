package main

import (
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

// turns alternates between the two sides, the user first.
func turns(texts ...string) (all []upstream.Turn) {
	for i, text := range texts {
		all = append(all, upstream.Turn{Role: []string{"user", "model"}[i%2], Text: text})
	}
	return all
}

func conversation(t *testing.T, fault string) Job {
	t.Helper()
	f, ok := upstream.FaultOf("m-" + fault)
	if !ok {
		t.Fatalf("no fault %q", fault)
	}
	return newJob(through, columns(clients)[0], f)
}

func TestJudge(t *testing.T) {
	j := conversation(t, "closed")
	good := Report{ID: j.ID, Text: first, Finish: "stop", Later: second}
	history := turns("context", "ok", j.First, first, j.Second)
	f := func(name string, change func(*Report), later []upstream.Turn, want outcome) {
		t.Helper()
		r := good
		change(&r)
		if got := judge(j, &r, later); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	f("good", func(r *Report) {}, history, whole)
	f("in two turns", func(r *Report) {}, turns(j.First, first[:40], "", first[40:], j.Second), whole)
	f("raised", func(r *Report) { *r = Report{Error: "terminated"} }, nil, failed)
	f("hung", func(r *Report) { *r = Report{Error: "no end", Hung: true} }, nil, hangs)
	f("cut", func(r *Report) { r.Text = first[:100] }, history, half)
	f("nothing", func(r *Report) { r.Text = "" }, history, half)
	f("a part twice", func(r *Report) { r.Text = first[:100] + first }, history, garbled)
	f("one character else", func(r *Report) { r.Text = "X" + first[1:] }, history, garbled)
	f("more", func(r *Report) { r.Text += "." }, history, garbled)
	f("filtered", func(r *Report) { r.Finish = "safety" }, history, unended)
	f("no finish", func(r *Report) { r.Finish = "" }, history, unended)
	f("no history", func(r *Report) {}, turns(j.Second), forgotten)
	f("half a history", func(r *Report) {}, turns(j.First, first[:100], j.Second), forgotten)
	f("no second question", func(r *Report) {}, nil, forgotten)
	f("refused", func(r *Report) { r.Error, r.Later = "400", "" }, history, forgotten)
	f("a call that never was", func(r *Report) {}, []upstream.Turn{history[2], {Role: "model", Text: first, Call: "f"}, {Role: "user", Result: "f"}, history[4]}, forgotten)
	if got := judge(j, nil, history); got != missing {
		t.Errorf("no report: %s", got)
	}
}

func TestJudgeOfAFunctionCall(t *testing.T) {
	j := conversation(t, "call")
	r := Report{Text: first, Finish: "stop", Later: second, Calls: []string{upstream.Tool}}
	history := []upstream.Turn{
		{Role: "user", Text: j.First}, {Role: "model", Call: upstream.Tool},
		{Role: "user", Result: upstream.Tool}, {Role: "model", Text: first}, {Role: "user", Text: j.Second},
	}
	f := func(name string, r Report, later []upstream.Turn, want outcome) {
		t.Helper()
		if got := judge(j, &r, later); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	f("good", r, history, whole)
	f("call forgotten", r, turns(j.First, first, j.Second), forgotten)
	f("result forgotten", r, append(history[:2:2], history[3:]...), forgotten)
	r.Calls = nil
	f("no call", r, history, half)
}

func TestHistoryIsTheFirstRequestOfAQuestion(t *testing.T) {
	body := func(text string) *upstream.Request {
		return &upstream.Request{Body: []byte(`{"contents":[{"role":"user","parts":[{"text":"` + text + `"}]}]}`)}
	}
	got := history([]*upstream.Request{body("one [a#2]"), {Body: []byte("{")}, body("two [a#2]"), body("three [b#2]")})
	if len(got) != 2 || got["[a#2]"][0].Text != "one [a#2]" || got["[b#2]"][0].Text != "three [b#2]" {
		t.Errorf("got %v", got)
	}
}

func TestEveryConversationHasMarksOfItsOwn(t *testing.T) {
	seen := make(map[string]bool)
	for _, way := range []string{through, without} {
		for _, c := range columns(clients) {
			for _, f := range upstream.Faults {
				j := newJob(way, c, f)
				for question, want := range map[string]string{j.First: j.firstMark(), j.Second: j.secondMark()} {
					if _, mark := upstream.Asked(turns(question)); mark != want || seen[mark] {
						t.Errorf("%q has the mark %q, want %q, seen %t", question, mark, want, seen[mark])
					}
					seen[want] = true
				}
				if got, ok := upstream.FaultOf(j.Model); !ok || got.Name != f.Name {
					t.Errorf("model %s breaks as %q, want %q", j.Model, got.Name, f.Name)
				}
			}
		}
	}
}
