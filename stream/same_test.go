package stream

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// taker takes a body that comes in pieces, as the proxy does.
type taker struct {
	r    Reader
	s    Splice
	in   []byte
	out  []byte
	same int // events that TakeSame took
	v    Verdict
}

func newTaker(form Form) *taker {
	k := &taker{}
	k.s.Reset(form, retriedReasons, 1<<20)
	return k
}

// take takes a piece; with bulk, TakeSame sees it first.
func (k *taker) take(piece string, bulk bool) {
	k.in = append(k.in, piece...)
	for k.v == More {
		if bulk && k.r.BetweenEvents() {
			before := k.s.Events()
			var n int
			k.out, n = k.s.TakeSame(k.out, k.in)
			k.in = k.in[n:]
			k.same += k.s.Events() - before
		}
		ev, n, ok := k.r.Next(k.in)
		if ok {
			k.out, k.v = k.s.Take(k.out, ev)
		}
		k.in = k.in[n:]
		if !ok {
			return
		}
	}
}

// sameTakers feeds body in the given pieces to a taker with TakeSame and one
// without, and returns how many events the former took.
func sameTakers(t *testing.T, form Form, body string, cuts ...int) int {
	t.Helper()
	with, without := newTaker(form), newTaker(form)
	from := 0
	for _, to := range append(cuts, len(body)) {
		with.take(body[from:to], true)
		without.take(body[from:to], false)
		from = to
		if what := differs(&with.s, &without.s); what != "" || string(with.out) != string(without.out) || with.v != without.v || string(with.in) != string(without.in) {
			t.Fatalf("%q, cut at %v: %v %q, rest %q\none by one: %v %q, rest %q\n%s", body, cuts, with.v, with.out, with.in, without.v, without.out, without.in, what)
		}
	}
	return with.same
}

// alike is a stream of which most events are alike, in CR LF.
func alike() string {
	return strings.Join([]string{
		"data: " + with(say("Once"), counted(7, 1, 8)+","+firstNames),
		"data: " + with(say(` upon \"a\"`), counted(7, 10, 17)+","+firstNames),
		"data: " + with(say(` time`), counted(7, 12, 19)+","+firstNames),
		"data: " + with(think("hm"), counted(7, 12, 19)+","+firstNames),
		"data: " + with(say(` é`), counted(7, 12, 19)+","+firstNames),
		"data: " + with(say(` there`), counted(7, 13, 20)+","+firstNames),
		"data: " + with(say(` was.`), counted(7, 14, 21)+","+firstNames),
		"data: " + with(sayEnd(` End.`, "STOP"), counted(7, 15, 22)+","+firstNames),
	}, "\r\n\r\n") + "\r\n\r\n"
}

// alikeLines is alike for the OpenAI-compatible surface, with a thought behind what
// is alike: what comes behind that may end it.
func alikeLines() string {
	return lines(
		tell("Once"), tell(` upon \"a\"`), tell(` time`), tool("f", "{}"), tell(` é`), tell(` <b>there`), tell(` was.`),
		muse("hm"), tell(`</thought>and`), tell(" more"), tell(`\u003c/thought\u003e`), tellEnd(` End.`, "stop"), openAIDone,
	)
}

// Cut at every byte, and at every two, a stream is taken as its events are one by
// one.
func TestTakeSameAtEverySplit(t *testing.T) {
	atEverySplit(t, Form{}, alike(), 4)
	atEverySplit(t, openAIForm, alikeLines(), 4)
}

// atEverySplit takes a body, of which so many events are taken together, in pieces.
func atEverySplit(t *testing.T, f Form, body string, together int) {
	t.Helper()
	if n := sameTakers(t, f, body); n != together {
		t.Errorf("%d events are taken together, want %d", n, together)
	}
	for i := range body {
		sameTakers(t, f, body, i)
		if i > 0 && i%7 == 0 {
			sameTakers(t, f, body, i-1, i)
			sameTakers(t, f, body, i/2, i)
		}
	}
	for size := 1; size < 40; size++ {
		var cuts []int
		for at := size; at < len(body); at += size {
			cuts = append(cuts, at)
		}
		sameTakers(t, f, body, cuts...)
	}
}

