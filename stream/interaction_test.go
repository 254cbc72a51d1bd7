package stream

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func retryable(code int) bool { return code == 408 || code == 429 || code >= 500 }

// Events of the Interactions API as it writes them.
func named(name, data string) string { return "event: " + name + "\ndata: " + data + "\n\n" }

func begun(id string) string {
	return named("interaction.created", `{"interaction":{"id":"`+id+`","status":"in_progress","object":"interaction"},"event_type":"interaction.created"}`)
}

func delta(id int, text string) string {
	return named("step.delta", fmt.Sprintf(`{"index":0,"delta":{"type":"text","text":%q},"event_type":"step.delta","event_id":"e%d"}`, text, id))
}

const completed = "event: interaction.completed\ndata: {\"interaction\":{\"id\":\"v1_i\",\"status\":\"completed\",\"usage\":{\"total_tokens\":3}},\"event_type\":\"interaction.completed\",\"event_id\":\"end\"}\n\n"

// nested is an event with more levels of JSON than are looked at.
var nested = named("step.delta", `{"delta":`+strings.Repeat("[", 300)+strings.Repeat("]", 300)+`,"event_type":"step.delta","event_id":"e1"}`)

const done = "event: done\ndata: [DONE]\n\n"

// stepped ends a step, which has a status of its own.
func stepped(id string) string {
	return named("step.stop", `{"index":0,"status":"done","event_type":"step.stop","event_id":"`+id+`"}`)
}

func status(s string) string {
	return named("interaction.status_update", `{"interaction_id":"v1_i","status":"`+s+`","event_type":"interaction.status_update"}`)
}

// follow feeds attempts, each in the given pieces, and returns what the client
// gets and the verdict on each. An attempt that ends in "!" is broken off.
func follow(x *Interaction, split func(string) []string, attempts ...string) (got string, verdicts string) {
	x.Reset(retryable, nil, nil)
	var out []byte
	for i, a := range attempts {
		if i > 0 {
			x.NextAttempt(x.Delivered())
		}
		a, broken := strings.CutSuffix(a, "!")
		v := More
		var in []byte
	pieces:
		for _, piece := range split(a) {
			in = append(in, piece...)
			for {
				var n int
				var took bool
				out, n, took, v = x.Take(out, in)
				in = in[n:]
				if v != More {
					break pieces
				}
				if !took {
					break
				}
			}
		}
		if v == More {
			out, v = x.End(out, in, !broken)
		}
		verdicts += v.String() + " "
	}
	return string(out), strings.TrimSpace(verdicts)
}

func inOne(s string) []string { return []string{s} }

