package upstream

import (
	"fmt"
	"strings"
	"testing"
)

func interact(u *Upstream, t *testing.T, method, target, body string) string {
	t.Helper()
	_, got, _ := dial(t, u).send(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: up\r\nContent-Length: %d\r\n\r\n%s", method, target, len(body), body)).response()
	return got
}

func TestInteraction(t *testing.T) {
	const (
		id      = "bS1ub25lIFthIzFd" // "m-none [a#1]"
		start0  = "event: step.start\ndata: {\"index\":0,\"step\":{\"type\":\"model_output\"},\"event_type\":\"step.start\",\"event_id\":\"e0\"}\n\n"
		begin   = "event: interaction.created\ndata: {\"interaction\":{\"id\":\"" + id + "\",\"object\":\"interaction\",\"status\":\"in_progress\"},\"event_type\":\"interaction.created\"}\n\n" + start0
		first   = "event: step.delta\ndata: {\"index\":0,\"delta\":{\"type\":\"text\",\"text\":\"Löwe\"},\"event_type\":\"step.delta\",\"event_id\":\"e5\"}\n\n"
		second  = "event: step.delta\ndata: {\"index\":0,\"delta\":{\"type\":\"text\",\"text\":\"n.\"},\"event_type\":\"step.delta\",\"event_id\":\"e7\"}\n\n"
		stop    = "event: step.stop\ndata: {\"index\":0,\"status\":\"done\",\"event_type\":\"step.stop\",\"event_id\":\"e8\"}\n\n"
		over    = "event: interaction.completed\ndata: {\"interaction\":{\"id\":\"" + id + "\",\"object\":\"interaction\",\"status\":\"completed\"},\"event_type\":\"interaction.completed\"}\n\n"
		done    = "event: done\ndata: [DONE]\n\n"
		failure = "event: error\ndata: {\"error\":{\"code\":\"unavailable\",\"message\":\"m\"},\"event_type\":\"error\"}\n\n"
		create  = "/v1beta/interactions"
		get     = create + "/" + id + "?stream=true"
		ask     = `{"model":"m-none","input":"tell [a#1]","stream":true}`
	)
	f := func(name, method, target, want string, script ...Step) {
		t.Helper()
		u := start(t, func(r *Request) Script {
			if s := r.Surface(); s != Interactions || r.Model() != "m-none" {
				t.Errorf("%s: taken for %s of model %q", name, s, r.Model())
			}
			return append(Script{As(Interactions)}, script...)
		})
		body := ""
		if method == "POST" {
			body = ask
		}
		same(t, name, interact(u, t, method, target, body), want)
	}
	f("whole", "POST", create, begin+first+second+stop+over+done, Text("Löwe"), TextFinish("n.", "STOP"))
	f("resumed", "GET", get+"&last_event_id=e5", second+stop+over+done, TextFinish("n.", "STOP"))
	f("resumed behind the start", "GET", get+"&last_event_id=e0", first, Text("Löwe"))
	f("from the beginning", "GET", get, begin+first, Text("Löwe"))
	f("cut", "POST", create, begin+first, Text("Löwe"), Cut())
	f("torn", "POST", create, begin+"event: step.delta\ndata: {\"index\":0,\"delta\":{\"type\":\"text\",\"text\":\"L\xc3", Torn("Lö"), Cut())
	f("error", "POST", create, begin+first+failure, Text("Löwe"), ErrorEvent(503, "UNAVAILABLE", "m"))
}

// A client that resumes by hand gets the whole answer of every fault that can
// befall an interaction and heals.
func TestFaultyModelResumesInteractions(t *testing.T) {
	answer := strings.Repeat("Ein Löwe, zwei Löwen. ", 20)
	for _, fault := range Faults {
		if strings.Contains("empty other malformed stall repeat restart call hopeless", fault.Name) {
			continue // cannot befall it, or leaves no response to read
		}
		u := start(t, (&Faulty{First: answer, Later: "later"}).Handle)
		body := `{"model":"` + fault.ModelName() + `","input":[{"type":"user_input","content":[{"type":"text","text":"tell [a#1]"}]}],"stream":true}`
		said, id, last := "", "", "e0"
		got := interact(u, t, "POST", "/v1/interactions", body)
		for range 6 {
			for _, block := range strings.SplitAfter(got, "\n\n") {
				_, text, some := strings.Cut(block, `"text":"`)
				text, rest, whole := strings.Cut(text, `"`)
				if some && whole {
					said += text
				}
				if _, identity, ok := strings.Cut(rest, `"event_id":"`); ok {
					last, _, _ = strings.Cut(identity, `"`)
				}
			}
			if strings.Contains(got, "[DONE]") {
				break
			}
			if _, begun, ok := strings.Cut(got, `"id":"`); ok {
				id, _, _ = strings.Cut(begun, `"`)
			}
			if id == "" {
				got = interact(u, t, "POST", "/v1/interactions", body)
				continue
			}
			got = interact(u, t, "GET", "/v1/interactions/"+id+"?stream=true&last_event_id="+last, "")
		}
		if (said == answer) != fault.Heals {
			t.Errorf("%s: %s", fault.Name, excerpt(said))
		}
	}
}

func TestContentsOfInteractions(t *testing.T) {
	f := func(body string, want ...Turn) {
		t.Helper()
		got, err := (&Request{Body: []byte(body)}).Contents()
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, %v, want %v", body, got, err, want)
		}
	}
	f(`{"input":"a"}`, Turn{Role: "user", Text: "a"})
	f(`{"input":[{"type":"user_input","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"type":"model_output","content":"c"}]}`,
		Turn{Role: "user", Text: "ab"}, Turn{Role: "model", Text: "c"})
}
