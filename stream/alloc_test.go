//go:build !race

package stream

import (
	"strings"
	"testing"
)

func TestNoAllocations(t *testing.T) {
	f := func(what string, run func()) {
		t.Helper()
		run() // buffers grow once
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	var (
		sc      Scanner
		rd      Reader
		s       Splice
		c       Chunk
		out     = make([]byte, 0, 64<<10)
		text    = make([]byte, 0, 4<<10)
		payload = []byte(with(say(`Hello \u003cb\u003e, 世界`), firstUsage+","+firstNames))
		wrapped = []byte(wrap(string(payload))[0])
		unsafe  = []byte(say("a\u2028b"))
		fast    = []byte(sse(string(payload), string(payload), string(payload)))
		slow    = []byte(": ping\n\nid: 1\ndata: {\"a\":\ndata: 1}\n\n{\n\"error\": {}\n}\n")
		calls   = []byte(candidate(`{"functionCall": {"name": "f","args": {"x": [1,2,{}]}}}`, ending("STOP")))
		list    = []byte(array(string(payload), string(payload), string(calls)))
		body    = []byte(`{"a":1,"apiKey":"K","contents":[{"parts":[{"text":"Hi"}]}]}`)
	)
	scanAll := func(b []byte) func() {
		return func() {
			sc.Reset()
			for {
				_, n, ok := sc.Next(b)
				if b = b[n:]; !ok {
					break
				}
			}
			sc.Rest(b)
		}
	}
	readAll := func(b []byte) func() {
		return func() {
			rd.Reset()
			for {
				_, n, ok := rd.Next(b)
				if b = b[n:]; !ok {
					break
				}
			}
			rd.Rest(b)
		}
	}
	f("Scanner, fast path", scanAll(fast))
	f("Scanner, slow path", scanAll(slow))
	f("Reader", readAll(fast))
	f("Reader, array", readAll(list))
	f("Chunk", func() { c.Parse(payload, text) })
	signed := []byte(`{"parts":[{"text":"x","thoughtSignature":"c2ln"}],"continuationToken": "T"}`)
	ignore := func([]byte) {}
	f("EachSignature, EachToken, EachResource", func() { EachSignature(signed, ignore); EachToken(signed, ignore); EachResource(signed, ignore) })
	f("Chunk, call", func() { c.Parse(calls, text) })
	f("Chunk, malformed", func() { c.Parse(payload[:len(payload)-1], text) })
	f("AppendEvent", func() { AppendEvent(out, payload) })
	f("AppendEvent, unsafe", func() { AppendEvent(out, unsafe) })
	f("AppendJSONString", func() { AppendJSONString(out, unsafe) })
	f("AppendUnescaped", func() { AppendUnescaped(out, payload) })
	f("appendReescaped", func() { appendReescaped(out, payload) })
	f("AppendWithoutKey", func() { AppendWithoutKey(out, body) })
	f("Splice, an array", func() {
		s.Reset(Form{Framing: Array, Dialect: Wrapped}, retriedReasons, 1<<20)
		for range 10 {
			s.Take(out, Event{Data: wrapped})
		}
		s.AppendEnd(out)
	})
	f("Splice, an answer", func() {
		s.Reset(Form{}, retriedReasons, 1<<20)
		for range 10 {
			s.Take(out, Event{Data: payload})
		}
		s.Take(out, Event{Data: calls})
		s.End(out, Event{}, false)
	})
	f("Splice, a continuation", func() {
		s.Reset(Form{}, retriedReasons, 1<<20)
		s.Take(out, Event{Data: payload})
		s.NextAttempt()
		for range 10 {
			s.Take(out, Event{Data: payload})
		}
		s.End(out, Event{}, false)
	})
	var long Splice
	long.UseMemory(new(shelf))
	page := []byte(with(say(strings.Repeat(`A line.\n`, 1000)), firstUsage+","+firstNames))
	f("Splice, events with a page each", func() {
		long.Reset(Form{}, retriedReasons, 1<<20)
		for range 10 {
			long.Take(out, Event{Data: page})
			long.Take(out, Event{Data: calls})
		}
		long.Release()
	})
	chunk := []byte(with(tell(`Hello \u003cb\u003e, 世界`), `"created":1,"id":"x","model":"m","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":9,"prompt_tokens_details":{}}`))
	musing, tools, ended := []byte(muse("<thought>hm")), []byte(tool("f", `{\"a\":1}`)), []byte(over("stop"))
	done := []byte(openAIDone)
	f("Splice, an OpenAI-compatible answer", func() {
		s.Reset(openAIForm, retriedReasons, 1<<20)
		s.Take(out, Event{Data: musing})
		for range 10 {
			s.Take(out, Event{Data: chunk})
		}
		s.Take(out, Event{Data: tools})
		s.Take(out, Event{Data: ended})
		s.Take(out, Event{Data: done})
		s.End(out, Event{}, false)
	})
}