// interactionCases are stories, each told by its attempts.
var interactionCases = []struct {
	name     string
	attempts []string
	want     string
	verdicts string
}{
	{"whole", []string{begun("v1_i") + delta(1, "a") + completed + done}, begun("v1_i") + delta(1, "a") + completed + done, "complete"},
	{"whole, broken behind its end", []string{begun("v1_i") + delta(1, "a") + completed + "!"}, begun("v1_i") + delta(1, "a") + completed, "complete"},
	{"only the mark at the end", []string{begun("v1_i") + delta(1, "a") + done}, begun("v1_i") + delta(1, "a") + done, "complete"},
	{"older names", []string{strings.ReplaceAll(begun("v1_i"), ".created", ".start") + strings.ReplaceAll(completed, ".completed", ".complete") + "!"},
		strings.ReplaceAll(begun("v1_i"), ".created", ".start") + strings.ReplaceAll(completed, ".completed", ".complete"), "complete"},
	{"names in the field alone", []string{"event:interaction.completed\ndata: {}\n\n!"}, "event:interaction.completed\ndata: {}\n\n", "complete"},
	{"waits for an action", []string{begun("v1_i") + status("requires_action")}, begun("v1_i") + status("requires_action"), "complete"},
	{"waits for an action, broken", []string{begun("v1_i") + status("requires_action") + "!"}, begun("v1_i") + status("requires_action"), "cut"},
	{"a status that will change", []string{begun("v1_i") + status("in_progress")}, begun("v1_i") + status("in_progress"), "cut"},
	{"an early end behind a step", []string{begun("v1_i") + delta(1, "a") + stepped("e2"), delta(3, "b") + stepped("e4") + completed},
		begun("v1_i") + delta(1, "a") + stepped("e2") + delta(3, "b") + stepped("e4") + completed, "cut complete"},
	{"an early end, the status in the interaction", []string{begun("v1_i") + named("interaction.update", `{"interaction":{"status":"requires_action"},"status":"in_progress"}`)},
		begun("v1_i") + named("interaction.update", `{"interaction":{"status":"requires_action"},"status":"in_progress"}`), "complete"},
	{"an early end", []string{begun("v1_i") + delta(1, "a")}, begun("v1_i") + delta(1, "a"), "cut"},
	{"nothing", []string{""}, "", "cut"},
	{"goes on", []string{begun("v1_i") + delta(1, "a") + delta(2, "b")[:30] + "!", delta(2, "b") + completed + done},
		begun("v1_i") + delta(1, "a") + delta(2, "b") + completed + done, "cut complete"},
	{"begins again first", []string{begun("v1_i") + delta(1, "a") + "!", begun("v1_i") + delta(2, "b") + completed},
		begun("v1_i") + delta(1, "a") + delta(2, "b") + completed, "cut complete"},
	{"tells everything again", []string{begun("v1_i") + status("in_progress") + delta(1, "a") + delta(2, "b") + "!",
		begun("v1_i") + status("in_progress") + delta(1, "a") + status("in_progress") + delta(2, "b") + delta(3, "c") + completed + done},
		begun("v1_i") + status("in_progress") + delta(1, "a") + delta(2, "b") + delta(3, "c") + completed + done, "cut complete"},
	{"tells the last again", []string{begun("v1_i") + delta(1, "a") + delta(2, "b") + "!", delta(2, "b") + status("in_progress") + completed},
		begun("v1_i") + delta(1, "a") + delta(2, "b") + status("in_progress") + completed, "cut complete"},
	{"something new without an identity first", []string{begun("v1_i") + delta(1, "a") + "!", status("in_progress") + delta(2, "b") + "!", completed},
		begun("v1_i") + delta(1, "a") + status("in_progress") + delta(2, "b") + completed, "cut cut complete"},
	{"breaks while that is not known", []string{begun("v1_i") + delta(1, "a") + "!", status("in_progress") + "!", status("in_progress") + completed},
		begun("v1_i") + delta(1, "a") + status("in_progress") + completed, "cut cut complete"},
	{"tells everything again, what has no identity too", []string{begun("v1_i") + status("queued") + delta(1, "a") + status("queued") + "!",
		begun("v1_i") + status("queued") + delta(1, "a") + status("queued") + delta(2, "b") + completed},
		begun("v1_i") + status("queued") + delta(1, "a") + status("queued") + delta(2, "b") + completed, "cut complete"},
	{"only the end is left", []string{begun("v1_i") + delta(1, "a") + "!", done}, begun("v1_i") + delta(1, "a") + done, "cut complete"},
	{"an error that passes", []string{begun("v1_i") + delta(1, "a") + named("error", `{"error":{"code":"gateway_timeout","message":"x"},"event_type":"error"}`), completed},
		begun("v1_i") + delta(1, "a") + completed, "error complete"},
	{"an error in the form of other APIs", []string{begun("v1_i") + delta(1, "a") + "{\n  \"error\": {\"code\": 503, \"message\": \"x\", \"status\": \"UNAVAILABLE\"}\n}\n", completed},
		begun("v1_i") + delta(1, "a") + completed, "error complete"},
	{"an error by its field alone", []string{named("error", `{"error":{"message":"x"}}`), begun("v1_i") + completed}, begun("v1_i") + completed, "error complete"},
	{"an error that stays", []string{begun("v1_i") + named("error", `{"error":{"code":"invalid_request","message":"x"},"event_type":"error"}`) + done},
		begun("v1_i") + named("error", `{"error":{"code":"invalid_request","message":"x"},"event_type":"error"}`) + done, "complete"},
	{"an error behind the end", []string{begun("v1_i") + completed + named("error", `{"error":{"code":503}}`)},
		begun("v1_i") + completed + named("error", `{"error":{"code":503}}`), "complete"},
	{"remarks", []string{": hi\n\n" + begun("v1_i") + ": still here\n\n" + delta(1, "a") + "!", ": hi\n\n" + delta(2, "b") + ": more\n\n" + completed},
		": hi\n\n" + begun("v1_i") + ": still here\n\n" + delta(1, "a") + ": hi\n\n" + delta(2, "b") + ": more\n\n" + completed, "cut complete"},
	{"a byte order mark", []string{"\ufeff" + begun("v1_i") + delta(1, "a") + "!", "\ufeff" + begun("v1_i") + delta(2, "b") + "!", "\ufeff" + delta(3, "c") + completed},
		"\ufeff" + begun("v1_i") + delta(1, "a") + delta(2, "b") + delta(3, "c") + completed, "cut cut complete"},
	{"a byte order mark before a remark", []string{begun("v1_i") + delta(1, "a") + "!", "\ufeff: hi\n\n" + delta(2, "b") + completed},
		begun("v1_i") + delta(1, "a") + ": hi\n\n" + delta(2, "b") + completed, "cut complete"},
	{"CR LF", []string{strings.ReplaceAll(begun("v1_i")+completed, "\n", "\r\n")}, strings.ReplaceAll(begun("v1_i")+completed, "\n", "\r\n"), "complete"},
	{"several lines of data, other fields", []string{"id: 7\nretry: 1\nevent: interaction.completed\ndata: {\"event_type\":\ndata: \"interaction.completed\"}\n\n"},
		"id: 7\nretry: 1\nevent: interaction.completed\ndata: {\"event_type\":\ndata: \"interaction.completed\"}\n\n", "complete"},
	{"no blank line at the end", []string{begun("v1_i") + strings.TrimRight(completed, "\n") + "!"}, begun("v1_i") + completed, "complete"},
	{"escapes in an identity", []string{begun("v1_i") + strings.ReplaceAll(delta(1, "a"), "e1", `\u00651`) + "!", delta(1, "a") + completed},
		begun("v1_i") + strings.ReplaceAll(delta(1, "a"), "e1", `\u00651`) + completed, "cut complete"},
	{"not JSON", []string{begun("v1_i") + "data: nonsense\n\n" + completed}, begun("v1_i") + "data: nonsense\n\n" + completed, "complete"},
	{"nested deep", []string{begun("v1_i") + nested + completed}, begun("v1_i") + nested + completed, "complete"},
	{"no whole JSON", []string{begun("v1_i") + delta(1, "a") + "data: {nonsense\n\n" + delta(2, "b"), delta(2, "b") + completed}, begun("v1_i") + delta(1, "a") + delta(2, "b") + completed, "cut complete"},
	{"no whole JSON behind the end", []string{begun("v1_i") + completed + "data: [DOevent: error\n\n"}, begun("v1_i") + completed, "complete"},
	{"an error behind half an event", []string{begun("v1_i") + delta(1, "a") + strings.TrimSuffix(delta(2, "b"), "\n\n") + named("error", `{"error":{"code":"unavailable"},"event_type":"error"}`), delta(2, "b") + completed},
		begun("v1_i") + delta(1, "a") + delta(2, "b") + completed, "cut complete"},
	{"an error behind an event's name", []string{begun("v1_i") + delta(1, "a") + "event: step.delta\n{\n \"error\": {\"code\": 503}\n}\n", delta(2, "b") + completed},
		begun("v1_i") + delta(1, "a") + delta(2, "b") + completed, "error complete"},
	{"the end in a text", []string{begun("v1_i") + delta(1, `"event_type":"interaction.completed" [DONE]`)}, begun("v1_i") + delta(1, `"event_type":"interaction.completed" [DONE]`), "cut"},
}