// What is not in the one form is the Reader's: other line ends, comments, fields,
// bare JSON, arrays.
func TestTakeSameLeavesTheRest(t *testing.T) {
	body := alike()
	for name, b := range map[string]string{
		"LF":            strings.ReplaceAll(body, "\r\n", "\n"),
		"CR":            strings.ReplaceAll(body, "\r\n", "\r"),
		"mixed":         strings.Replace(body, "\r\n\r\n", "\n\n", 2),
		"no space":      strings.ReplaceAll(body, "data: ", "data:"),
		"two spaces":    strings.ReplaceAll(body, "data: ", "data:  "),
		"comments":      strings.ReplaceAll(body, "data: ", ": hello\r\ndata: "),
		"event names":   strings.ReplaceAll(body, "data: ", "event: x\r\ndata: "),
		"names behind":  strings.ReplaceAll(body, "\r\n\r\n", "\r\nid: 1\r\n\r\n"),
		"two lines":     strings.ReplaceAll(body, `,"usage`, ",\r\ndata: \"usage"),
		"blank lines":   strings.ReplaceAll(body, "\r\n\r\n", "\r\n\r\n\r\n\r\n"),
		"a mark":        "\xef\xbb\xbf" + body,
		"bare error":    body[:len(body)/2] + `{"error": {"code": 503,"message": "x","status": "UNAVAILABLE"}}` + "\n",
		"array":         "[" + strings.ReplaceAll(strings.TrimSuffix(strings.ReplaceAll(body, "data: ", ""), "\r\n\r\n"), "\r\n\r\n", "\n,\r\n") + "]",
		"error in text": strings.Replace(body, " there", `{\"error\": {\"code\": 503}}`, 1),
		"no text":       strings.Replace(body, " there", "", 1),
		"a control":     strings.Replace(body, " there", "\x02", 1),
		"a separator":   strings.Replace(body, " there", "\u2028", 1),
	} {
		t.Run(name, func(t *testing.T) {
			sameTakers(t, Form{}, b)
			for i := range b {
				sameTakers(t, Form{}, b, i)
			}
		})
	}
	for _, f := range []Form{{Framing: Array}, {Framing: Document}, openAIForm, {Dialect: Wrapped}} {
		sameTakers(t, f, body)
	}
	// Of the lines that OpenAI-compatible clients get, as of the other form.
	body = alikeLines()
	for name, b := range map[string]string{
		"CR LF":       strings.ReplaceAll(body, "\n", "\r\n"),
		"mixed":       strings.Replace(body, "\n\n", "\r\n\r\n", 2),
		"no space":    strings.ReplaceAll(body, "data: ", "data:"),
		"comments":    strings.ReplaceAll(body, "data: ", ": hello\ndata: "),
		"early end":   strings.Replace(body, "data: "+tell(" time"), "data: [DONE]", 1),
		"usage":       strings.ReplaceAll(body, `"object"`, `"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12},"object"`),
		"no usage":    strings.ReplaceAll(body, `"object"`, `"usage":null,"object"`),
		"names":       strings.ReplaceAll(body, `"object"`, `"created":1,"id":"x","model":"m","object"`),
		"two choices": strings.ReplaceAll(body, `],"object"`, `,{"delta":{"content":"other"},"index":1}],"object"`),
		"no text":     strings.Replace(body, " time", "", 1),
		"a control":   strings.Replace(body, " time", "\x02", 1),
		"twice":       strings.ReplaceAll(body, `"content"`, `"content":"not this","content"`),
		"an error":    strings.Replace(body, tell(" time"), `{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}`, 1),
	} {
		t.Run("lines, "+name, func(t *testing.T) {
			sameTakers(t, openAIForm, b)
			for i := 0; i < len(b); i += 5 {
				sameTakers(t, openAIForm, b, i)
			}
		})
	}
}

// TestTakeSameOfContinuations: an attempt that others delivered before takes all
// one by one.
func TestTakeSameOfContinuations(t *testing.T) {
	k := newTaker(Form{})
	k.take(alike()[:600], true)
	k.s.NextAttempt()
	k.in, k.same = nil, 0
	k.r.Reset()
	k.take(alike(), true)
	if k.same != 0 {
		t.Errorf("%d events of a continuation were not looked at", k.same)
	}
}

// The transcript is bounded as ever.
func TestTakeSameIsBounded(t *testing.T) {
	for bound := range 40 {
		a, b := newTaker(Form{}), newTaker(Form{})
		a.s.Reset(Form{}, retriedReasons, bound)
		b.s.Reset(Form{}, retriedReasons, bound)
		a.take(alike(), true)
		b.take(alike(), false)
		if a.s.transcript.Full() != b.s.transcript.Full() || string(a.s.transcript.Raw()) != string(b.s.transcript.Raw()) {
			t.Errorf("bound %d: %q, one by one %q", bound, a.s.transcript.Raw(), b.s.transcript.Raw())
		}
	}
}

func TestTakeSameOfRecordings(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	same := 0
	for _, rec := range recordings(t, "streams.jsonl") {
		same += sameTakers(t, Form{}, rec.Body)
		for range 5 {
			at := r.IntN(len(rec.Body))
			sameTakers(t, Form{}, rec.Body, at, at+r.IntN(len(rec.Body)-at))
		}
	}
	t.Logf("%d recorded events are taken together", same)
}

func FuzzTakeSame(f *testing.F) {
	f.Add(alike(), uint16(100), uint16(700))
	f.Add(strings.ReplaceAll(alike(), "\r\n", "\n"), uint16(3), uint16(5))
	f.Add(alikeLines(), uint16(30), uint16(500))
	f.Fuzz(func(t *testing.T, body string, a, b uint16) {
		from := min(int(a), len(body))
		for _, f := range []Form{{}, openAIForm} {
			sameTakers(t, f, body, from, min(from+int(b), len(body)))
		}
	})
}

func TestTakeSameAllocatesNothing(t *testing.T) {
	var body strings.Builder
	for i := range 100 {
		fmt.Fprintf(&body, "data: %s\r\n\r\n", with(say(fmt.Sprintf(" word %d", i)), counted(7, i, 7+i)+","+firstNames))
	}
	k := newTaker(Form{})
	k.take(body.String(), true)
	b := []byte(body.String())
	out := make([]byte, 0, 2*len(b))
	n := testing.AllocsPerRun(100, func() {
		k.s.transcript.raw = k.s.transcript.raw[:0]
		if _, n := k.s.TakeSame(out, b); n != len(b) {
			t.Errorf("%d of %d bytes", n, len(b))
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