func TestInteraction(t *testing.T) {
	var x Interaction
	for _, c := range interactionCases {
		got, verdicts := follow(&x, inOne, c.attempts...)
		if got != c.want || verdicts != c.verdicts {
			t.Errorf("%s: %s, want %s\n got %q\nwant %q", c.name, verdicts, c.verdicts, got, c.want)
		}
	}
}

// TestInteractionSplit cuts every story into pieces at every byte.
func TestInteractionSplit(t *testing.T) {
	var x Interaction
	for _, c := range interactionCases {
		for at := range 400 {
			split := func(s string) []string { return []string{s[:min(at, len(s))], s[min(at, len(s)):]} }
			if at == 399 {
				split = func(s string) []string { return strings.Split(s, "") }
			}
			if got, verdicts := follow(&x, split, c.attempts...); got != c.want || verdicts != c.verdicts {
				t.Fatalf("%s at %d: %s, want %s\n got %q\nwant %q", c.name, at, verdicts, c.verdicts, got, c.want)
			}
		}
	}
}

// TestInteractionBroken breaks a stream off at every byte, and the one that
// goes on too, told from behind the last event or from the beginning.
func TestInteractionBroken(t *testing.T) {
	for _, eol := range []string{"\n", "\r\n"} {
		testInteractionBroken(t, eol)
	}
}

func testInteractionBroken(t *testing.T, eol string) {
	ends := strings.NewReplacer("\n", eol)
	whole := ends.Replace(begun("v1_i") + delta(1, "a") + status("in_progress") + delta(2, "b") + delta(3, "c") + completed + done)
	plain := strings.NewReplacer("\r\n", "\n")
	// rest is what the API sends to whoever has got last.
	rest := func(last string) string {
		at := strings.Index(whole, `"`+last+`"`)
		return whole[at+strings.Index(whole[at:], eol+eol)+2*len(eol):]
	}
	var x Interaction
	for first := range len(whole) {
		for _, again := range []bool{false, true} {
			x.Reset(retryable, nil, nil)
			attempts := []string{whole[:first] + "!"}
			follow(&x, inOne, attempts...)
			second := whole
			if x.Delivered() && !x.Resumable() {
				continue
			}
			if x.Delivered() && !again {
				second = rest(string(x.Last()))
			}
			for cut := 0; cut <= len(second); cut += 29 {
				got, verdicts := follow(&x, inOne, whole[:first]+"!", second[:cut]+"!", whole)
				// A blank line that is missing is added as the API writes it.
				if want := strings.TrimSuffix(plain.Replace(whole), done); strings.TrimSuffix(plain.Replace(got), done) != want {
					t.Fatalf("%q, cut at %d, then at %d of %q: %s\n got %q", eol, first, cut, second, verdicts, got)
				}
			}
		}
	}
}

// dispatched is what a client of an event stream makes of s: an event without
// data, and a line that is no field, are nothing to it.
func dispatched(s string) (seen string) {
	for block := range strings.SplitSeq(s, "\n\n") {
		var name, data string
		for line := range strings.SplitSeq(block, "\n") {
			if strings.HasPrefix(line, "event:") {
				name = line + "\n"
			} else if strings.HasPrefix(line, "data:") {
				data += line + "\n"
			}
		}
		if data != "" {
			seen += name + data + "\n"
		}
	}
	return seen
}

// TestInteractionErrorInsideAnEvent: an upstream that dies at any byte may still
// say so, in an event or in JSON, right there.
func TestInteractionErrorInsideAnEvent(t *testing.T) {
	whole := begun("v1_i") + delta(1, "a") + delta(2, "b") + completed + done
	var x Interaction
	for _, last := range []string{
		named("error", `{"error":{"code":"unavailable","message":"x"},"event_type":"error"}`),
		"data: {\"error\":{\"code\":503,\"message\":\"x\",\"status\":\"UNAVAILABLE\"}}\n\n",
		"{\n \"error\": {\"code\": 503}\n}\n",
	} {
		for cut := range strings.Index(whole, completed) {
			got, verdicts := follow(&x, inOne, whole[:cut]+last, whole)
			if seen := dispatched(got); seen != whole {
				t.Errorf("%q at %d: %s\n got %q", last, cut, verdicts, got)
			}
		}
	}
}

func TestInteractionKnows(t *testing.T) {
	var x Interaction
	f := func(id, last string, resumable bool, attempts ...string) {
		t.Helper()
		follow(&x, inOne, attempts...)
		if string(x.ID()) != id || string(x.Last()) != last || x.Resumable() != resumable {
			t.Errorf("%q %q %v", x.ID(), x.Last(), x.Resumable())
		}
	}
	f("v1_i", "e2", true, begun("v1_i")+delta(1, "a")+delta(2, "b"))
	f("v1_i", "", false, begun("v1_i"))
	f("", "e1", false, delta(1, "a"))
	f("v1_i", "e1", true, status("in_progress")+delta(1, "a"))
	f("..", "e1", false, begun("..")+delta(1, "a"))
	f(strings.Repeat("x", 5000), "e1", false, begun(strings.Repeat("x", 5000))+delta(1, "a"))
	x.Reset(retryable, []byte("v1_i"), []byte("e7"))
	if !x.Resumable() || x.Delivered() || string(x.Last()) != "e7" {
		t.Error("what the request says is forgotten")
	}
}

func TestInteractionCode(t *testing.T) {
	f := func(failure string, want int) {
		t.Helper()
		data := `{"event_type":"error","error":` + failure + `}`
		if m := readMessage(Event{Data: []byte(data)}, nil); !m.failed || m.failure.Code != want {
			t.Errorf("%s: %d, want %d", failure, m.failure.Code, want)
		}
	}
	f(`{}`, 500)
	f(`null`, 500)
	f(`{"message":"x"}`, 500)
	f(`{"code":503}`, 503)
	f(`{"code":"429"}`, 429)
	f(`{"code":400}`, 400)
	f(`{"status":"NOT_FOUND"}`, 404)
	f(`{"code":"UNAVAILABLE"}`, 503)
	f(`{"code":"gateway-timeout"}`, 504)
	f(`{"code":"https://errors.example/types/resource_exhausted"}`, 429)
	f(`{"code":"invalid_request"}`, 400)
	f(`{"code":"of a kind that nobody knows"}`, 400)
}

func TestParseInteraction(t *testing.T) {
	f := func(body string, stream, stored bool) {
		t.Helper()
		if r := ParseInteraction([]byte(body)); r.Stream != stream || stream && r.Stored != stored {
			t.Errorf("%s: %+v", body, r)
		}
	}
	f(`{"model":"m","input":"x","stream":true}`, true, true)
	f(` {"str\u0065am" : true , "store":false} `, true, false)
	f(`{"stream":true,"store":null}`, true, true)
	f(`{"stream":false}`, false, false)
	f(`{"stream":"true"}`, false, false)
	f(`{"input":{"stream":true}}`, false, false)
	f(`{"stream":true`, false, false)
	f(`[{"stream":true}]`, false, false)
	f(``, false, false)
}

// FuzzParseInteraction reads requests as encoding/json does, names with the case
// of their letters. Of a name that comes twice the last one counts.
func FuzzParseInteraction(f *testing.F) {
	for _, body := range []string{`{"model":"m","input":"x","stream":true}`, ` {"str\u0065am" : true , "store":false} `, `{"stream":true,"stream":null}`, `{"input":[{"store":false}],"store":tru`, `[{}]`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := ParseInteraction(body)
		var members map[string]json.RawMessage
		if !utf8.Valid(body) || json.Unmarshal(body, &members) != nil || members == nil {
			return
		}
		stream, stored := string(members["stream"]) == "true", string(members["store"]) != "false"
		if r.Stream != stream || r.Stored != stored {
			t.Errorf("%q: %+v, encoding/json says %v %v", body, r, stream, stored)
		}
	})
}

func TestAppendInteractionFailure(t *testing.T) {
	got := string(AppendInteractionFailure(nil, "service_unavailable", "a \"b\"\n"))
	want := "event: error\ndata: {\"error\":{\"message\":\"a \\\"b\\\"\\n\",\"code\":\"service_unavailable\"},\"event_type\":\"error\"}\n\n"
	if got != want {
		t.Errorf("%q", got)
	}
}

// textLines returns the lines of s that are not blank: how many of the others stand
// between two events means nothing.
func textLines(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "\n")
}

// FuzzInteraction: pieces change nothing; one attempt is passed on as it came;
// one that is told again is delivered once.
func FuzzInteraction(f *testing.F) {
	for _, c := range interactionCases {
		f.Add([]byte(c.attempts[0]), uint16(20), uint16(90))
	}
	f.Fuzz(func(t *testing.T, input []byte, at, cut uint16) {
		s := string(input)
		if strings.HasSuffix(s, "!") {
			return
		}
		var x Interaction
		whole, verdicts := follow(&x, inOne, s)
		got, again := follow(&x, func(s string) []string { return strings.Split(s, "") }, s)
		if textLines(got) != textLines(whole) || again != verdicts {
			t.Fatalf("byte by byte %s %q, in one %s %q", again, got, verdicts, whole)
		}
		n := min(int(at), len(s))
		if got, again = follow(&x, func(s string) []string { return []string{s[:n], s[n:]} }, s); textLines(got) != textLines(whole) || again != verdicts {
			t.Fatalf("at %d %s %q, in one %s %q", n, again, got, verdicts, whole)
		}
		if !strings.HasPrefix(textLines(s), textLines(whole)) {
			t.Fatalf("%q became %q", s, whole)
		}
		broken := s[:min(int(cut), len(s))]
		before, _ := follow(&x, inOne, broken+"!")
		if both, _ := follow(&x, inOne, broken+"!", s); !strings.HasPrefix(textLines(both), textLines(before)) {
			t.Fatalf("%q was taken back: %q", before, both)
		}
	})
}
